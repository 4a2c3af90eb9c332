"""How long a page stays blank: first contentful paint in headless Chromium, over loopback, with 10,000 machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from playwright.sync_api import Browser, Page

from tests.bench.rounds import Contender, Figures, Target, Work, quantile
from tests.bench.serving.appliance import ADDRESS, PASSWORD, Appliance, Processes
from tests.ui import play

MACHINES = 10_000
PAGES = {"overview": "/", "machines": "/machines", "machine": "/machines/node00001"}
NOTE = (
    "Headless Chromium without a graphics card, on the same two cores as `pxeapp web`. First visit: nothing is in the "
    "browser's cache; again: styles and scripts are. Medians, the slowest of all, and CPU of a page with its assets."
)
PAINTED = """() => new Promise(done => new PerformanceObserver((list, watch) => {
  const found = list.getEntriesByName('first-contentful-paint')[0];
  if (found) { watch.disconnect(); done(found.startTime); }
}).observe({type: 'paint', buffered: true}))"""


def works(*, quick: bool) -> list[Work]:
    """One work: each page by somebody who was never here, and by somebody who works here all day."""
    pages = _Pages(times=3 if quick else 15)
    return [
        Work(
            name="pages",
            title="Pages: first contentful paint on loopback, with 10,000 machines",
            contenders=[Contender("pxeapp", pages.painted)],
            targets=[
                Target(f"{name} first visit ms", at_most=300, says=f"{name}: first contentful paint under 300 ms")
                for name in PAGES
            ],
            rounds=1 if quick else 3,
            prepared=pages.prepared,
            notes=[NOTE],
        )
    ]


class _Pages:
    def __init__(self, *, times: int) -> None:
        self._times = times
        self._browser: Browser
        self._processes: Processes
        self._url = ""
        self._session: Any = None

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """The web process, a browser, and a session that each profile begins with."""
        if lacking := play.missing():
            raise RuntimeError(f"{lacking} is not installed.")
        with ExitStack() as stack:
            appliance = Appliance(machines=MACHINES)
            stack.callback(appliance.close)
            self._processes = stack.enter_context(appliance.web())
            self._browser = stack.enter_context(play.opened())
            self._url = f"http://{ADDRESS}:{appliance.web_port}"
            page = play.signed_in(self._browser, self._url, password=PASSWORD)
            for path in PAGES.values():
                self._paint(page, path)  # every worker has seen each of them
                self._paint(page, path)
            self._session = page.context.storage_state()
            page.context.close()
            yield

    def painted(self) -> Figures:
        """Each page in a fresh profile, and again in one that knows our styles and scripts."""
        found: dict[str, float] = {}
        slowest, loads, before = 0.0, 0, self._processes.cpu_s()
        known = self._profile()
        for name, path in PAGES.items():
            self._paint(known, path)
            first, again = [], []
            for _ in range(self._times):
                page = self._profile()
                first.append(self._paint(page, path))
                page.context.close()
                again.append(self._paint(known, path))
            found[f"{name} first visit ms"] = quantile(first, 0.5)
            found[f"{name} again ms"] = quantile(again, 0.5)
            slowest = max(slowest, *first, *again)
            loads += 1 + len(first) + len(again)
        used = self._processes.cpu_s() - before
        known.context.close()
        return {**found, "slowest ms": slowest, "server CPU ms": used / loads * 1000}

    def _profile(self) -> Page:
        page = self._browser.new_context(storage_state=self._session).new_page()
        page.set_default_timeout(60_000)
        return page

    def _paint(self, page: Page, path: str) -> float:
        reply = page.goto(f"{self._url}{path}")
        assert reply is not None
        assert reply.status == 200, f"{path}: {reply.status}"
        return float(page.evaluate(PAINTED))
