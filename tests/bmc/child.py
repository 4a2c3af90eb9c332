"""A BMC worker process in a hurry, for the tests of the watchdog: `python -m tests.bmc.child --beat FD`.

It dies where it is told to: the folder FAIL_POINTS names holds a file per machine, with the point in it; whoever dies
of it takes the file along. After the word `hang` pyghmi's thread ends there instead, as it was seen to do by itself;
after `stop` the process stands still there until it is woken.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pyghmi.ipmi.private import session as pyghmi_session

from pxeapp import config
from pxeapp.bmc import ipmi, power, rmcp
from pxeapp.bmc.hands import Carrier, Hand
from pxeapp.bmc.models import PowerAction
from pxeapp.bmc.ports import Driver
from pxeapp.bmc.power import PowerTimings
from pxeapp.bmc.worker import BmcWorker, Pace
from pxeapp.machines import timeline

FAIL_POINTS = "TEST_FAIL_POINTS"


def seconds(number: float) -> dt.timedelta:
    return dt.timedelta(seconds=number)


TIMINGS = PowerTimings(
    poll=seconds(0.1),
    gap=seconds(0.3),
    settle=seconds(0.8),
    confirm=seconds(5),
    unreachable=seconds(3),
    deadline=seconds(30),
    lease=seconds(1.5),
    margin=seconds(0.3),
)
PACE = Pace(idle=0.05, claim=0.1, renew=0.3, poll=0.3, hung=2.5, stop=1.0)


def fail_at_points(folder: Path) -> None:
    """Be killed before an intent is committed, after that, after the command left, and after that is on record."""

    def die_at(machine_id: int, point: str) -> None:
        wish = folder / str(machine_id)
        try:
            what = wish.read_text()
        except FileNotFoundError:
            return
        if what == f"hang {point}":
            thread: Any = pyghmi_session.iothread
            thread.running = False
        elif what not in (point, f"stop {point}"):
            return
        wish.unlink()
        if what.startswith("stop"):
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(
                0.3
            )  # another thread may be the one that takes the signal, a little later; stand still until then
        elif not what.startswith("hang"):
            os.kill(os.getpid(), signal.SIGKILL)

    enter, carry_out, send = power.enter, Carrier._carry_out, Carrier._send

    def dangerous_enter(book: timeline.Book, action: PowerAction, phase: str, *, now: dt.datetime, note: str) -> None:
        die_at(action.machine_id, f"before {phase}")
        enter(book, action, phase, now=now, note=note)

    def dangerous_carry_out(self: Carrier, hand: Hand, phase: str) -> bool:
        die_at(hand.machine_id, f"after {phase}")
        result = carry_out(self, hand, phase)
        die_at(hand.machine_id, f"after the record of {phase}")
        return result

    def dangerous_send(self: Carrier, hand: Hand, driver: Driver, stage: str) -> bool:
        result = send(self, hand, driver, stage)
        die_at(hand.machine_id, f"after the send of {stage}_intended")
        return result

    power.enter = dangerous_enter
    Carrier._carry_out = dangerous_carry_out  # type: ignore[method-assign]
    Carrier._send = dangerous_send  # type: ignore[method-assign]


def main() -> None:
    rmcp.LOGIN_S = 1.3  # pyghmi asks again after one second at most; a second piece of garbage tells it from silence
    rmcp.ANSWER_S = 0.8
    ipmi.SEND_S = 0.5
    if FAIL_POINTS in os.environ:
        fail_at_points(Path(os.environ[FAIL_POINTS]))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    code = BmcWorker(config.load(), beat=int(sys.argv[2]), timings=TIMINGS, pace=PACE).run(stop)
    os._exit(code)


if __name__ == "__main__":
    main()
