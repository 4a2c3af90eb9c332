"""Is a part that lives also there? One that answered once and then for a minute does not is started again.

A part is asked over HTTP, or beats on a pipe by itself. With care: no answer is a judgement only on who has answered
before, and any answer is one. A busy host is slow, not silent for a minute; a part that is refused its port ends by
itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

EVERY_S = 10.0
ANSWERS_WITHIN_S = 10.0
SILENT_TIMES = 6  # in a row
Address = tuple[str, int] | Path  # a unix socket's path


class Pulse:
    """Asks one part every now and then, in a thread of its own."""

    def __init__(self, ask: Callable[[], bool], *, every_s: float = EVERY_S, times: int = SILENT_TIMES) -> None:
        self._ask = ask
        self._every_s = every_s
        self._times = times
        self._silent = 0
        self._has_answered = False

    @property
    def is_lost(self) -> bool:
        """Whether it has been silent for too long."""
        return self._silent >= self._times

    def begin(self) -> None:
        """Of a part that was just started: nothing is known of it."""
        self._silent = 0
        self._has_answered = False

    def watch(self, stop: threading.Event) -> None:
        """Ask until `stop`."""
        while not stop.wait(self._every_s):
            if self._ask():
                self._silent, self._has_answered = 0, True
            elif self._has_answered:
                self._silent += 1


class Beats:
    """What a part says of itself, a byte now and then on a pipe that it is given at its start."""

    def __init__(self) -> None:
        self._reader: int | None = None
        self._lock = threading.Lock()

    def open(self) -> int:
        """The end for a process that is about to start; whoever starts it closes ours. From now on only it is heard."""
        reader, writer = os.pipe()
        for end in (reader, writer):  # nobody ever waits for the other
            os.set_blocking(end, False)
        with self._lock:
            before, self._reader = self._reader, reader
        if before is not None:
            os.close(before)
        return writer

    def heard(self) -> bool:
        """Whether it beat since this was asked last."""
        with self._lock, contextlib.suppress(BlockingIOError):
            return self._reader is not None and bool(os.read(self._reader, 65_536))
        return False


def answers_http(address: Address, path: str) -> bool:
    """Whether anything that speaks HTTP answers there in time; what it says does not matter."""
    deadline = time.monotonic() + ANSWERS_WITHIN_S
    with contextlib.suppress(OSError), _connected(address) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        said = b""
        while len(said) < len(b"HTTP/") and time.monotonic() < deadline:
            piece = sock.recv(64)
            if not piece:
                break
            said += piece
        return said.startswith(b"HTTP/")
    return False


def _connected(address: Address) -> socket.socket:
    if isinstance(address, tuple):
        return socket.create_connection(address, ANSWERS_WITHIN_S)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(ANSWERS_WITHIN_S)
    try:
        sock.connect(str(address))
    except OSError:
        sock.close()
        raise
    return sock
