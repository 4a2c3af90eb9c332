"""One `pxeapp serve` per data directory. The kernel drops the lock with its process, so a stale one bars nobody."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pxeapp.errors import Conflict

NAME = "serve.lock"


class AlreadyServed(Conflict):
    """Another one runs on this data directory; two would fight over ports, and over dnsmasq's files."""

    title = "Already running"


@contextmanager
def only_one(run_dir: Path) -> Iterator[None]:
    """Hold the lock meanwhile; raises AlreadyServed with the other's process number."""
    path = run_dir / NAME
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyServed(
                f"pxeapp serve already runs on {run_dir.parent}, as process {file.read().strip() or 'unknown'}.",
                hint="Stop that one first, or give this one a PXEAPP_DATA_DIR of its own.",
            ) from None
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
