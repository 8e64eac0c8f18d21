// What pages can do without, and is pleasant to have: buttons that copy, and a
// word that a probe is under way.
"use strict";

function copyByHand(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy"); // where the page came over plain HTTP there is no clipboard
  area.remove();
  return done;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByHand(text);
  }
}

for (const button of document.querySelectorAll(".copier")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const done = await copy(button.parentElement.querySelector("pre").textContent);
    button.textContent = done ? "Copied" : "Select and copy by hand";
  });
}

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button");
    button.textContent = "Probing…";
    button.disabled = true;
  });
}

// A page that comes back from the browser's memory has no probe under way.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
