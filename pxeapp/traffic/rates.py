"""How often a client may ask: token buckets in a small file that the web processes of a host share.

A bucket holds a minute's worth, so that a burst is no trouble, and fills evenly. The file is a cache: lost or broken it
begins anew, full.
"""

from __future__ import annotations

import hashlib
import math
import struct
from pathlib import Path

from pxeapp.traffic.shared import Shared

SLOTS = 4096
PROBES = 8  # places where a client's bucket may lie
SLOT = struct.Struct("<Qdd")  # whose, how much is in it, when that was


class Rates:
    """One per process; `take` from any thread."""

    def __init__(self, path: Path | None) -> None:
        """`path`: None, or a file that cannot be used, for buckets of this process alone."""
        self._buckets = Shared(path, SLOTS * SLOT.size)

    def take(self, who: str, per_minute: int, *, now: float) -> float:
        """Take one; 0 when there was one, else how many seconds until there is. `now` is the monotonic clock's."""
        key = int.from_bytes(hashlib.blake2b(who.encode(), digest_size=8).digest()) or 1
        with self._buckets.alone() as shared:
            place, left = _find(shared, key, float(per_minute), now)
            if left < 1:
                shared.write(place, SLOT.pack(key, left, now))
                return (1 - left) * 60 / per_minute
            shared.write(place, SLOT.pack(key, left - 1, now))
            return 0.0

    def close(self) -> None:
        """Give the file back."""
        self._buckets.close()


def _find(shared: Shared, key: int, per_minute: float, now: float) -> tuple[int, float]:
    """Its place and what is in it now; a new one gets the place that was used longest ago."""
    oldest, oldest_at = 0, math.inf
    for probe in range(PROBES):
        place = (key + probe) % SLOTS * SLOT.size
        whose, left, at = SLOT.unpack(shared.read(place, SLOT.size))
        if whose == key:
            if not (0 <= at <= now and 0 <= left <= per_minute):  # from before a restart of the host, or broken
                return place, per_minute
            return place, min(per_minute, left + (now - at) * per_minute / 60)
        if not whose or at > now:
            at = -1.0
        if at < oldest_at:
            oldest, oldest_at = place, at
    return oldest, per_minute
