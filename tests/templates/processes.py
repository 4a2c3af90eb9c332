"""The processes of a pool, as the kernel sees them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def zygotes(parent: int | None = None) -> list[int]:
    """Children of a process (ours, if none is named) that fork renderers."""
    return [pid for pid in _children(parent or os.getpid()) if b"zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def renderers(parent: int | None = None) -> list[int]:
    """What they forked and is not dead."""
    return [pid for zygote in zygotes(parent) for pid in _children(zygote)]


def alive(pid: int) -> bool:
    try:
        return _stat(pid)[0] != "Z"
    except OSError:
        return False


def await_that(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not what():
        assert time.monotonic() < deadline, "it did not happen within 15 s"
        time.sleep(0.02)


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, ppid = _stat(int(entry.name))[:2]
        except OSError:
            continue
        if int(ppid) == parent and state != "Z":
            found.append(int(entry.name))
    return found


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
