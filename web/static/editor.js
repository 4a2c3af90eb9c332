// Colours behind the textarea of a template: Jinja's tags, comments, texts and variables. Without this it is a plain one.
"use strict";
(() => {
  const KINDS = [["k-note", /\{#[\s\S]*?#\}|(?<=^|\s)#.*$/], ["k-tag", /\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}/], ["k-text", /"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/], ["k-word", /\$\{?[A-Za-z_]\w*\}?|^(?:%\w+|d-i\b)/]];
  const all = new RegExp(KINDS.map(([, form]) => `(${form.source})`).join("|"), "gm");
  const MOST = 200000; // characters that are coloured
  for (const area of document.querySelectorAll("[data-editor]")) {
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
        piece.className = KINDS[hit.slice(1).findIndex((group) => group !== undefined)][0];
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
  }
})();
