// The list of machines: a selection that outlives a refresh, and the keyboard.
"use strict";
(() => {
  const all = (css) => [...document.querySelectorAll(css)];
  const picked = new Set();
  const count = document.getElementById("picked");
  const tell = () => {
    for (const box of all("input[name=machine]")) picked[box.checked ? "add" : "delete"](box.value);
    if (count) count.textContent = count.dataset.words.replace("{0}", picked.size);
  };
  addEventListener("change", (event) => { if (event.target.matches("input[name=machine], [data-all]")) setTimeout(tell); });
  // A morph takes the boxes as the server sent them, which knows of no selection.
  document.body.addEventListener("htmx:afterSwap", () => {
    for (const box of all("input[name=machine]")) box.checked = picked.has(box.value);
  });
  addEventListener("pageshow", tell);
  addEventListener("keydown", (event) => {
    const at = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|TEXTAREA)$/.test(at.tagName) || (at.tagName === "INPUT" && at.type !== "checkbox")) return;
    const links = all(".list a.go");
    const place = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
    const to = { j: place + 1, ArrowDown: place < 0 ? -1 : place + 1, k: Math.max(0, place - 1), ArrowUp: place < 0 ? -1 : Math.max(0, place - 1) }[event.key];
    if (to !== undefined && links[to]) {
      event.preventDefault();
      links[to].focus();
      links[to].closest("tr").scrollIntoView({ block: "nearest" });
    } else if (event.key === "x" && place >= 0) {
      const box = links[place].closest("tr").querySelector("input[name=machine]");
      if (box) { box.checked = !box.checked; tell(); }
    } else if (event.key === "Escape") {
      for (const each of all("details.drop[open]")) each.open = false;
    }
  });
  // One sheet at a time, and none when somebody clicks beside it.
  addEventListener("click", (event) => {
    for (const each of all("details.drop[open]")) if (!each.contains(event.target)) each.open = false;
  });
})();
