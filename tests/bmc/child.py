"""A BMC worker process in a hurry, for the tests of the watchdog: `python -m tests.bmc.child --beat FD`."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
import threading

from pxeapp import config
from pxeapp.bmc import ipmi, rmcp
from pxeapp.bmc.power import PowerTimings
from pxeapp.bmc.worker import BmcWorker, Pace


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
PACE = Pace(idle=0.05, claim=0.1, renew=0.3, poll=0.3, hung=1.5, stop=1.0)


def main() -> None:
    rmcp.LOGIN_S = rmcp.ANSWER_S = 0.8
    ipmi.SEND_S = 0.5
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    code = BmcWorker(config.load(), beat=int(sys.argv[2]), timings=TIMINGS, pace=PACE).run(stop)
    os._exit(code)


if __name__ == "__main__":
    main()
