"""The store: files by their SHA-256, each kept once however many media, mirrors and snapshots hold it.

`ROOT/pool/ab/abcdef...` are whole, read-only, and never change; what is still coming in lies in `ROOT/incoming`. A
file appears in the pool in one rename, after it has been hashed and synced, so that whatever is there is right.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.placing import sync_folder

SHA256 = re.compile(r"[0-9a-f]{64}")
CHUNK = 1024 * 1024
MODE = 0o444  # served by nginx as another user, written by nobody


@dataclass(frozen=True, slots=True)
class Blob:
    """A file in the store; `size` in bytes."""

    sha256: str
    size: int


class Incoming:
    """A file that is coming in: `received` bytes are here already, those of an earlier try included."""

    def __init__(self, path: Path, handle: BinaryIO) -> None:
        self.path = path
        self._handle = handle
        self._digest = hashlib.sha256()
        self._blob: Blob | None = None
        while chunk := handle.read(CHUNK):
            self._digest.update(chunk)
        self.received = handle.tell()

    def write(self, chunk: bytes) -> None:
        """Add to its end."""
        self._handle.write(chunk)
        self._digest.update(chunk)
        self.received += len(chunk)

    def restart(self) -> None:
        """Forget what an earlier try has left: its source has changed, or cannot go on from there."""
        self._handle.seek(0)
        self._handle.truncate()
        self._digest, self.received = hashlib.sha256(), 0

    @property
    def sha256(self) -> str:
        """Of what is here so far."""
        return self._digest.hexdigest()

    @property
    def blob(self) -> Blob:
        """The file in the store; only after its block has ended."""
        if self._blob is None:
            raise RuntimeError("the file is not in the store before its block has ended")
        return self._blob

    def settle(self, blob: Blob) -> None:
        """It lies in the pool."""
        self._blob = blob


class Store:
    """One store on one file system. Any number of processes may write at once; adding what is there costs nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pool = root / "pool"
        self.incoming = root / "incoming"

    def path(self, sha256: str) -> Path:
        """Where a file of this hash lies, whether it is there or not."""
        if not SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256")
        return self.pool / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether it is here; what is asked for is in use, and garbage collection leaves it alone for a while."""
        try:
            os.utime(self.path(sha256))
        except FileNotFoundError:
            return False
        except PermissionError:  # another user's store, only read: there is nothing to keep from it
            return self.path(sha256).is_file()
        return True

    def size(self, sha256: str) -> int:
        """In bytes; raises NotFound."""
        return self._known(sha256).stat().st_size

    def open(self, sha256: str) -> BinaryIO:
        """For reading; raises NotFound."""
        return self._known(sha256).open("rb")

    def read(self, sha256: str) -> bytes:
        """All of it; raises NotFound."""
        return self._known(sha256).read_bytes()

    def add_bytes(self, data: bytes) -> Blob:
        """Keep these bytes."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.has(sha256):
            with self.receiving(sha256=sha256) as incoming:
                incoming.write(data)
        return Blob(sha256, len(data))

    def add_file(self, source: Path, *, sha256: str = "", move: bool = False) -> Blob:
        """Keep a copy of a file, or with `move` the file itself; raises Invalid when its hash is not `sha256`."""
        with source.open("rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
            size = handle.tell()
            _agree(source.name, found, sha256)
            if self.has(found):
                if move:
                    source.unlink()
                return Blob(found, size)
            if move and source.stat().st_dev == self._made(self.pool).stat().st_dev:
                source.chmod(MODE)
                os.fsync(handle.fileno())
                self._place(source, found)
                return Blob(found, size)
            handle.seek(0)
            with self.receiving(sha256=found) as incoming:
                while chunk := handle.read(CHUNK):
                    incoming.write(chunk)
        if move:
            source.unlink()
        return incoming.blob

    @contextmanager
    def receiving(self, *, sha256: str = "", key: str = "", name: str = "", durable: bool = True) -> Iterator[Incoming]:
        """Take a file in, piece by piece; it is kept when the block ends without an error.

        Under a `key` what has come in stays after an error, and the next one with that key goes on from there; two at
        once with one key are refused with Conflict. Raises Invalid when the whole has another hash than `sha256`, and
        then nothing stays. `name` is what the file is called in that sentence.
        `durable=False`: the disk confirms it later, with others; only within unsynced.together, which lists its hash.
        """
        path = self.partial_path(key or os.urandom(16).hex())
        descriptor = self._begun(path, shared=bool(key))
        stays = bool(key)
        try:
            with os.fdopen(descriptor, "r+b") as out:
                incoming = Incoming(path, out)
                yield incoming
                out.flush()
                if durable:
                    os.fsync(descriptor)
                stays = False
                _agree(name or "The file", incoming.sha256, sha256)
                os.fchmod(descriptor, MODE)
                self._place(path, incoming.sha256, durable=durable)
                stays = True  # in the pool
                incoming.settle(Blob(incoming.sha256, incoming.received))
        finally:
            if not stays:
                path.unlink(missing_ok=True)

    def partial(self, key: str) -> int:
        """How many bytes of a file under this key have come in so far."""
        path = self.partial_path(key)
        return path.stat().st_size if path.is_file() else 0

    def partial_path(self, key: str) -> Path:
        """Where what comes in under this key lies until it is whole."""
        return self.incoming / hashlib.sha256(key.encode()).hexdigest()[:40]

    def forget(self, key: str) -> None:
        """Throw away what has come in under this key."""
        self.partial_path(key).unlink(missing_ok=True)

    def link(self, sha256: str, target: Path) -> None:
        """Put a file of the store at `target` without copying it, where the file system lets us."""
        source = self._known(sha256)
        try:
            os.link(source, target)
        except OSError:  # another file system, or more links than one file may have
            shutil.copyfile(source, target)
            target.chmod(MODE)

    def __iter__(self) -> Iterator[Path]:
        for folder in sorted(self.pool.glob("[0-9a-f][0-9a-f]")):
            yield from sorted(folder.iterdir())

    def _known(self, sha256: str) -> Path:
        path = self.path(sha256)
        if not path.is_file():
            raise NotFound(f"The store has no file {sha256}.", hint="Was it removed by hand? Import or sync it again.")
        return path

    def _begun(self, path: Path, *, shared: bool) -> int:
        """The descriptor of what is coming in; of one that others may bring in as well, with its lock.

        Thousands come in a row: folders are made where they turn out to be missing.
        """
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (0 if shared else os.O_EXCL)
            try:
                descriptor = os.open(path, flags, 0o600)
            except FileNotFoundError:
                self._made(path.parent)
                continue
            if not shared or _locked(descriptor, path):
                return descriptor
            os.close(descriptor)

    def _place(self, path: Path, sha256: str, *, durable: bool = True) -> None:
        target = self.path(sha256)
        try:
            path.rename(target)
        except FileNotFoundError:
            self._made(target.parent)
            path.rename(target)
        if durable:
            sync_folder(target.parent)  # a name that is lost with the power would be a hole in somebody's manifest

    @staticmethod
    def _made(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _locked(descriptor: int, path: Path) -> bool:
    """Take the lock; False: what was opened lies in the pool by now, and must not be written to. Raises Conflict."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
    except BlockingIOError as error:
        os.close(descriptor)
        raise Conflict("This file is coming in already.", hint="Wait for it, or stop that one.") from error


def _agree(name: str, found: str, expected: str) -> None:
    if expected and found != expected:
        fix = "Compare with the publisher's signed checksums, and fetch it again."
        problem = FieldProblem("sha256", f"{name} has SHA-256 {found}, not {expected}; it was thrown away.", fix)
        raise Invalid(str(problem), problems=[problem], hint=fix)


def partials(store: Store) -> Iterator[Path]:
    """What has come in so far, of tries that go on or were given up."""
    with suppress(FileNotFoundError):
        yield from sorted(store.incoming.iterdir())
