"""Adding a release is atomic. Its files are staged, hashed and moved into a revision folder of their own; only then the
row names them, in the same transaction as its audit row. Whatever goes wrong, the release is what it was before.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import select

from pxeapp import audit, versions
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, FieldProblem, Invalid
from pxeapp.software import fetch, media, questions, releases
from pxeapp.software.models import Release
from pxeapp.software.releases import Description

MAX_BOOT_FILE_BYTES = 2 * 1024**3
MAX_FILE_BYTES = 16 * 1024**3

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Remote:
    """A file of a release, to be downloaded and to have this checksum."""

    name: str
    url: str
    sha256: str

    def problems(self, where: str) -> Iterator[FieldProblem]:
        """What is wrong with it, by field."""
        if not media.FILE_PATH.fullmatch(self.name):
            yield FieldProblem(f"{where}name", f"{self.name!r} is not a plain file name.", "Write it as ubuntu.iso.")
        try:
            fetch.check_url(self.url, field=f"{where}url")
        except Invalid as error:
            yield from error.problems
        if not fetch.SHA256.fullmatch(self.sha256):
            yield FieldProblem(f"{where}sha256", "a SHA-256 checksum is required.", "Give its 64 hexadecimal digits.")


def from_directory(
    database: Database,
    settings: Settings,
    description: Description,
    directory: Path,
    *,
    kernel: str,
    initrd: str,
    files: Sequence[str] = (),
    actor: str,
    now: dt.datetime,
    replace_existing: bool = False,
) -> Release:
    """Add a release from files below `directory` (names relative to it); `files` are more to serve, e.g. an image."""
    description = _with_its_iso(description, files).checked()
    problems = [problem for name in (kernel, initrd, *files) if (problem := _source_problem(directory, name))]
    if problems:
        raise Invalid("The release was not added.", problems=problems)
    with _staging(settings, description.name) as stage:
        for name in (kernel, initrd, *files):
            target = stage / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(directory / name, target)
            _sync(target)
        staged = _Staged(stage, kernel, initrd, str(directory), files)
        release = _publish(
            database, settings, description, staged, actor=actor, now=now, replace_existing=replace_existing
        )
    _read_questions(settings, release)
    return release


def from_url(
    database: Database,
    settings: Settings,
    description: Description,
    *,
    kernel_url: str,
    kernel_sha256: str,
    initrd_url: str,
    initrd_sha256: str,
    files: Sequence[Remote] = (),
    actor: str,
    now: dt.datetime,
    replace_existing: bool = False,
    progress: Progress = lambda _line: None,
) -> Release:
    """Add a release from URLs with their checksums; the address policy is `fetch_networks`."""
    description = _with_its_iso(description, [file.name for file in files]).checked()
    boot = (Remote("kernel", kernel_url, kernel_sha256), Remote("initrd", initrd_url, initrd_sha256))
    problems = [
        *(problem for file in boot for problem in file.problems(f"{file.name}_")),
        *(problem for number, file in enumerate(files) for problem in file.problems(f"files[{number}].")),
    ]
    if problems:
        raise Invalid("The release was not added.", problems=problems)
    must_be_free(database, description.name, replace_existing=replace_existing)
    with _staging(settings, description.name) as stage:
        for file in (*boot, *files):
            progress(f"Fetching {file.name} from {file.url}")
            limits = fetch.Limits(max_bytes=MAX_BOOT_FILE_BYTES if file in boot else MAX_FILE_BYTES)
            target = stage / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            fetch.fetch(file.url, target, sha256=file.sha256, networks=settings.fetch_networks, limits=limits)
        staged = _Staged(stage, "kernel", "initrd", kernel_url, [file.name for file in files])
        release = _publish(
            database, settings, description, staged, actor=actor, now=now, replace_existing=replace_existing
        )
    if said := _read_questions(settings, release):
        progress(said)
    return release


def register(
    database: Database,
    settings: Settings,
    description: Description,
    *,
    kernel: Path,
    initrd: Path,
    files: Sequence[Path] = (),
    origin: str,
    actor: str,
    now: dt.datetime,
    replace_existing: bool = True,
) -> Release:
    """Add or replace a release from files that lie anywhere, under their own names (`linux`, `initrd.gz`)."""
    description = description.checked()
    with _staging(settings, description.name) as stage:
        for source in (kernel, initrd, *files):
            shutil.copyfile(source, stage / source.name)
            _sync(stage / source.name)
        staged = _Staged(stage, kernel.name, initrd.name, origin, [file.name for file in files])
        return _publish(
            database, settings, description, staged, actor=actor, now=now, replace_existing=replace_existing
        )


def must_be_free(database: Database, name: str, *, replace_existing: bool) -> None:
    """Refuse a taken name before anything is downloaded; `_publish` asks again in its transaction."""
    with database.read() as session:
        if not replace_existing and session.scalar(select(Release.id).where(Release.name == name)) is not None:
            raise _exists(name)


@contextmanager
def _staging(settings: Settings, name: str) -> Iterator[Path]:
    """A folder on the media's own file system that is gone afterwards, unless it was renamed to its place."""
    settings.media_dir.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".staging-{name}-", dir=settings.media_dir))
    stage.chmod(0o755)
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Staged:
    """A whole release's files in their staging folder; names are relative to it."""

    folder: Path
    kernel: str
    initrd: str
    origin: str
    files: Sequence[str] = ()

    def digests(self) -> dict[str, str]:
        """Every file's SHA-256; an empty kernel or initrd is refused."""
        for name in (self.kernel, self.initrd):
            if (self.folder / name).stat().st_size == 0:
                empty = FieldProblem("file", f"{name} is empty.", "Check where it comes from.")
                raise Invalid("The release was not added.", problems=[empty])
        return {name: media.digest(self.folder / name) for name in (self.kernel, self.initrd, *self.files)}


