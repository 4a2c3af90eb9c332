// What every page shares: shortcuts, spans of time that go on, and live parts.
"use strict";
(() => {
  // "/" goes to the search field of the page, or else to the one of every page. "g" and a digit goes to that page.
  let going = false;
  addEventListener("keydown", (event) => {
    const at = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || at.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName)) return;
    if (event.key === "/") {
      const field = document.querySelector("main input[type=search]") || document.querySelector("input[type=search]");
      if (field) { event.preventDefault(); field.focus(); field.select(); }
    } else if (going && /^[1-9]$/.test(event.key)) {
      const link = document.querySelectorAll(".shell > nav a")[event.key - 1];
      if (link) link.click();
    }
    going = event.key === "g";
  });
})();
