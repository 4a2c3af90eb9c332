"""`pxeapp bmc-worker`: the process that alone talks to BMCs."""

from __future__ import annotations

import signal
import threading

import click

from pxeapp import config
from pxeapp.bmc.watchdog import Watchdog
from pxeapp.bmc.worker import BmcWorker


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
        Watchdog(processes).run(stop)
    else:
        BmcWorker(settings, beat=beat).run(stop)
