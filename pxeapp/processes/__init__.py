"""The commands that run: `pxeapp serve` and each part of it, a file each, so that a part loads only what it needs."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from types import FrameType


def log_to_stdout() -> None:
    """Log lines go to whoever started the process: the supervisor, or a service manager."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    logging.getLogger("huey").setLevel(logging.WARNING)


def stop_event() -> threading.Event:
    """Set by SIGTERM or SIGINT."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return stop
