"""The archive: a tar, compressed a little, whose last member says what the others must be.

It is written beside its place under another name and only then given its own; read back with a hash of every byte.
Nothing in an archive is believed: only plain files with harmless names are taken out.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from pxeapp.backup import drafts, room
from pxeapp.backup import manifest as manifests
from pxeapp.backup.manifest import BadBackup, Manifest, Member
from pxeapp.placing import sync_folder

COMPRESSION = 1  # databases shrink to a fifth; kernels not at all, and more effort would not change that
MANIFEST_LIMIT = 64 * 1024 * 1024
CHUNK = 1024 * 1024
OWNERS, RUNS = 0o600, 0o100  # of a file's mode only whether its owner may run it is kept
Told = Callable[[int], None]  # so many more bytes


class Writer:
    """Adds files one by one and remembers their hashes."""

    def __init__(self, tar: tarfile.TarFile, told: Told) -> None:
        self._tar = tar
        self._told = told
        self.members: dict[str, Member] = {}

    def add(self, name: str, path: Path) -> None:
        """One file as it is now; one that grows meanwhile is cut, one that shrinks stops the backup."""
        if not _harmless(name):
            raise BadBackup(f"The file {path} has a name that a backup cannot hold.", hint="Rename it or move it away.")
        with path.open("rb") as file:
            now, info = os.fstat(file.fileno()), tarfile.TarInfo(name)
            info.size, info.mode = now.st_size, OWNERS | now.st_mode & RUNS
            info.mtime = int(now.st_mtime)
            hashing = _Hashing(file, self._told)
            self._tar.addfile(info, hashing)
        self.members[name] = Member(hashing.sha256.hexdigest(), info.size)

    def finish(self, manifest: Manifest) -> None:
        """The manifest, which nothing comes after."""
        content = manifest.to_json()
        info = tarfile.TarInfo(manifests.NAME)
        info.size, info.mode, info.mtime = len(content), 0o600, int(manifest.made_at.timestamp())
        self._tar.addfile(info, io.BytesIO(content))


class _Hashing:
    def __init__(self, file: IO[bytes], told: Told) -> None:
        self._file = file
        self._told = told
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """What tarfile asks for."""
        content = self._file.read(size)
        self.sha256.update(content)
        self._told(len(content))
        return content


@contextlib.contextmanager
def writing(target: Path, told: Told) -> Iterator[Writer]:
    """A new archive, which has its name only once it is whole and on the disk; nobody else can ever read it."""
    with drafts.folder(target.parent, drafts.BACKUP) as folder:
        draft = folder / target.name
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=COMPRESSION, format=tarfile.PAX_FORMAT) as tar:
                yield Writer(tar, told)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(target)
        sync_folder(target.parent)


def read(source: Path, into: Path, *, only: Sequence[str] = (), told: Told = lambda _size: None) -> Manifest:
    """Read all of it, compare every hash, and take the files (or `only` some) out. Raises BadBackup."""
    found: dict[str, Member] = {}
    content = b""
    try:
        with gzip.open(source) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() and _harmless(member.name) else None
                if file is None or member.name in found:
                    raise BadBackup(f"{source} holds {member.name!r}, which no backup of ours does.")
                if content:
                    raise BadBackup(f"{source} goes on after its manifest.")
                if member.name == manifests.NAME:
                    content = file.read(MANIFEST_LIMIT)
                    continue
                if only and member.name not in only:
                    found[member.name] = _take(file, None, told)
                else:
                    found[member.name] = _take_out(file, member, source, into, told)
            while stream.read(1 << 20):
                pass  # tar ends before gzip's own checksum does
    except FileNotFoundError:
        raise BadBackup(f"There is no file {source}.") from None
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise BadBackup(f"{source} is no backup, or only a part of one: {error}.", hint="Take an older one.") from None
    except OSError as error:
        if error.errno is None:  # gzip's own: not a gzipped file, a wrong checksum
            raise BadBackup(f"{source} is no backup, or a damaged one: {error}.", hint="Take an older one.") from None
        raise
    return _compared(source, content, found)


def _compared(source: Path, content: bytes, found: dict[str, Member]) -> Manifest:
    if not content:
        raise BadBackup(f"{source} has no manifest: it is no backup, or only a part of one.", hint="Take an older one.")
    manifest = manifests.read(content)
    wrong = sorted(set(manifest.members) ^ set(found))
    wrong += [name for name in sorted(set(found) - set(wrong)) if found[name] != manifest.members[name]]
    if wrong:
        raise BadBackup(
            f"{source} is damaged: {', '.join(wrong[:5])} {'is' if len(wrong) == 1 else 'are'} not as written.",
            hint="Take an older one.",
        )
    return manifest


def _take_out(file: IO[bytes], member: tarfile.TarInfo, source: Path, into: Path, told: Told) -> Member:
    """How much comes out is known one file at a time: the manifest, which has it all, is the last of them."""
    what = f"{member.name} of {source}"
    room.need(into.parent, member.size, what)
    with room.named(into.parent, member.size, what):
        taken = _take(file, into / member.name, told)
    (into / member.name).chmod(OWNERS | member.mode & RUNS)
    return taken


def _take(file: IO[bytes], target: Path | None, told: Told) -> Member:
    digest, size = hashlib.sha256(), 0
    with contextlib.ExitStack() as stack:
        out = None
        if target is not None:
            target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            out = stack.enter_context(target.open("xb"))
            target.chmod(0o600)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            told(len(chunk))
            if out is not None:
                out.write(chunk)
        if out is not None:
            out.flush()
            os.fsync(out.fileno())
    return Member(digest.hexdigest(), size)


def _harmless(name: str) -> bool:
    """Below the folder that it is taken out into, whatever it says."""
    return name.isprintable() and "\\" not in name and not any(part in ("", ".", "..") for part in name.split("/"))
