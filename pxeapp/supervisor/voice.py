"""What is said goes to standard output from a thread of its own: one who does not read it holds up nobody.

Nobody reads where a terminal was stopped by Ctrl-S, a pager waits for a key or a log collector hangs. A slow reader is
waited for. Of one who does not move lines are dropped, and how many is said as soon as there is a reader again.
"""

from __future__ import annotations

import datetime as dt
import os
import select
import threading
import time
from collections import deque

MOST = 1024 * 1024  # bytes that wait for the reader
OURS = 64 * 1024  # more, for those who cannot wait: what the supervisor itself says
STUCK_S = 5.0  # for one piece; a serial console takes half a second
PIECE = 4096
LOOK_S = 1.0


class Voice:
    """One per process; from any thread."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._writing_since: float | None = None
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write_for_ever, name="voice", daemon=True)

    def begin(self) -> None:
        """What was said before is written now."""
        self._thread.start()

    def say(self, line: str, *, patient: bool = False) -> None:
        """One line. Never waits, unless `patient`: then while the reader is slow, but moves."""
        content = f"{_stamp()} {line}\n".encode()
        with self._changed:
            while patient and self._size + len(content) > MOST and not self._is_stuck():
                self._changed.wait(LOOK_S)
            if self._size + len(content) > (MOST if patient else MOST + OURS):
                self._dropped += 1
                return
            self._put(content)

    def end(self, within_s: float) -> None:
        """Write what waits, as far as it is read in time."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join(max(0.0, within_s))

    def _put(self, content: bytes) -> None:
        self._lines.append(content)
        self._size += len(content)
        self._changed.notify_all()

    def _is_stuck(self) -> bool:
        since = self._writing_since
        return since is not None and time.monotonic() - since > STUCK_S

    def _write_for_ever(self) -> None:
        while (content := self._next()) is not None:
            self._write(content)
            with self._changed:
                self._size -= len(content)
                if self._dropped and not self._lines:
                    self._put(f"{_stamp()} serve      {self._dropped} lines are missing: nobody read them\n".encode())
                    self._dropped = 0
                self._changed.notify_all()

    def _next(self) -> bytes | None:
        with self._changed:
            while not self._lines and not self._ended:
                self._changed.wait()
            return self._lines.popleft() if self._lines else None

    def _write(self, content: bytes) -> None:
        """Past Python's own output, whose lock a writer that stands still would hold at the end of the process."""
        while content:
            self._writing_since = time.monotonic()
            try:
                written = self._piece(content[:PIECE])
            except OSError:  # whoever read it is gone, and every part must go on being read
                break
            content = content[written:]
        self._writing_since = None

    def _piece(self, content: bytes) -> int:
        while True:
            try:
                return os.write(self._descriptor, content)
            except BlockingIOError:  # somebody who shares it has set it so
                waiting = select.poll()
                waiting.register(self._descriptor, select.POLLOUT)
                waiting.poll(LOOK_S * 1000)


def _stamp() -> str:
    return dt.datetime.now(dt.UTC).strftime("%H:%M:%S")
