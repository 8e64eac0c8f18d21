// Optional improvements of the pages, which work without scripts: copy buttons,
// and a notice while a probe runs.
"use strict";

// navigator.clipboard does not exist on pages that were loaded over plain HTTP.
function copyWithSelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyWithSelection(text);
  }
}

for (const button of document.querySelectorAll(".copier")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const done = await copy(button.parentElement.querySelector("pre").textContent);
    button.textContent = done ? "Copied" : "Select and copy manually";
  });
}

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button");
    button.textContent = "Probing…";
    button.disabled = true;
  });
}

// A page that the browser restores from its cache still has the notice.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
