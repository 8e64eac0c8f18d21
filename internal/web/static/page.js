// Optional improvements of the pages, which work without scripts: copy buttons, a
// notice while a probe runs, and a list of targets that changes while you type.
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

for (const form of document.querySelectorAll("form[method=post]")) {
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

// Wide tables scroll, so the keyboard must reach them.
for (const table of document.querySelectorAll(".document table")) {
  if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
}

// A page with all targets filters and sorts them itself.
const targets = document.querySelector("table.targets[data-complete]");
if (targets) {
  const filter = document.querySelector("form.filter");
  const rows = () => [...targets.tBodies[0].rows];
  const caption = targets.caption.textContent;
  // The list has A-labels.
  const asciiName = (text) => {
    try {
      return /[^\0-\x7f]/.test(text) ? new URL(`http://${text}`).hostname : text;
    } catch {
      return text;
    }
  };
  filter.elements.q.addEventListener("input", (event) => {
    const text = asciiName(event.target.value.trim().toLowerCase());
    let shown = 0;
    for (const row of rows()) {
      row.hidden = !row.cells[0].querySelector("a").textContent.includes(text);
      shown += row.hidden ? 0 : 1;
    }
    targets.caption.textContent = text ? `${shown} of ${rows().length} targets match. Times are UTC.` : caption;
  });

  const outcomes = [...filter.elements.outcome.options].map((option) => option.value);
  const keyOf = (cell) => {
    const time = cell.querySelector("time");
    if (time) return time.dateTime;
    const outcome = cell.querySelector(".badge");
    return outcome ? String(outcomes.length - outcomes.indexOf(outcome.textContent)).padStart(2, "0") : cell.textContent.trim();
  };
  targets.tHead.addEventListener("click", (event) => {
    const heading = event.target.closest("th");
    if (!event.target.closest("a") || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const ascending = heading.ariaSort !== "ascending";
    for (const other of targets.tHead.rows[0].cells) other.ariaSort = null;
    heading.ariaSort = ascending ? "ascending" : "descending";
    const compare = (a, b) => {
      const [x, y] = [keyOf(a.cells[heading.cellIndex]), keyOf(b.cells[heading.cellIndex])];
      if (!x !== !y) return x ? -1 : 1; // as on the server: rows without a value come last
      const order = x < y ? -1 : x > y ? 1 : 0;
      return ascending ? order : -order;
    };
    targets.tBodies[0].append(...rows().sort(compare));
  });
}