def _publish(
    database: Database,
    settings: Settings,
    description: Description,
    staged: _Staged,
    *,
    actor: str,
    now: dt.datetime,
    replace_existing: bool,
) -> Release:
    digests = staged.digests()
    revision = hashlib.sha256(repr(sorted(digests.items())).encode()).hexdigest()[:12]
    folder = settings.media_dir / description.name / revision
    with _alone(settings):
        created = _move_into_place(staged.folder, folder, digests)
        try:
            with database.write() as session:
                release = session.scalar(select(Release).where(Release.name == description.name))
                if release is not None and not replace_existing:
                    raise _exists(description.name)
                releases.refuse_pin(session, description, "The release was not added.")
                before = release.kernel.partition("/")[0] if release is not None else ""
                was = releases.wire(release) if release is not None else None
                known = releases.body(release) if release is not None else None
                if release is None:
                    release = Release(name=description.name, created_at=now)
                    session.add(release)
                _fill(release, description, staged, revision, digests)
                release.updated_at = now
                audit.record(
                    session,
                    at=now,
                    actor=actor,
                    action="release.replace" if before else "release.add",
                    subject=f"release:{description.name}",
                    origin=staged.origin,
                    files=digests,
                    **audit.difference(was, releases.wire(release)),
                )
                versions.record(
                    session, versions.RELEASES, release.name, known, releases.body(release),
                    action="replace" if known else "create", author=actor, at=now,
                )  # fmt: skip
        except BaseException:
            if created:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        # The folder before this one stays: a machine may be in the middle of downloading from it.
        for old in folder.parent.iterdir():
            if old.name not in (revision, before):
                shutil.rmtree(old, ignore_errors=True)
    return release


def _read_questions(settings: Settings, release: Release) -> str:
    """What debian-installer can be asked, from the initrd that is there; preseeds are checked against it."""
    return questions.make_from_initrd(settings, release) if release.installer == "preseed" else ""


def _fill(
    release: Release, description: Description, staged: _Staged, revision: str, digests: Mapping[str, str]
) -> None:
    description = releases.placed(description, revision)
    release.family, release.version = description.family, description.version
    release.installer = description.installer
    release.kernel, release.kernel_sha256 = f"{revision}/{staged.kernel}", digests[staged.kernel]
    release.initrd, release.initrd_sha256 = f"{revision}/{staged.initrd}", digests[staged.initrd]
    release.kernel_args, release.install_url = description.kernel_args, description.install_url
    release.repositories = [dict(entry) for entry in description.repositories]
    files = {f"{revision}/{name}": digests[name] for name in staged.files}
    release.settings = {**description.settings, **({"files": files} if files else {})}
    release.ready, release.problem = True, ""


def _with_its_iso(said: Description, files: Sequence[str]) -> Description:
    """Ubuntu's live server installs from its ISO: where just one is served beside its kernel, that is it."""
    isos = [file for file in files if file.endswith(".iso")]
    if said.install_url or len(isos) != 1 or said.family != "ubuntu":
        return said
    return replace(said, install_url=f"{releases.MEDIA}/{isos[0]}")


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One publication at a time: two of the same release must not clear away each other's folders."""
    with (settings.media_dir / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _move_into_place(stage: Path, folder: Path, digests: Mapping[str, str]) -> bool:
    """Rename the staged folder to its revision; False when the very same files are there already."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir():
        if all((folder / name).is_file() and media.digest(folder / name) == known for name, known in digests.items()):
            return False
        shutil.rmtree(folder)  # files that no longer are what their revision says
    stage.rename(folder)
    return True


def _exists(name: str) -> Conflict:
    return Conflict(f"There is a release {name} already.", hint="Replace it on purpose (--replace), or choose a name.")


def _sync(path: Path) -> None:
    path.chmod(0o644)
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


def _source_problem(directory: Path, name: str) -> FieldProblem | None:
    root = directory.resolve()
    path = (root / name).resolve()
    if not media.FILE_PATH.fullmatch(name) or not path.is_relative_to(root):
        return FieldProblem("file", f"{name!r} is not a plain path below {directory}.", "Name it relative to it.")
    if not path.is_file():
        return FieldProblem("file", f"{directory / name} is not a file.", "Check the directory and the name.")
    return None
