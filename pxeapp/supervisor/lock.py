"""One `pxeapp serve` per data directory, and none while a restore works there.

The kernel drops the lock with its process, so a stale one bars nobody.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pxeapp.errors import Conflict

NAME = "serve.lock"
SERVE = "pxeapp serve"


class AlreadyServed(Conflict):
    """Another one runs on this data directory; two would fight over ports, and over dnsmasq's files."""

    title = "Already running"


@contextmanager
def only_one(run_dir: Path, *, by: str = SERVE) -> Iterator[None]:
    """Hold the lock meanwhile; raises AlreadyServed with what holds it and that one's process number."""
    path = run_dir / NAME
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            number, _, program = file.read().strip().partition(" ")
            raise AlreadyServed(
                f"{program or SERVE} already runs on {run_dir.parent}, as process {number or 'unknown'}.",
                hint="Stop that one first, or give this one a PXEAPP_DATA_DIR of its own.",
            ) from None
        file.truncate()
        file.write(f"{os.getpid()} {by}\n")
        file.flush()
        yield
