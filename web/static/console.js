// A serial console, live or recorded. Whatever a machine writes stays on its screen.
"use strict";
(() => {
  const place = document.querySelector("[data-console]");
  if (!place || !self.Terminal) return;
  const said = place.dataset, status = document.getElementById("console-status");
  const headers = JSON.parse(document.body.getAttribute("hx-headers"));

  // The policy of the page allows no style of a script's making; rules of a constructed sheet are no such style.
  const make = document.createElement.bind(document);
  document.createElement = (name, options) => {
    const element = make(name === "style" ? "template" : name, options);
    if (name === "style") {
      const sheet = new CSSStyleSheet();
      document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
      Object.defineProperty(element, "textContent", { set: (rules) => sheet.replaceSync(rules), get: () => "" });
    } else if (name === "span") {
      element.setAttribute = (key, value) => { if (key === "style") element.style.cssText = value; else Element.prototype.setAttribute.call(element, key, value); };
    }
    return element;
  };

  const live = Boolean(said.stream);
  const term = new Terminal({
    scrollback: 5000, disableStdin: !said.keys, cursorBlink: Boolean(said.keys), fontFamily: "monospace", fontSize: size(),
    linkHandler: { activate() {}, allowNonHttpProtocols: false }, windowOptions: {}, minimumContrastRatio: 4.5, theme: { background: "#101418", foreground: "#e6e9ee" },
  });
  // A terminal answers when it is asked who, where and how it is; the answer would be typed, by everybody who looks on.
  const deaf = () => true;
  for (const final of ["c", "n", "t", "x"]) for (const prefix of [undefined, "?", ">", "="]) term.parser.registerCsiHandler({ prefix, final }, deaf);
  for (const prefix of [undefined, "?"]) term.parser.registerCsiHandler({ prefix, intermediates: "$", final: "p" }, deaf);
  term.parser.registerCsiHandler({ prefix: ">", final: "q" }, deaf);
  term.parser.registerDcsHandler({ intermediates: "$", final: "q" }, deaf);
  for (const number of [0, 1, 2, 4, 8, 10, 11, 12, 52, 104, 110, 111, 112, 1337]) term.parser.registerOscHandler(number, deaf);

  const fit = new FitAddon.FitAddon();
  term.loadAddon(fit);
  term.open(place);
  function size() { return Math.max(6, Math.min(14, Math.floor(place.clientWidth / 80 / 0.61))); }
  function shape() { // never less than what an installer draws on
    term.options.fontSize = size();
    const room = fit.proposeDimensions();
    if (room && room.cols) term.resize(Math.max(80, room.cols), Math.max(24, room.rows || 24));
  }
  shape();
  addEventListener("resize", shape);

  const tell = (text, state) => { status.textContent = text; status.dataset.state = state || ""; };

  if (live) {
    let heard = false, failures = 0;
    const listen = () => {
      const source = new EventSource(said.stream);
      source.addEventListener("said", ({ data }) => {
        if (!heard && status.dataset.state === "open") tell(said.open, "open");
        heard = true;
        term.write(Uint8Array.from(atob(data), (each) => each.charCodeAt(0)));
      });
      source.addEventListener("anew", () => term.reset());
      source.addEventListener("missed", () => term.write(`\r\n[${said.missed}]\r\n`));
      source.addEventListener("standing", ({ data }) => {
        const now = JSON.parse(data);
        failures = 0;
        tell([!heard && said.keys && now.state === "open" ? said.silent : said[now.state] || now.state, now.detail].filter(Boolean).join(" "), now.state);
        document.getElementById("console-viewers").textContent = now.viewers;
        document.getElementById("console-recorded").hidden = !now.recording;
      });
      source.onerror = () => {
        tell(said.lost, "waiting");
        // It comes back by itself, unless it was refused: no console process for the moment, or the session is over.
        if (source.readyState === EventSource.CLOSED) setTimeout(again, Math.min(30, 2 ** failures++) * 1000);
      };
    };
    const again = async () => {
      const answer = await fetch(location.href, { redirect: "manual" }).catch(() => null);
      if (answer && answer.type === "opaqueredirect") location.reload(); // which leads to the sign-in page, and back here
      else listen();
    };
    listen();
    if (said.keys) {
      let waiting = "", under = false;
      const send = async () => { // one request at a time: so keys arrive in their order
        if (under || !waiting) return;
        under = true;
        const text = waiting.slice(0, 1000);
        waiting = waiting.slice(1000);
        try {
          const answer = await fetch(said.keys, { method: "POST", body: text, headers: { ...headers, "Content-Type": "text/plain" } });
          if (answer.status === 401) location.reload();
          if (!answer.ok) { waiting = ""; tell(said.refused, "waiting"); }
        } catch { waiting = ""; tell(said.lost, "waiting"); } // never again by itself: it may have arrived
        under = false;
        send();
      };
      term.onData((text) => { waiting += text; send(); });
      term.focus();
    }
    return;
  }

  // A recording: what was said, and when. Long pauses are cut short, if wanted.
  const box = (id) => document.getElementById(id);
  const play = box("play"), speed = box("speed"), seek = box("seek"), short = box("short");
  let lines = [], times = [], at = 0, next = 0, going = false, seen = performance.now();
  const span = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
  const plan = () => {
    let sum = 0, before = 0;
    times = lines.map(([when]) => { const gap = when - before; before = when; sum += short.checked ? Math.min(gap, 1) : gap; return sum; });
    seek.max = Math.ceil(sum * 10);
  };
  const show = () => { seek.value = at * 10; tell(`${span(at)} / ${span(seek.max / 10)}`, going ? "open" : ""); };
  const write = () => {
    let text = "";
    while (next < lines.length && times[next] <= at) text += lines[next++][2];
    if (text) term.write(text);
  };
  const go = (to) => {
    if (to < at) { term.reset(); next = 0; }
    at = to;
    write();
    show();
  };
  const run = (yes) => { going = yes; play.textContent = yes ? play.dataset.pause : play.dataset.play; seen = performance.now(); show(); };
  setInterval(() => {
    const now = performance.now(), passed = (now - seen) / 1000;
    seen = now;
    if (!going) return;
    go(Math.min(at + passed * speed.value, seek.max / 10));
    if (next >= lines.length) run(false);
  }, 50);
  play.addEventListener("click", () => { if (next >= lines.length) go(0); run(!going); });
  seek.addEventListener("input", () => go(seek.value / 10));
  short.addEventListener("change", () => { const all = next; plan(); at = all ? times[all - 1] : 0; show(); });
  fetch(said.recording).then((answer) => answer.text()).then((text) => {
    lines = text.trim().split("\n").slice(1).map((line) => JSON.parse(line));
    plan();
    show();
    place.dataset.ready = "1";
  }).catch(() => tell(said.lost, "waiting"));
})();
