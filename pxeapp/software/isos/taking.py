"""Taking an image's files into the store, each once, with a journal of what lies there so that a killed import goes on.

The journal is a line for each file, beside the store. What it names and the store still has is not read again: it is
left out of what bsdtar reads.
"""

from __future__ import annotations

import errno
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
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
WRITERS = 8  # mostly waiting for the disk
AHEAD = 16  # small files that are being written while the next are read
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
        with journal.open() as lines, _Writing(store, taken, lines, with_md5=with_md5) as writing:
            for path, size, content in contents.stream(image, listing, taken):
                progress(done, path)
                writing.add(path, size, _counted(content, done, path, progress), kept=keeps(path))
                done += size
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise Conflict(
            f"The disk of {store.root} is full: {done} of {listing.bytes} bytes of {image.name} were taken.",
            hint="Make room and import it again: it goes on from there.",
        ) from error
    return taken


class _Writing:
    """Puts files into the store and lines into the journal.

    Small files are written a few at a time beside the reading: a disk takes as long to confirm one as to confirm
    several, and media have thousands. A large one is written as it comes, when those before it are done.
    """

    def __init__(self, store: Store, taken: dict[str, Taken], lines: TextIO, *, with_md5: bool) -> None:
        self._store = store
        self._taken = taken
        self._lines = lines
        self._with_md5 = with_md5
        self._pool = ThreadPoolExecutor(WRITERS)
        self._waiting: deque[tuple[str, Future[Taken]]] = deque()
        lines.write("\n")  # the last line of one that was killed may have no end

    def __enter__(self) -> _Writing:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        """What is being written is finished, whatever ended the reading."""
        try:
            while self._waiting:
                if kind is None:
                    self._settle()
                else:
                    with suppress(Exception):  # the first reason is on its way up
                        self._settle()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def add(self, path: str, size: int, content: Iterator[bytes], *, kept: bool) -> None:
        """Take a file; its content is read to the end when this returns."""
        if size <= SMALL:
            data = b"".join(content)
            self._waiting.append((path, self._pool.submit(self._small, data, kept=kept)))
            while len(self._waiting) > AHEAD:
                self._settle()
        else:
            while self._waiting:
                self._settle()
            self._note(path, self._large(path, size, content, kept=kept))

    def _settle(self) -> None:
        path, written = self._waiting.popleft()
        self._note(path, written.result())

    def _note(self, path: str, file: Taken) -> None:
        self._taken[path] = file
        self._lines.write(f"{json.dumps([path, file.sha256, file.size, file.md5, file.kept])}\n")
        self._lines.flush()

    def _small(self, data: bytes, *, kept: bool) -> Taken:
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest() if self._with_md5 else ""
        sha256 = self._store.add_bytes(data).sha256 if kept else hashlib.sha256(data).hexdigest()
        return Taken(sha256, len(data), md5, kept)

    def _large(self, path: str, size: int, content: Iterator[bytes], *, kept: bool) -> Taken:
        md5 = hashlib.md5(usedforsecurity=False) if self._with_md5 else None
        sha256 = hashlib.sha256()
        with self._store.receiving(name=path) if kept else nullcontext() as incoming:
            for chunk in content:
                if incoming is None:
                    sha256.update(chunk)
                else:
                    incoming.write(chunk)
                if md5 is not None:
                    md5.update(chunk)
        found = sha256.hexdigest() if incoming is None else incoming.blob.sha256
        return Taken(found, size, md5.hexdigest() if md5 is not None else "", kept)


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
