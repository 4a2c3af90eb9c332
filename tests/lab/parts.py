"""An appliance's processes, found by its data directory: to kill one of them."""

from __future__ import annotations

from pathlib import Path


def pids(data_dir: Path, part: str) -> list[int]:
    """The processes of `pxeapp PART` that work on this data directory."""
    mine = f"PXEAPP_DATA_DIR={data_dir}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"pxeapp" in words and part.encode() in words and mine in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
