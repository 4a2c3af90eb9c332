"""`pxeapp bmc-worker`: the process that alone talks to BMCs."""

from __future__ import annotations

import os
import signal
import sys
import threading

import click

from pxeapp import config
from pxeapp.bmc.watchdog import Watchdog
from pxeapp.bmc.worker import BmcWorker
from pxeapp.config import Settings

OURSELVES = (sys.executable, "-m", "pxeapp", "bmc-worker")


@click.command("bmc-worker")
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1, 16), help="Worker processes.")
@click.option("--beat", type=int, hidden=True, help="Be a worker, and beat on this file descriptor.")
def bmc_worker(processes: int, beat: int | None) -> None:
    """Carry out power actions; a watchdog replaces a worker that hangs."""
    settings = config.load()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if beat is None:
        Watchdog(processes, OURSELVES).run(stop)
    else:
        work(settings, stop, beat=beat)


def work(settings: Settings, stop: threading.Event, *, beat: int | None = None) -> None:
    """Be one worker until `stop`; ends the whole process where a thread hangs in a BMC and cannot be ended alone."""
    code = BmcWorker(settings, beat=beat).run(stop)
    if code:
        os._exit(code)
