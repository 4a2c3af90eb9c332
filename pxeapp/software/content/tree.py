"""Trees that nginx serves: made of links into the store beside the old one, then exchanged with it at once."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pxeapp.software.content.manifest import Manifest
from pxeapp.software.content.store import Store

PREFIX = ".new-"  # what is being made, or was replaced; nginx is not asked for it, since no name begins with a dot
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_LIBC = ctypes.CDLL(None, use_errno=True)


def publish(store: Store, manifest: Manifest, target: Path, *, keep: Sequence[Manifest] = ()) -> None:
    """Have `target` be this tree, and nothing else; whoever asks meanwhile sees the old one or the new one, whole.

    `keep` are trees whose files stay beside it where they do not collide: those that a client which has read the old
    index is about to ask for. Raises NotFound before anything is changed when the store lacks a file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent):
        made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=target.parent))
        try:
            made.chmod(0o755)
            _fill(store, made, [manifest, *keep])
            _exchange(made, target)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def withdraw(target: Path) -> None:
    """Serve this tree no more; the store's files stay until they are collected."""
    if not target.exists():
        return
    with _alone(target.parent):
        gone = Path(tempfile.mkdtemp(prefix=PREFIX, dir=target.parent))
        target.rename(gone / "tree")
        shutil.rmtree(gone, ignore_errors=True)


def _fill(store: Store, made: Path, manifests: Sequence[Manifest]) -> None:
    folders = {made}
    placed: set[str] = set()
    needed: set[str] = set()  # folders
    for manifest in manifests:
        for entry in manifest:
            above = _above(entry.path)
            if entry.path in placed or entry.path in needed or not placed.isdisjoint(above):
                continue  # what is newer has this path, as a file or as a folder
            target = made / entry.path
            if target.parent not in folders:
                target.parent.mkdir(parents=True, exist_ok=True)
                folders.add(target.parent)
            store.link(entry.sha256, target)
            placed.add(entry.path)
            needed.update(above)


def _above(path: str) -> list[str]:
    """The folders that a path needs."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _exchange(made: Path, target: Path) -> None:
    if not target.exists():
        made.rename(target)
        return
    done = _LIBC.renameat2(_AT_FDCWD, os.fsencode(made), _AT_FDCWD, os.fsencode(target), _RENAME_EXCHANGE)
    if done == 0:
        return
    if (number := ctypes.get_errno()) not in (errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP):
        raise OSError(number, os.strerror(number), str(target))
    # A file system without an exchange: for the moment between these two a client sees no tree, and asks again.
    old = target.with_name(f"{made.name}-old")
    target.rename(old)
    made.rename(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One publication at a time in a folder; what a killed one has left is cleared away."""
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for left in folder.glob(f"{PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
