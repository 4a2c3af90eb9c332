"""Where one upstream's index sets lie: files by their SHA-256, and a small file for each set that says which it has.

A set's generations are kept, the newest first, so that a client in the middle of an update still finds what the Release
file that it has names. A file appears whole or not at all, and a set changes by one rename. Whoever purges a set does
so in another process: its record goes, and a note says that something went, which the keeper looks for.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pxeapp.errors import Invalid, Unavailable
from pxeapp.software.cache.indexes.heads import MAX_INDEX, File, Head, Kind, Sum

GENERATIONS = 3
KEPT_S = 3600.0  # a file that no set names any more may still be on its way to a client
CHUNK = 256 * 1024


class Readable(Protocol):
    """What comes from an upstream."""

    def read(self, amount: int, /) -> bytes: ...


@dataclass(slots=True)
class Generation:
    """One state of a set: its head files, and those of its indexes that somebody has asked for."""

    heads: dict[str, File]
    head: Head
    at: float
    source: str  # the upstream's URL at that time
    files: dict[str, File] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)  # head files that the upstream does not have
    validators: dict[str, str] = field(default_factory=dict)  # to ask whether the head is still the same

    def find(self, wanted: Sum) -> File | None:
        """The file that has this very checksum."""
        for path, file in self.files.items():
            if (known := self.head.sums.get(path)) is not None and known.digest == wanted.digest:
                return file
        return None


@dataclass(slots=True)
class Record:
    """What is kept of a set besides its files."""

    kind: Kind
    root: str
    generations: list[Generation] = field(default_factory=list)
    wanted: dict[str, float] = field(default_factory=dict)  # what was asked for, as heads.py remembers it, and when
    checked: float = 0.0  # when the upstream last said that this is its newest
    problem: str = ""
    kept: bool = False  # it was written down; one that is not there any more was purged


class Shelf:
    """The files and records of one upstream."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._objects, self._sets = folder / "objects", folder / "sets"
        for each in (self._objects, self._sets):
            each.mkdir(parents=True, exist_ok=True)

    def path(self, file: File) -> Path:
        """Where a file lies."""
        return self._objects / file.sha256[:2] / file.sha256

    def has(self, file: File) -> bool:
        """Whether it is there, as far as its size tells."""
        try:
            return self.path(file).stat().st_size == file.size
        except OSError:
            return False

    def read(self, file: File) -> bytes:
        """Its content."""
        return self.path(file).read_bytes()

    def add(self, content: bytes, *, modified: float, after: File | None = None) -> File:
        """Keep a small file. Its time is the upstream's, and later than that of `after`: clients ask "since when"."""
        file = File(hashlib.sha256(content).hexdigest(), len(content))
        if after is not None and self.has(after):
            modified = max(modified, self.path(after).stat().st_mtime + 1)
        if not self.has(file):
            partial = self._partial()
            partial.write_bytes(content)
            self._place(partial, file, modified)
        return file

    def receive(self, source: Readable, wanted: Sum, *, modified: float, name: str) -> File:
        """Keep what comes, if it is what a head names; raises Invalid otherwise, and nothing is kept."""
        own, theirs, size = hashlib.sha256(), wanted.hasher(), 0
        limit = MAX_INDEX if wanted.size is None else wanted.size
        partial = self._partial()
        try:
            with partial.open("wb") as out:
                while chunk := source.read(CHUNK):
                    size += len(chunk)
                    if size > limit:
                        break
                    own.update(chunk)
                    theirs.update(chunk)
                    out.write(chunk)
            if not wanted.fits(theirs.hexdigest(), size):
                raise Invalid(
                    f"{name} is not what its index names: the upstream is in the middle of an update, or lies.",
                    hint="What was there before is still served; it is asked again.",
                )
            file = File(own.hexdigest(), size)
            self._place(partial, file, modified)
        except OSError as error:
            raise Unavailable(f"{name} could not be kept: {error}.", hint="Is the disk full?") from error
        finally:
            partial.unlink(missing_ok=True)
        return file

    def save(self, record: Record) -> bool:
        """Write a set's record down; whoever reads it sees the old one or this one. False: it was purged meanwhile."""
        text = json.dumps(
            {
                "kind": record.kind,
                "root": record.root,
                "wanted": record.wanted,
                "checked": record.checked,
                "problem": record.problem,
                "generations": [
                    {
                        "heads": _plain(each.heads),
                        "files": _plain(each.files),
                        "absent": sorted(each.absent),
                        "at": each.at,
                        "source": each.source,
                        "validators": each.validators,
                    }
                    for each in record.generations
                ],
            }
        )
        target = self._record(record.root)
        with self._alone():
            if record.kept and not target.exists():
                return False
            partial = target.with_suffix(".part")
            partial.write_text(text)
            partial.replace(target)
            record.kept = True
        return True

    def keeps(self, record: Record) -> bool:
        """Whether its record is there."""
        return self._record(record.root).exists()

    def purged(self) -> object:
        """Changes with every purge."""
        try:
            found = self._note.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    @classmethod
    def purge(cls, folder: Path, means: Callable[[str], bool]) -> tuple[list[str], list[int]]:
        """Throw away each set with an index whose path below the upstream is meant; their roots, and files' sizes."""
        if not folder.is_dir():
            return [], []
        shelf, gone, stay = cls(folder), list[dict[str, Any]](), list[dict[str, Any]]()
        with shelf._alone():
            for said in shelf.saved():
                (gone if any(map(means, _paths(said))) else stay).append(said)
            if not gone:
                return [], []
            for said in gone:
                shelf._record(said["root"]).unlink()
            needed = {file for said in stay for file in _files(said)}
            sizes = []
            for file in {file for said in gone for file in _files(said)} - needed:
                if shelf.has(file):
                    shelf.path(file).unlink(missing_ok=True)
                    sizes.append(file.size)
            note = shelf._partial()  # at last: until then nobody fetches anew what is about to go
            note.touch()
            note.replace(shelf._note)
        return sorted(said["root"] or "/" for said in gone), sizes

    def saved(self) -> Iterator[dict[str, Any]]:
        """Every record as it was written; one that cannot be read is left out, and its set is made anew when asked."""
        for path in sorted(self._sets.glob("*.json")):
            try:
                said = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            if isinstance(said, dict):
                yield said

    def sweep(self, records: Iterable[Record]) -> None:
        """Remove files that no generation has any more."""
        used = {
            file.sha256
            for record in records
            for each in record.generations
            for file in (*each.heads.values(), *each.files.values())
        }
        old = time.time() - KEPT_S
        for path in self._objects.glob("*/*"):
            if path.name not in used and path.stat().st_ctime < old:
                path.unlink(missing_ok=True)
        for path in self.folder.glob(".part-*"):
            if path.stat().st_ctime < old:
                path.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self.folder / "purged"

    def _record(self, root: str) -> Path:
        return self._sets / f"{hashlib.sha256(root.encode()).hexdigest()[:24]}.json"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Records are written, or thrown away, by one process after the other."""
        with (self.folder / ".lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _partial(self) -> Path:
        return self.folder / f".part-{os.urandom(8).hex()}"

    def _place(self, partial: Path, file: File, modified: float) -> None:
        os.utime(partial, (modified, modified))
        target = self.path(file)
        target.parent.mkdir(exist_ok=True)
        partial.replace(target)


def files_of(said: dict[str, Any]) -> dict[str, File]:
    """Files as a record writes them."""
    return {path: File(str(sha256), int(size)) for path, (sha256, size) in said.items()}


def _paths(said: dict[str, Any]) -> Iterator[str]:
    """Below the upstream, of everything that a record has."""
    for each in said["generations"]:
        for path in (*each["heads"], *each["files"]):
            yield f"{said['root']}/{path}" if said["root"] else path


def _files(said: dict[str, Any]) -> Iterator[File]:
    for each in said["generations"]:
        yield from (*files_of(each["heads"]).values(), *files_of(each["files"]).values())


def _plain(files: dict[str, File]) -> dict[str, tuple[str, int]]:
    return {path: (file.sha256, file.size) for path, file in files.items()}
