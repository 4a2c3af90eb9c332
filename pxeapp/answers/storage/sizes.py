"""Sizes as operators write them. A disk's are its maker's: `480G` is 480 * 10^9 bytes; a volume's are powers of two."""

from __future__ import annotations

import re
from typing import Any

from pxeapp.machines.disks import LARGEST, NUMBER, disk_bytes, shown

__all__ = ["DISK_FIX", "MIB", "SECTOR", "VOLUME_FIX", "disk_bytes", "disk_range", "shown", "volume_mib"]

MIB = 1 << 20
SECTOR = 512  # what /sys/block/*/size counts in, whatever the disk's own sectors are
# A "480 GB" disk has between 480 and 480.1 * 10^9 bytes, an older one up to 4 % more or less than its label.
TOLERANCE_PERCENT = 5
_POWERS = {"M": 2, "G": 3, "T": 4, "P": 5}
_RANGE = re.compile(r"\s*(\S+?)\s*-\s*(\S+)\s*")

DISK_FIX = 'Write 480G, ">=3.5T", "<=1T", "400G-500G", smallest or largest.'
VOLUME_FIX = "Write 20G, 512M or rest."


def disk_range(said: Any) -> tuple[int | None, int | None] | None:
    """The least and the most bytes of a disk hint's `size`; None when it is no size."""
    text = str(said).strip() if isinstance(said, (str, int)) and not isinstance(said, bool) else ""
    for sign, least in ((">=", True), ("<=", False)):
        if text.startswith(sign):
            size = disk_bytes(text[2:])
            return None if size is None else (size, None) if least else (None, size)
    if (found := _RANGE.fullmatch(text)) is not None:
        low, high = disk_bytes(found[1]), disk_bytes(found[2])
        return None if low is None or high is None or low > high else (low, high)
    size = disk_bytes(text)
    if size is None:
        return None
    slack = size * TOLERANCE_PERCENT // 100
    return size - slack, size + slack


def volume_mib(said: Any) -> int | None:
    """`20G` or `20GiB` in MiB (a bare number counts MiB, as in a kickstart); None when it is no size."""
    text = str(said).strip() if isinstance(said, (str, int)) and not isinstance(said, bool) else ""
    found = NUMBER.fullmatch(text)
    if found is None or found[3].upper() == "K":
        return None
    whole, decimals, unit, _ = found.groups()
    scale = 10 ** len(decimals or "")
    size = int(whole + (decimals or "")) * 1024 ** (_POWERS[unit.upper() or "M"] - 2) // scale
    return size if 0 < size <= LARGEST // MIB else None
