"""The simulated BMCs as a process: `python -m tests.bench.power_load.fleet`. One line of JSON asks, one answers."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from pxeapp.lab.fleet.bmcs import BmcFleet, SimulatedBmc

LOGIN = {"username": "admin", "password": "secret"}


def main() -> None:
    """Serve until the other side closes its end."""
    with BmcFleet(username=LOGIN["username"], password=LOGIN["password"]) as fleet:
        for line in sys.stdin:
            print(json.dumps(_answer(fleet, **json.loads(line))), flush=True)


def _answer(fleet: BmcFleet, *, ask: str, **given: Any) -> Any:
    if ask == "more":
        return [_fresh(fleet.add(f"bmc{number}"), **given["like"]).port for number in range(given["count"])]
    if ask == "reset":
        for bmc in fleet.bmcs:
            _fresh(bmc, **given["like"])
        return len(fleet.bmcs)
    if ask == "sicken":
        for bmc in fleet.bmcs[: given["count"]]:
            bmc.illness = given["illness"]
        return given["count"]
    if ask == "report":
        return {
            "cpu_s": time.process_time(),
            "bmcs": [
                {"told": bmc.commands(), "on": bmc.power, "from": bmc.booted_from, "logins": len(bmc.logins)}
                for bmc in fleet.bmcs
            ],
        }
    raise ValueError(ask)


def _fresh(bmc: SimulatedBmc, *, takes_s: float, reply_after_s: float) -> SimulatedBmc:
    """On, well, and without a past."""
    bmc.power, bmc.boot_device, bmc.booted_from, bmc.illness = True, None, None, "answering"
    bmc.takes_s, bmc.reply_after_s = takes_s, reply_after_s
    bmc.received.clear()
    bmc.logins.clear()
    return bmc


if __name__ == "__main__":
    main()
