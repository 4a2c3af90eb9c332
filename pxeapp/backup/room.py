"""Room on a disk: asked for before something is written, and named when there is too little of it."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from pxeapp.errors import PxeError

MARGIN = 16 * 1024 * 1024
FULL = (errno.ENOSPC, errno.EDQUOT)


class NoRoom(PxeError):
    """There is not enough space for what is about to be written; what was begun is cleared away."""

    title = "No room"


def need(folder: Path, size: int, what: str) -> None:
    """Raises NoRoom when so many bytes more do not fit."""
    free = shutil.disk_usage(folder).free
    if free < size + MARGIN:
        raise NoRoom(
            f"{what} needs {(size + MARGIN) / 1e6:.0f} MB in {folder}, and {free / 1e6:.0f} MB are free.",
            hint="Make room there; nothing was changed.",
        )


@contextlib.contextmanager
def named(folder: Path, size: int, what: str) -> Iterator[None]:
    """The same for a disk that becomes full meanwhile: others write to it, or a quota ends."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise NoRoom(
            f"{what} needs {size / 1e6:.0f} MB in {folder}, and there is no room left.",
            hint="Make room there; nothing was changed.",
        ) from None
