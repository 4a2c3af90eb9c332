"""How many requests there were, how they ended and how long they took: counted by all web processes of a host together.

Counters in a small file that the processes share, for a scrape meets any one of them. Few and fixed: nobody makes more
of them by asking for odd addresses.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from pxeapp.traffic.shared import Shared

KINDS = ("api", "page", "other")
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
WIDTH = len(CLASSES) + len(BOUNDS) + 2  # the last two: longer than any bound, and seconds in all
NUMBERS = struct.Struct(f"<{WIDTH}d")


class Tally:
    """One per process; from any thread."""

    def __init__(self, path: Path) -> None:
        self._counters = Shared(path, len(KINDS) * NUMBERS.size)

    def count(self, kind: str, status: int, took_s: float) -> None:
        """One request."""
        place = KINDS.index(kind) * NUMBERS.size
        bucket = next((number for number, bound in enumerate(BOUNDS) if took_s <= bound), len(BOUNDS))
        with self._counters.alone() as shared:
            numbers = list(NUMBERS.unpack(shared.read(place, NUMBERS.size)))
            numbers[min(max(status // 100, 1), 5) - 1] += 1
            numbers[len(CLASSES) + bucket] += 1
            numbers[-1] += took_s
            shared.write(place, NUMBERS.pack(*numbers))

    def each(self) -> Iterator[tuple[str, Sequence[float], Sequence[float], float]]:
        """Kind, requests by class of status, by duration, and seconds in all."""
        with self._counters.alone() as shared:
            content = shared.read(0, len(KINDS) * NUMBERS.size)
        for kind, found in zip(KINDS, NUMBERS.iter_unpack(content), strict=True):
            yield kind, found[: len(CLASSES)], found[len(CLASSES) : -1], found[-1]

    def close(self) -> None:
        """Give the file back."""
        self._counters.close()
