"""Many files at once, confirmed by the disk once: what may be lost with the power is written down beforehand.

The store's word is that a file in its pool is right. A disk that has to confirm each of five thousand small files takes
most of a sync's time. So whoever brings many names them in a list first, which is confirmed; then they come in without
waiting for the disk; then it confirms all of them together, and the list goes. A list that is there without its owner
tells which files a loss of power may have spoiled: these are hashed, and those that are wrong go.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pxeapp.errors import Unavailable
from pxeapp.software.content.store import SHA256, Store

PREFIX = "unsynced-"
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def together(store: Store, hashes: Collection[str]) -> Iterator[None]:
    """Within it files of these hashes may be received with `durable=False`; at its end all of them are on the disk."""
    if not hashes:
        yield
        return
    store.incoming.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", prefix=PREFIX, dir=store.incoming, delete=False) as owned:
        fcntl.flock(owned, fcntl.LOCK_EX)
        owned.write("".join(f"{each}\n" for each in hashes))
        owned.flush()
        os.fsync(owned.fileno())
        _confirm(store.incoming)  # the list's own name, too
        try:
            yield
        finally:  # what came in before a failure is here to stay, and must not be hashed for it
            _confirm(store.root)
            Path(owned.name).unlink()


def look(store: Store) -> int:
    """Look at what processes that are no more have left unconfirmed; how many files were wrong. Safe at any time."""
    wrong = 0
    for path in sorted(store.incoming.glob(f"{PREFIX}*")):
        with suppress(FileNotFoundError), path.open() as left:
            try:
                fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its owner lives
            wrong += sum(_spoiled(store.path(line.strip())) for line in left if SHA256.fullmatch(line.strip()))
            _confirm(store.root)
            path.unlink(missing_ok=True)
    return wrong


def _spoiled(path: Path) -> bool:
    """Whether a file was wrong, and is gone."""
    try:
        with path.open("rb") as handle:
            right = hashlib.file_digest(handle, "sha256").hexdigest() == path.name
    except FileNotFoundError:
        return False
    if not right:
        path.unlink(missing_ok=True)
    return not right


def _confirm(folder: Path) -> None:
    """syncfs(2): everything that was written to this file system so far is on its disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        if _LIBC.syncfs(handle) != 0:
            number = ctypes.get_errno()
            raise Unavailable(f"The disk of {folder} does not confirm what was written: {os.strerror(number)}.")
    finally:
        os.close(handle)
