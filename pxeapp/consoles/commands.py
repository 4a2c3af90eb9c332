"""`pxeapp console`: the process that holds serial consoles."""

from __future__ import annotations

import os
import signal
import sys
import threading

import click

from pxeapp import config
from pxeapp.bmc.watchdog import Watchdog
from pxeapp.consoles.holder import Holder

OURSELVES = (sys.executable, "-m", "pxeapp", "console")


@click.command("console")
@click.option("--beat", type=int, hidden=True, help="Hold the consoles, and beat on this file descriptor.")
def console(beat: int | None) -> None:
    """Hold serial consoles for the pages, and record deployments; a watchdog replaces it when it hangs."""
    settings = config.load()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if beat is None:
        Watchdog(1, OURSELVES, what="Console process").run(stop)
        return
    # Threads may hang in a BMC, and only the end of the process ends them.
    os._exit(Holder(settings, beat=beat).run(stop))
