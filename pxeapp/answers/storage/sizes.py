"""Sizes as operators write them. A disk's are its maker's: `480G` is 480 * 10^9 bytes; a volume's are powers of two."""

from __future__ import annotations

import re
from typing import Any

MIB = 1 << 20
SECTOR = 512  # what /sys/block/*/size counts in, whatever the disk's own sectors are
# A "480 GB" disk has between 480 and 480.1 * 10^9 bytes, an older one up to 4 % more or less than its label.
TOLERANCE_PERCENT = 5
LARGEST = 1 << 60
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_NUMBER = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,3}))?\s*([KMGTP]?)(i?)B?", re.IGNORECASE)
_RANGE = re.compile(r"\s*(\S+?)\s*-\s*(\S+)\s*")

DISK_FIX = 'Write 480G, ">=3.5T", "<=1T", "400G-500G", smallest or largest.'
VOLUME_FIX = "Write 20G, 512M or rest."


def disk_bytes(text: str) -> int | None:
    """`3.84T` in bytes, `447Gi` in powers of two; None when it is no size."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        return None
    whole, decimals, unit, binary = found.groups()
    base = 1024 if binary else 1000
    scale = 10 ** len(decimals or "")
    size = int(whole + (decimals or "")) * base ** _POWERS[unit.upper()] // scale
    return size if 0 < size <= LARGEST else None


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
    found = _NUMBER.fullmatch(text)
    if found is None or found[3].upper() == "K":
        return None
    whole, decimals, unit, _ = found.groups()
    scale = 10 ** len(decimals or "")
    size = int(whole + (decimals or "")) * 1024 ** (_POWERS[unit.upper() or "M"] - 2) // scale
    return size if 0 < size <= LARGEST // MIB else None


def shown(size: int) -> str:
    """A disk's size as its label says it."""
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6)):
        if size >= 10**power:
            return f"{size / 10**power:.4g} {unit}"
    return f"{size} bytes"
