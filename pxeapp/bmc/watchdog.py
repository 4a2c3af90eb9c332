"""Keeps BMC worker processes alive: one that ends, hangs or stops beating is replaced; the rows lose nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

BEATS_MISSED_S = 30.0
PAUSE_S = 1.0
STOP_S = 20.0
log = logging.getLogger(__name__)


@dataclass
class Child:
    """One worker process and when it last beat."""

    process: subprocess.Popen[bytes]
    pipe: int
    last_beat: float


class Watchdog:
    """Runs `count` workers until told to stop."""

    def __init__(self, count: int, *, missed_s: float = BEATS_MISSED_S) -> None:
        self._count = count
        self._missed_s = missed_s
        self._children: list[Child] = []

    @property
    def pids(self) -> list[int]:
        """The running workers' process numbers."""
        return [child.process.pid for child in self._children]

    def run(self, stop: threading.Event) -> None:
        """Blocks until `stop`; then ends the workers and returns."""
        while not stop.is_set():
            while len(self._children) < self._count:
                self._children.append(self._start())
            self._listen(0.5)
            self._bury()
        self._stop_all()

    def _start(self) -> Child:
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "pxeapp", "bmc-worker", "--beat", str(writer)], pass_fds=[writer]
        )
        os.close(writer)
        os.set_blocking(reader, False)
        return Child(process, reader, time.monotonic())

    def _listen(self, seconds: float) -> None:
        by_pipe = {child.pipe: child for child in self._children}
        ready, _, _ = select.select(list(by_pipe), [], [], seconds)
        for pipe in ready:
            if os.read(pipe, 4096):
                by_pipe[pipe].last_beat = time.monotonic()
            else:
                time.sleep(0.05)  # it has closed its end: it is about to be buried

    def _bury(self) -> None:
        for child in list(self._children):
            silent = time.monotonic() - child.last_beat
            if child.process.poll() is None and silent > self._missed_s:
                log.error("BMC worker %s has been silent for %.0f s and is killed.", child.process.pid, silent)
                child.process.kill()
                child.process.wait()
            if child.process.poll() is not None:
                log.warning(
                    "BMC worker %s ended with %s; starting another.", child.process.pid, child.process.returncode
                )
                os.close(child.pipe)
                self._children.remove(child)
                time.sleep(PAUSE_S)

    def _stop_all(self) -> None:
        for child in self._children:
            child.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        for child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
            if child.process.poll() is None:
                child.process.kill()
                child.process.wait()
            os.close(child.pipe)
