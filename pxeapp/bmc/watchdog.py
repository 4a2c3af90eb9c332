"""Keeps BMC worker processes alive: one that ends, freezes or stops beating is replaced; the rows lose nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

BEATS_MISSED_S = 75.0  # a locked database holds the loop for 30 s
FIRST_BEAT_S = 60.0  # more: a host that starts everything at once
BACKOFF_S = (0.5, 30.0)  # before a worker that ended is replaced: the first time, and at most
SANE_S = 60.0  # a worker that lived this long begins again with the short one
STOP_S = 20.0
log = logging.getLogger(__name__)


@dataclass
class Child:
    """One worker process, the pipe it beats on, and when it last did."""

    process: subprocess.Popen[bytes]
    pipe: int
    started: float
    last_beat: float


class Watchdog:
    """Runs `count` workers of one command until told to stop. The command gets `--beat FD` appended."""

    def __init__(
        self, count: int, command: Sequence[str], *, missed_s: float = BEATS_MISSED_S, what: str = "BMC worker"
    ) -> None:
        self._count = count
        self._command = tuple(command)
        self._missed_s = missed_s
        self._what = what
        self._children: list[Child] = []
        self._pause_s = BACKOFF_S[0]
        self._start_at = 0.0

    @property
    def pids(self) -> list[int]:
        """The running workers' process numbers."""
        return [child.process.pid for child in self._children]

    def run(self, stop: threading.Event) -> None:
        """Blocks until `stop`; then ends the workers and returns."""
        try:
            while not stop.is_set():
                while len(self._children) < self._count and time.monotonic() >= self._start_at:
                    self._children.append(self._start())
                self._listen(0.2)
                self._bury()
        finally:
            self._stop_all()

    def _start(self) -> Child:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)  # a worker never waits for us
        process = subprocess.Popen([*self._command, "--beat", str(writer)], pass_fds=[writer])
        os.close(writer)
        os.set_blocking(reader, False)
        now = time.monotonic()
        return Child(process, reader, now, now + FIRST_BEAT_S)

    def _listen(self, seconds: float) -> None:
        by_pipe = {child.pipe: child for child in self._children}
        if not by_pipe:
            time.sleep(seconds)
            return
        ready, _, _ = select.select(list(by_pipe), [], [], seconds)
        for pipe in ready:
            if os.read(pipe, 65536):
                by_pipe[pipe].last_beat = time.monotonic()
            else:
                time.sleep(0.05)  # it has closed its end: it is about to be buried
        if ready:
            time.sleep(0.1)  # it beats several times a second; we need not count them

    def _bury(self) -> None:
        for child in list(self._children):
            silent = time.monotonic() - child.last_beat
            if child.process.poll() is None and silent > self._missed_s:
                log.error("%s %s has been silent for %.0f s and is killed.", self._what, child.process.pid, silent)
                child.process.kill()
                child.process.wait()
            code = child.process.poll()
            if code is not None:
                self._children.remove(child)
                os.close(child.pipe)
                self._back_off(child, code)

    def _back_off(self, child: Child, code: int) -> None:
        lived = time.monotonic() - child.started
        pause = BACKOFF_S[0] if lived > SANE_S else self._pause_s
        self._pause_s = min(pause * 2, BACKOFF_S[1])
        self._start_at = time.monotonic() + pause
        log.warning("%s %s ended with %s; another starts in %.1f s.", self._what, child.process.pid, code, pause)

    def _stop_all(self) -> None:
        for child in self._children:
            # A frozen one must not miss it.
            for number in (signal.SIGTERM, signal.SIGCONT):
                child.process.send_signal(number)
        deadline = time.monotonic() + STOP_S
        for child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
            if child.process.poll() is None:
                child.process.kill()
                child.process.wait()
            os.close(child.pipe)
        self._children.clear()
