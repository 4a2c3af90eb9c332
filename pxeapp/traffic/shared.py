"""A small file that the web processes of a host share: one of them at a time reads and writes in it.

It holds nothing that must last. Where it cannot be used, each process has its own memory, and looks now and then
whether it can be used again. It is read and written, not mapped: where a mapped file's disk is full or broken, the
kernel ends whoever touches it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

TRY_AGAIN_S = 10.0


class Shared:
    """One per process; from any thread."""

    def __init__(self, path: Path | None, size: int) -> None:
        """`path`: None, or a file that cannot be used, for memory of this process alone."""
        self._lock = threading.Lock()
        self._path = path
        self._size = size
        self._own = bytearray(size)
        self._file: int | None = None
        self._close: weakref.finalize[..., Shared] | None = None
        self._open()

    @contextlib.contextmanager
    def alone(self) -> Iterator[Shared]:
        """Read and write, while no other thread or process does."""
        with self._lock:
            if self._file is None and self._path is not None and time.monotonic() >= self._try_again_at:
                self._open()
            if self._file is not None:
                try:
                    fcntl.lockf(self._file, fcntl.LOCK_EX)
                except OSError:
                    self._give_up()
            try:
                yield self
            finally:
                if self._file is not None:
                    with contextlib.suppress(OSError):
                        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def read(self, place: int, size: int) -> bytes:
        """So many bytes, by whoever has it alone."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                found = os.pread(self._file, size, place)
                if len(found) == size:  # else somebody has cut it
                    return found
            self._give_up()
        return bytes(self._own[place : place + size])

    def write(self, place: int, content: bytes) -> None:
        """Put them there, by whoever has it alone."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                if os.pwrite(self._file, content, place) == len(content):
                    return
            self._give_up()
        self._own[place : place + len(content)] = content

    def close(self) -> None:
        """Give the file back."""
        self._path = None
        self._give_up()

    def _open(self) -> None:
        self._try_again_at = time.monotonic() + TRY_AGAIN_S
        self._file = _open(self._path, self._size)
        # Whoever forgets to close it leaves no descriptor behind.
        self._close = weakref.finalize(self, os.close, self._file) if self._file is not None else None

    def _give_up(self) -> None:
        """Its memory is its own from now on: half in one and half in the other would be neither."""
        self._file = None
        self._own[:] = bytes(self._size)
        self._try_again_at = time.monotonic() + TRY_AGAIN_S
        if self._close is not None:
            with contextlib.suppress(OSError):
                self._close()  # which gives a lock back, too


def _open(path: Path | None, size: int) -> int | None:
    if path is None:
        return None
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        # Room for all of it, in the holes of an older file as well: no write to it fails for want of room later.
        os.posix_fallocate(file, 0, size)
    except OSError:
        os.close(file)
        return None
    return file
