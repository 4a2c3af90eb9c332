"""Typing on a machine's console in the browser: from the key to its echo on the screen.

A real Chromium, the whole appliance, a BMC that speaks serial over LAN and echoes as a terminal does. The other
contender is our driver alone at the same BMC, without appliance and browser: what serial over LAN itself takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from playwright.sync_api import Page

from pxeapp.bmc.ipmi import IpmiBmc
from pxeapp.lab.fleet.bmcs import BmcFleet, SimulatedBmc
from pxeapp.machines import selectors
from pxeapp.machines.models import Bmc
from pxeapp.vault import open_vault
from tests.bench.rounds import Contender, Figures, Target, Work, quantile
from tests.bench.serving.appliance import ADDRESS, PASSWORD, Appliance
from tests.ui import play

NAME, SECRET, MACHINE = "admin", "simulated", "node00001"
BETWEEN_S = 0.08  # a quick typist
ECHO_S = 10.0
# The moment at which a key goes down, and the one at which what it became is part of the page.
WATCH = """() => {
  window.times = [];
  let down = 0;
  addEventListener("keydown", () => { down = performance.now(); }, true);
  new MutationObserver(() => { if (down) { window.times.push(performance.now() - down); down = 0; } })
    .observe(document.querySelector(".xterm-rows"), { subtree: true, childList: true, characterData: true });
}"""


def works(*, quick: bool) -> list[Work]:
    """One work: some hundred keys, one after the other."""
    typing = _Typing(20 if quick else 200)
    return [
        Work(
            name="console-typing",
            title="Typing on a console in the browser: key to echo",
            contenders=[Contender("pxeapp", typing.in_the_browser), Contender("serial over LAN", typing.at_the_bmc)],
            targets=[Target("p99 ms", at_most=150, says="p99 under 150 ms: a hand does not feel it")],
            rounds=1 if quick else 3,
            prepared=typing.prepared,
            notes=[
                f"{typing.keys} keys a round, {BETWEEN_S * 1000:.0f} ms apart, in Chromium; the machine is simulated.",
                "*serial over LAN*: our driver alone at the same BMC, without appliance and browser.",
            ],
        )
    ]


class _Typing:
    def __init__(self, keys: int) -> None:
        self.keys = keys
        self._page: Page
        self._bmc: SimulatedBmc

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """The appliance with one machine whose BMC answers, and a browser with its console."""
        with ExitStack() as stack:
            fleet = stack.enter_context(BmcFleet(username=NAME, password=SECRET))
            self._bmc, watched = fleet.add("alone"), fleet.add("watched")
            for bmc in (self._bmc, watched):
                bmc.echoes(yes=True)
            appliance = Appliance(machines=1)
            stack.callback(appliance.close)
            vault = open_vault(appliance.settings.data_dir)
            with appliance.database.write() as session:
                selectors.get(session, MACHINE).bmc = Bmc(
                    type="ipmi", address=watched.address, port=watched.port, username=NAME,
                    password_encrypted=vault.encrypt(SECRET), cipher_suite=17,
                )  # fmt: skip
            stack.enter_context(appliance.whole())
            url = f"http://{ADDRESS}:{appliance.web_port}"
            self._page = play.signed_in(stack.enter_context(play.opened()), url, NAME, PASSWORD)
            self._page.goto(f"{url}/machines/{MACHINE}/console")
            self._page.wait_for_selector("#console-status[data-state=open]")
            self._page.evaluate(WATCH)
            yield

    def in_the_browser(self) -> Figures:
        """Keys of a keyboard, and when the page shows them."""
        self._page.evaluate("window.times = []")
        for number in range(self.keys):
            self._page.keyboard.press("Enter" if number % 60 == 0 else "x")
            deadline = time.monotonic() + ECHO_S
            self._page.wait_for_timeout(BETWEEN_S * 1000)
            while self._page.evaluate("window.times.length") <= number:
                assert time.monotonic() < deadline, "no echo came"
                self._page.wait_for_timeout(BETWEEN_S * 1000)
        return _figures([float(each) / 1000 for each in self._page.evaluate("window.times")])

    def at_the_bmc(self) -> Figures:
        """The same keys by our driver."""
        came, over, seconds = threading.Event(), threading.Event(), []
        driver = IpmiBmc(self._bmc.address, self._bmc.port, NAME, SECRET, suite=17)
        line = driver.serial_line(lambda _: came.set())
        thread = threading.Thread(target=line.run, args=(over.is_set,))
        thread.start()
        try:
            for _ in range(self.keys):
                came.clear()
                began = time.perf_counter()
                line.type(b"x")
                assert came.wait(ECHO_S), "no echo came"
                seconds.append(time.perf_counter() - began)
                time.sleep(BETWEEN_S)
        finally:
            over.set()
            thread.join(ECHO_S)
            line.close()
            driver.close()
        return _figures(seconds)


def _figures(seconds: list[float]) -> Figures:
    return {f"{name} ms": quantile(seconds, share) * 1000 for name, share in (("p50", 0.5), ("p99", 0.99))}
