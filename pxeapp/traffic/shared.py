"""A small file that the web processes of a host share, as memory: one of them at a time reads and writes in it.

It holds nothing that must last. Where it cannot be used, its memory is this process's alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path


class Shared:
    """One per process; from any thread."""

    def __init__(self, path: Path | None, size: int) -> None:
        """`path`: None, or a file that cannot be used, for memory of this process alone."""
        self._lock = threading.Lock()
        self._file = _open(path, size)
        # Whoever forgets to close it leaves no descriptor behind.
        self._close = weakref.finalize(self, os.close, self._file) if self._file is not None else None
        self.memory = mmap.mmap(self._file if self._file is not None else -1, size)

    @contextlib.contextmanager
    def alone(self) -> Iterator[mmap.mmap]:
        """The memory, while no other thread or process has it."""
        with self._lock:
            if self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield self.memory
            finally:
                if self._file is not None:
                    fcntl.lockf(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file back."""
        self.memory.close()
        if self._close is not None:
            self._close()


def _open(path: Path | None, size: int) -> int | None:
    if path is None:
        return None
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        os.ftruncate(file, size)
    except OSError:
        os.close(file)
        return None
    return file
