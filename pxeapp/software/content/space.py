"""Whether there is room for what is about to be written; asked before, so that a full disk is only a sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

from pxeapp.errors import Conflict

GIB = 1024**3
SPARE = GIB  # what the database, logs and recordings keep
SPARE_PART = 20  # or a twentieth of a disk that is smaller than 20 GiB


def need(folder: Path, size: int, *, for_what: str) -> None:
    """Raises Conflict when `size` bytes more do not fit on the folder's disk beside what the appliance itself needs."""
    while not folder.exists():
        folder = folder.parent
    disk = shutil.disk_usage(folder)
    free = disk.free - min(SPARE, disk.total // SPARE_PART)
    if size > free:
        raise Conflict(
            f"{for_what} needs {shown(size)}, and {shown(max(free, 0))} are free on the disk of {folder}.",
            hint="Delete snapshots or media that are not needed, then: pxeapp software clean",
        )


def shown(size: int) -> str:
    """Bytes as people read them: 3.4 GiB, 512 MiB, 12 kB."""
    for unit, name in ((GIB, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}" if size < 10 * unit else f"{size // unit} {name}"
    return f"{size} bytes"
