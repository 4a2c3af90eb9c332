// What every page shares: shortcuts, spans of time that go on, and live parts.
"use strict";
(() => {
  const all = (css) => [...document.querySelectorAll(css)];

  // "/" goes to the search field of the page, or else to the one of every page. "g" and a digit goes to that page.
  let going = false;
  addEventListener("keydown", (event) => {
    const at = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || at.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName)) return;
    if (event.key === "/") {
      const field = document.querySelector("main input[type=search]") || document.querySelector("input[type=search]");
      if (field) { event.preventDefault(); field.focus(); field.select(); }
    } else if (going && /^[1-9]$/.test(event.key)) {
      const link = all(".shell > nav a")[event.key - 1];
      if (link) link.click();
    }
    going = event.key === "g";
  });

  // A box in a table's head ticks all of its column: <input type=checkbox data-all="NAME">
  addEventListener("change", (event) => {
    const name = event.target.dataset.all;
    if (name) for (const box of all(`input[type=checkbox][name="${name}"]`)) box.checked = event.target.checked;
  });

  // Spans of time that go on, written as the server writes them: <span data-since="SECONDS">
  const units = (document.body.dataset.units || "d h min s").split(" ");
  const span = (seconds) => {
    const sizes = [[86400, 3600], [3600, 60], [60, 1]];
    for (let each = 0; each < 3; each += 1) {
      const [size, below] = sizes[each];
      if (seconds >= size) {
        const rest = Math.floor((seconds % size) / below);
        return `${Math.floor(seconds / size)} ${units[each]}` + (rest ? ` ${String(rest).padStart(2, "0")} ${units[each + 1]}` : "");
      }
    }
    return `${seconds} ${units[3]}`;
  };
  const skew = Date.now() - Number(document.body.dataset.now || Date.now());
  setInterval(() => {
    if (document.hidden) return;
    const present = Math.floor((Date.now() - skew) / 1000);
    for (const each of all("[data-since]")) each.textContent = span(Math.max(0, present - each.dataset.since));
  }, 1000);

  // Live parts: [data-live="TOPIC ..."] is fetched again, by htmx, at the event live:TOPIC of the body.
  const GAP_MS = 1500; // between two answers to one topic
  const due = new Set(), asked = new Map();
  const fire = (topic) => {
    due.delete(topic);
    asked.set(topic, Date.now());
    document.body.dispatchEvent(new CustomEvent(`live:${topic}`));
  };
  const changed = (topic) => {
    if (due.has(topic)) return;
    due.add(topic);
    if (document.hidden) return; // when somebody looks again
    const wait = Math.max(0, (asked.get(topic) || 0) + GAP_MS - Date.now());
    setTimeout(() => { if (due.has(topic) && !document.hidden) fire(topic); }, wait + Math.random() * 200);
  };
  // What somebody has ticked stays ticked when its part comes anew.
  let ticked = [];
  const boxes = (part) => [...part.querySelectorAll("input[type=checkbox][id]")];
  addEventListener("htmx:beforeSwap", (event) => { ticked = boxes(event.target).filter((box) => box.checked).map((box) => box.id); });
  addEventListener("htmx:afterSwap", (event) => { for (const box of boxes(event.target)) if (ticked.includes(box.id)) box.checked = true; });
  // What somebody has opened to confirm it, or to read it, is left as it is while it is still offered.
  if (self.Idiomorph) Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, other) => !(old.open && old.matches("details[data-keep]") && other.matches && other.matches("details[data-keep]"));
  const topics = () => [...new Set(all("main [data-live]").flatMap((part) => part.dataset.live.split(" ")))];
  const made = () => Math.min(...all("main [data-live]").map((part) => Number(part.dataset.made)));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) for (const topic of [...due]) fire(topic); });
  if (topics().length) {
    const place = document.body.dataset.live;
    const port = self.SharedWorker ? new SharedWorker(place).port : new Worker(place);
    port.onmessage = ({ data }) => (data === "lost" ? topics() : [data]).forEach(changed);
    addEventListener("pageshow", () => port.postMessage({ topics: topics(), since: made() }));
    addEventListener("pagehide", () => port.postMessage({ bye: true }));
  }
})();
