// A shared worker: one connection for all tabs of this browser, which may hold only six to one host.
"use strict";
const tabs = new Map(); // port: {topics, since}
let source, listening = "", last = 0, failures = 0, timer;

function tell(message, topic) {
  for (const [port, tab] of tabs) if (!topic || tab.topics.includes(topic)) port.postMessage(message);
}

function connect() {
  clearTimeout(timer);
  const topics = [...new Set([...tabs.values()].flatMap((tab) => tab.topics))].sort().slice(0, 200);
  const begins = Math.min(...[...tabs.values()].map((tab) => tab.since), last || Infinity);
  listening = topics.join(",");
  if (source) source.close();
  if (!listening) return;
  source = new EventSource(`/live/${listening}?since=${begins}`);
  for (const topic of topics) source.addEventListener(topic, (event) => {
    last = Number(event.lastEventId) || last;
    tell(topic, topic);
  });
  source.onopen = () => { failures = 0; for (const tab of tabs.values()) tab.since = Infinity; };
  source.addEventListener("bye", () => { source.close(); lost(); });
  // EventSource reconnects by itself, unless it was refused.
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) lost(); };
}

function lost() {
  tell("lost");
  failures += 1;
  clearTimeout(timer);
  timer = setTimeout(connect, Math.min(60, 5 * failures) * 1000);
}

function take(port, { topics, since, bye }) {
  if (bye) tabs.delete(port);
  else tabs.set(port, { topics, since });
  const wanted = [...new Set([...tabs.values()].flatMap((tab) => tab.topics))];
  // Fewer topics than before are no reason to begin anew.
  if (wanted.some((topic) => !listening.split(",").includes(topic)) || (wanted.length && !source)) connect();
  else if (!wanted.length && source) { source.close(); source = undefined; listening = ""; }
}

function joined(port) {
  port.onmessage = (event) => take(port, event.data);
}

// As a worker of its own where a browser has no shared ones.
if ("onconnect" in self) onconnect = (event) => joined(event.ports[0]);
else joined(self);
