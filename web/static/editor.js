// Colours behind a textarea: Jinja's tags, comments, texts and variables, and the keys of YAML. Without this it is plain.
"use strict";
(() => {
  const KINDS = [["k-note", /\{#[\s\S]*?#\}|(?<=^|\s)#.*$/], ["k-tag", /\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}/], ["k-text", /"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/], ["k-word", /\$\{?[A-Za-z_]\w*\}?|^(?:%\w+|d-i\b)/]];
  const KEY = ["k-tag", /(?<=^[ \t]*(?:- )*|[{,] *)[\w.\/-]+(?=:(?:\s|$))/];
  const one = (kinds) => new RegExp(kinds.map(([, form]) => `(${form.source})`).join("|"), "gm");
  const MOST = 200000; // characters that are coloured
  for (const area of document.querySelectorAll("[data-editor]")) {
    const kinds = "yaml" in area.dataset ? [...KINDS, KEY] : KINDS, all = one(kinds);
    const behind = document.createElement("pre");
    behind.setAttribute("aria-hidden", "true");
    area.before(behind);
    const follow = () => { behind.scrollTop = area.scrollTop; behind.scrollLeft = area.scrollLeft; };
    const paint = () => {
      const text = area.value, parts = [];
      const plain = text.length > MOST;
      area.parentElement.classList.toggle("coloured", !plain);
      let last = 0;
      if (!plain) for (const hit of text.matchAll(all)) {
        const piece = document.createElement("span");
        piece.className = kinds[hit.slice(1).findIndex((group) => group !== undefined)][0];
        piece.textContent = hit[0];
        parts.push(text.slice(last, hit.index), piece);
        last = hit.index + hit[0].length;
      }
      behind.replaceChildren(...parts, plain ? "" : text.slice(last) + "\n");
      follow();
    };
    area.addEventListener("input", paint);
    area.addEventListener("scroll", follow);
    new ResizeObserver(follow).observe(area);
    paint();
    // <a data-line="7"> leads to that line.
    addEventListener("click", (event) => {
      const line = event.target.dataset && Number(event.target.dataset.line);
      if (!line) return;
      event.preventDefault();
      const lines = area.value.split("\n"), start = lines.slice(0, line - 1).join("\n").length + (line > 1);
      area.focus();
      area.setSelectionRange(start, start + (lines[line - 1] || "").length);
      area.scrollTop = Math.max(0, (line - 4) * parseFloat(getComputedStyle(area).lineHeight));
    });
  }
})();
