"""Taking an image's files into the store, each once, with a journal of what lies there so that a killed import goes on.

The journal is a line for each file, beside the store. What it names and the store still has is not read again: it is
left out of what bsdtar reads.
"""

from __future__ import annotations

import errno
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

from pxeapp.errors import Conflict
from pxeapp.software.content.store import SHA256, Store
from pxeapp.software.isos import contents
from pxeapp.software.isos.image import Image
from pxeapp.software.isos.listing import Listing

FOLDER = "importing"
SMALL = 4 * 1024 * 1024  # up to here a file is hashed before it is written: one that is there already costs no writing
FORGET_S = 7 * 24 * 3600.0  # how long an import that was given up may be gone on with
FULL = (errno.ENOSPC, errno.EDQUOT)

Progress = Callable[[int, str], None]  # bytes done so far, the file that is being read


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that was read. `kept` says whether it lies in the store; `md5` is empty where nobody asks for it."""

    sha256: str
    size: int
    md5: str
    kept: bool


class Journal:
    """What has been taken from one image. Written as it happens; a line that was cut off is not there."""

    def __init__(self, store: Store, key: str) -> None:
        self.path = store.root / FOLDER / f"{key}.jsonl"

    def read(self, store: Store, listing: Listing, keeps: Callable[[str], bool]) -> dict[str, Taken]:
        """What need not be read again: taken in the same way, and still in the store where it is to be kept."""
        found = {}
        with suppress(FileNotFoundError):
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    path, sha256, size, md5, kept = json.loads(line)
                except ValueError:
                    continue
                as_wanted = kept == keeps(path) and listing.files.get(path) == size and SHA256.fullmatch(sha256)
                if as_wanted and (not kept or store.has(sha256)):
                    found[path] = Taken(sha256, size, md5, kept)
        return found

    def open(self) -> TextIO:
        """For adding lines."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for other in self.path.parent.glob("*.jsonl"):
            if other.stat().st_mtime < time.time() - FORGET_S:
                other.unlink(missing_ok=True)
        return self.path.open("a", encoding="utf-8")

    def forget(self) -> None:
        """It is imported, or never will be."""
        self.path.unlink(missing_ok=True)


def take(
    store: Store,
    image: Image,
    listing: Listing,
    journal: Journal,
    *,
    keeps: Callable[[str], bool],
    with_md5: bool,
    progress: Progress,
) -> dict[str, Taken]:
    """Read every file, and have those in the store that `keeps` names; returns them by path, other names included.

    Raises Conflict when the disk is full: what was taken stays, and the next try goes on from there.
    """
    taken = journal.read(store, listing, keeps)
    done = sum(each.size for each in taken.values())
    try:
        with journal.open() as lines:
            if taken:
                lines.write("\n")  # the last line of a killed one may have no end
            for path, size, content in contents.stream(image, listing, taken):
                progress(done, path)
                counted = _counted(content, done, path, progress)
                each = _one(store, path, size, counted, kept=keeps(path), with_md5=with_md5)
                taken[path] = each
                done += size
                lines.write(f"{json.dumps([path, each.sha256, each.size, each.md5, each.kept])}\n")
                lines.flush()
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise Conflict(
            f"The disk of {store.root} is full: {done} of {listing.bytes} bytes of {image.name} were taken.",
            hint="Make room and import it again: it goes on from there.",
        ) from error
    return taken


def _one(store: Store, path: str, size: int, content: Iterator[bytes], *, kept: bool, with_md5: bool) -> Taken:
    md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None
    if size <= SMALL or not kept:
        sha256 = hashlib.sha256()
        held = []
        for chunk in content:
            sha256.update(chunk)
            if md5 is not None:
                md5.update(chunk)
            if kept:
                held.append(chunk)
        if kept:
            store.add_bytes(b"".join(held))
        return Taken(sha256.hexdigest(), size, md5.hexdigest() if md5 else "", kept)
    with store.receiving(name=path) as incoming:
        for chunk in content:
            incoming.write(chunk)
            if md5 is not None:
                md5.update(chunk)
    return Taken(incoming.blob.sha256, size, md5.hexdigest() if md5 else "", kept)


def _counted(content: IO[bytes], done: int, path: str, progress: Progress) -> Iterator[bytes]:
    while chunk := content.read(contents.BLOCK):
        done += len(chunk)
        progress(done, path)
        yield chunk


def named(taken: Mapping[str, Taken], names: Mapping[str, str]) -> dict[str, Taken]:
    """Everything taken, under every further name of it as well."""
    return {**taken, **{name: taken[path] for name, path in names.items() if path in taken}}


def hashed(path: Path, progress: Progress) -> str:
    """The SHA-256 of a file that somebody has put there."""
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as source:
        while chunk := source.read(contents.BLOCK):
            digest.update(chunk)
            done += len(chunk)
            progress(done, path.name)
    return digest.hexdigest()
