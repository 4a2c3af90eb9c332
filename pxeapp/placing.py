"""Files that are there whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PREFIX = ".new-"  # no server shows what begins with a dot
FOR_ALL = 0o644


def place(path: Path, content: bytes) -> None:
    """Have a public file be this; whoever reads it meanwhile has the old one or the new one. Its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            os.fchmod(descriptor, FOR_ALL)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def sync_folder(folder: Path) -> None:
    """A rename is on the disk once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
