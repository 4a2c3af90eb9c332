"""How many requests there were, how they ended and how long they took: counted by all web processes of a host together.

Counters in a small file that the processes share, for a scrape meets any one of them. Few and fixed: nobody makes more
of them by asking for odd addresses.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

KINDS = ("api", "page", "other")
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
WIDTH = len(CLASSES) + len(BOUNDS) + 2  # the last two: longer than any bound, and seconds in all
NUMBERS = struct.Struct(f"<{WIDTH}d")


class Tally:
    """One per process; from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file: int | None = None
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._file, len(KINDS) * NUMBERS.size)
        except OSError:
            self._file = None  # this process alone is counted
        self._map = mmap.mmap(self._file if self._file is not None else -1, len(KINDS) * NUMBERS.size)

    def count(self, kind: str, status: int, took_s: float) -> None:
        """One request."""
        place = KINDS.index(kind) * NUMBERS.size
        bucket = next((number for number, bound in enumerate(BOUNDS) if took_s <= bound), len(BOUNDS))
        with self._lock:
            if self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                numbers = list(NUMBERS.unpack_from(self._map, place))
                numbers[min(max(status // 100, 1), 5) - 1] += 1
                numbers[len(CLASSES) + bucket] += 1
                numbers[-1] += took_s
                NUMBERS.pack_into(self._map, place, *numbers)
            finally:
                if self._file is not None:
                    fcntl.lockf(self._file, fcntl.LOCK_UN)

    def each(self) -> Iterator[tuple[str, Sequence[float], Sequence[float], float]]:
        """Kind, requests by class of status, by duration, and seconds in all."""
        for number, kind in enumerate(KINDS):
            found = NUMBERS.unpack_from(self._map, number * NUMBERS.size)
            yield kind, found[: len(CLASSES)], found[len(CLASSES) : -1], found[-1]
