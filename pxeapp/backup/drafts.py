"""Folders for what is not finished yet: locked while somebody works in them, and cleared away by the next one if not.

Whoever is killed cannot clear away what it has begun, and that may hold the key. The kernel drops the lock with its
process, so that nobody needs to guess which folders are still in use.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

BACKUP = ".pxeapp-backup-"
RESTORE = ".restore-"


@contextlib.contextmanager
def folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder of our own below `parent`, which nobody else may read; gone at the end, like those of the dead."""
    _clear(parent, prefix)
    made, lock = _made(parent, prefix)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def _made(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        made = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))  # made 0700
        lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(OSError):  # a file system without locks: there nothing is cleared away either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():  # else somebody took it for one of the dead before it was locked
            return made, lock
        os.close(lock)


def _clear(parent: Path, prefix: str) -> None:
    for left in parent.glob(f"{prefix}*"):
        try:
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # somebody else's, or no folder
            continue
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        os.close(lock)
