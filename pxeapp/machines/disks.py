"""What is known of a machine's disks, and their sizes: `480G` is 480 * 10^9 bytes, as on the label."""

from __future__ import annotations

import re
from typing import NamedTuple

PURPOSES = ("system", "data", "keep", "free")  # free: known, and whatever the layout says of it
LARGEST = 1 << 60
POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
NUMBER = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,3}))?\s*([KMGTP]?)(i?)B?", re.IGNORECASE)


class KnownDisk(NamedTuple):
    """One of a machine's disks; None is what nobody has said."""

    path: str
    purpose: str = "system"
    serial: str | None = None
    size: int | None = None
    wwn: str | None = None
    model: str | None = None
    rotational: bool | None = None

    @property
    def described(self) -> bool:
        """Whether more is known than where it is."""
        return any(each is not None for each in self[2:])


def disk_bytes(text: str) -> int | None:
    """`3.84T` in bytes, `447Gi` in powers of two; None when it is no size."""
    found = NUMBER.fullmatch(text.strip())
    if found is None:
        return None
    whole, decimals, unit, binary = found.groups()
    base = 1024 if binary else 1000
    scale = 10 ** len(decimals or "")
    size = int(whole + (decimals or "")) * base ** POWERS[unit.upper()] // scale
    return size if 0 < size <= LARGEST else None


def shown(size: int) -> str:
    """A disk's size as its label says it."""
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6)):
        if size >= 10**power:
            return f"{size / 10**power:.4g} {unit}"
    return f"{size} bytes"


def in_words(disk: KnownDisk) -> str:
    """What is known of a disk besides its path, in one short line; empty when nothing is."""
    said = [shown(disk.size)] if disk.size is not None else []
    said += [disk.model] if disk.model else []
    said += [f"serial {disk.serial}"] if disk.serial else []
    said += [f"WWN {disk.wwn}"] if disk.wwn else []
    if disk.rotational is not None:
        said.append("spins" if disk.rotational else "does not spin")
    return ", ".join(said)
