"""Releases: add, change, verify and list what can be installed.

Adding is atomic. Files are staged, hashed and moved into a revision folder of their own; only then the row names
them, in the same transaction as its audit row. Whatever goes wrong, the release is what it was before.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit, systems, versions
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.software import fetch, media, questions
from pxeapp.software.models import Release
from pxeapp.software.snapshots import holding, pins
from pxeapp.systems import AUTOINSTALL, SYSTEMS

# Which installers a family has; which of them each version has is systems.py's.
INSTALLERS: dict[str, tuple[str, ...]] = {
    family: tuple(
        dict.fromkeys(each for key, known in SYSTEMS.items() if key[0] == family for each in known.installers)
    )
    for family, _ in SYSTEMS
}
MEDIA = "{media}"  # in a URL: where this release's own files are served, `{node_url}/media/NAME/REVISION`
SHOWN = (
    "name", "family", "version", "installer", "kernel", "kernel_sha256", "initrd", "initrd_sha256",
    "kernel_args", "install_url", "repositories", "settings", "ready", "problem",
)  # fmt: skip
Agree = Callable[[dict[str, Any]], None]  # told what is there now; raises when that is not what the asker has seen
CHANGEABLE = ("kernel_args", "install_url", "repositories", "settings")
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,2}")
# Ours, written into `settings` when files are added; an operator's change never touches them.
OUR_SETTINGS = ("files", "udeb_suite", "allow_unauthenticated", "installer_components", "medium")
MAX_BOOT_FILE_BYTES = 2 * 1024**3
MAX_FILE_BYTES = 16 * 1024**3

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Description:
    """What an operator says about a release; URLs may begin with `{node_url}`, or `{media}` for its own files."""

    name: str
    family: str
    version: str
    installer: str = ""  # empty: the first one of its version
    kernel_args: str = ""
    install_url: str = ""
    repositories: Sequence[Mapping[str, Any]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def checked(self) -> Description:
        """Itself, with defaults filled in; raises Invalid with every problem."""
        installer = self.installer or systems.default_installer(self.family, self.version)
        problems = list(_problems(replace(self, installer=installer)))
        if problems:
            raise Invalid("The release was not added.", problems=problems)
        return replace(self, installer=installer)


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


def get(session: Session, name: str) -> Release:
    """The release of this name; raises NotFound."""
    release = session.scalar(select(Release).where(Release.name == name))
    if release is None:
        raise NotFound(f"There is no release {name!r}.", hint="See: pxeapp release list")
    return release


def listing(session: Session, *, after: str = "", limit: int = 100) -> Sequence[Release]:
    """Releases by name, at most `limit`, those behind `after`."""
    return session.scalars(select(Release).where(Release.name > after).order_by(Release.name).limit(limit)).all()


def bootable(session: Session, name: str) -> Release:
    """The release of this name when machines may boot it; raises NotFound, or Conflict with what is wrong with it."""
    release = get(session, name)
    if not release.ready:
        raise Conflict(
            f"Release {name} is not ready: {release.problem or 'it was never verified.'}",
            hint=f"Add it again, or mend its files and run: pxeapp release verify {name}",
        )
    return release


def add_from_directory(
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


def add_from_url(
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


def verify(database: Database, settings: Settings, name: str, *, actor: str, now: dt.datetime) -> Release:
    """Hash a release's files again and set `ready` and `problem` accordingly; returns the release as it is now."""
    with database.read() as session:
        problem = media.problem(settings, get(session, name))
    with database.write() as session:
        release = get(session, name)
        if (release.ready, release.problem) != (not problem, problem):
            was = wire(release)
            release.ready, release.problem, release.updated_at = not problem, problem, now
            audit.record(
                session, at=now, actor=actor, action="release.verify", subject=f"release:{name}", problem=problem,
                **audit.difference(was, wire(release)),
            )  # fmt: skip
        return release


def save(
    session: Session, name: str, said: Mapping[str, Any], *, agree: Agree, actor: str, now: dt.datetime
) -> Release:
    """Change what an operator may change (`CHANGEABLE`), for somebody who has seen it; null leaves a field."""
    release = get(session, name)
    session.refresh(release, with_for_update=True)
    agree(wire(release))
    return update(session, name, {key: said[key] for key in said if said[key] is not None}, actor=actor, now=now)


def update(session: Session, name: str, changes: Mapping[str, Any], *, actor: str, now: dt.datetime) -> Release:
    """Change what an operator may change (`CHANGEABLE`) within the caller's write transaction."""
    release = get(session, name)
    unknown = [
        FieldProblem(key, "cannot be changed.", f"Changeable: {', '.join(CHANGEABLE)}; for new files add it again.")
        for key in changes
        if key not in CHANGEABLE
    ]
    merged = Description(
        name=release.name,
        family=release.family,
        version=release.version,
        installer=release.installer,
        kernel_args=changes.get("kernel_args", release.kernel_args),
        install_url=changes.get("install_url", release.install_url),
        repositories=changes.get("repositories", release.repositories),
        settings=changes.get("settings", release.settings),
    )
    problems = unknown + list(_problems(merged))
    if problems:
        raise Invalid("The release was not changed.", problems=problems)
    _refuse_pin(session, merged, "The release was not changed.")
    ours = {key: value for key, value in release.settings.items() if key in OUR_SETTINGS}
    merged = _placed(merged, release.kernel.partition("/")[0])
    was, before = wire(release), body(release)
    release.kernel_args, release.install_url = merged.kernel_args, merged.install_url
    release.repositories = [dict(entry) for entry in merged.repositories]
    release.settings = {**merged.settings, **ours}
    release.updated_at = now
    audit.record(
        session, at=now, actor=actor, action="release.update", subject=f"release:{name}", fields=sorted(changes),
        **audit.difference(was, wire(release)),
    )  # fmt: skip
    versions.record(session, versions.RELEASES, name, before, body(release), action="change", author=actor, at=now)
    return release


def remove(session: Session, name: str, *, actor: str, now: dt.datetime) -> None:
    """Delete a release's row within the caller's write transaction; `sweep` removes its files afterwards."""
    release = get(session, name)
    gone = audit.difference(wire(release), None)
    session.delete(release)
    audit.record(session, at=now, actor=actor, action="release.remove", subject=f"release:{name}", **gone)
    versions.record(session, versions.RELEASES, name, body(release), None, action="delete", author=actor, at=now)


def wire(row: Release) -> dict[str, Any]:
    """A release as the API and the audit show it."""
    return {name: getattr(row, name) for name in SHOWN}


def body(row: Release) -> dict[str, Any]:
    """A release as its versions keep it: what it is, and not whether its files were sound when somebody looked."""
    return {name: getattr(row, name) for name in SHOWN if name not in ("name", "ready", "problem")}


def sweep(database: Database, settings: Settings) -> list[Path]:
    """Remove folders of releases that no longer exist; returns them. Safe to run at any time."""
    with database.read() as session:
        known = set(session.scalars(select(Release.name)))
    gone = [path for path in settings.media_dir.glob("[a-z0-9]*") if path.is_dir() and path.name not in known]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return gone


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
                _refuse_pin(session, description, "The release was not added.")
                before = release.kernel.partition("/")[0] if release is not None else ""
                was = wire(release) if release is not None else None
                known = body(release) if release is not None else None
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
                    **audit.difference(was, wire(release)),
                )
                versions.record(
                    session, versions.RELEASES, release.name, known, body(release),
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
    description = _placed(description, revision)
    release.family, release.version = description.family, description.version
    release.installer = description.installer
    release.kernel, release.kernel_sha256 = f"{revision}/{staged.kernel}", digests[staged.kernel]
    release.initrd, release.initrd_sha256 = f"{revision}/{staged.initrd}", digests[staged.initrd]
    release.kernel_args, release.install_url = description.kernel_args, description.install_url
    release.repositories = [dict(entry) for entry in description.repositories]
    files = {f"{revision}/{name}": digests[name] for name in staged.files}
    release.settings = {**description.settings, **({"files": files} if files else {})}
    release.ready, release.problem = True, ""


def _placed(said: Description, revision: str) -> Description:
    """With `{media}` filled in, now that the folder of its files has its name."""

    def filled(value: Any) -> Any:
        return value.replace(MEDIA, f"{{node_url}}/media/{said.name}/{revision}") if isinstance(value, str) else value

    return replace(
        said,
        install_url=filled(said.install_url),
        repositories=[{key: filled(value) for key, value in entry.items()} for entry in said.repositories],
        settings={key: filled(value) for key, value in said.settings.items()},
    )


def _with_its_iso(said: Description, files: Sequence[str]) -> Description:
    """Ubuntu's live server installs from its ISO: where just one is served beside its kernel, that is it."""
    isos = [file for file in files if file.endswith(".iso")]
    if said.install_url or len(isos) != 1 or said.family != "ubuntu":
        return said
    return replace(said, install_url=f"{MEDIA}/{isos[0]}")


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


def must_be_free(database: Database, name: str, *, replace_existing: bool) -> None:
    """Refuse a taken name before anything is downloaded; `_publish` asks again in its transaction."""
    with database.read() as session:
        if not replace_existing and session.scalar(select(Release.id).where(Release.name == name)) is not None:
            raise _exists(name)


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


def addresses(said: Description) -> list[str]:
    """Where machines with this release read packages."""
    return [said.install_url, str(said.settings.get("archive", "")), *(str(each["url"]) for each in said.repositories)]


def _refuse_pin(session: Session, said: Description, sentence: str) -> None:
    """Raises Invalid where the snapshot that it is pinned to lacks a repository that it reads."""
    holding.refuse(
        session, said.settings.get(pins.KEY), addresses(said), field=f"settings.{pins.KEY}", sentence=sentence
    )


def _problems(said: Description) -> Iterator[FieldProblem]:
    if not NAME.fullmatch(said.name):
        yield FieldProblem(
            "name", f"{said.name!r} is not a release name.", "Lower case, digits, dots, dashes: debian-13."
        )
    yield from _system_problems(said)
    if not re.fullmatch(r"[\x20-\x7e]*", said.kernel_args):
        yield FieldProblem("kernel_args", "holds a line break, control or non-ASCII character.", "Take it out.")
    if said.install_url and not is_our_url(said.install_url):
        yield FieldProblem("install_url", f"{said.install_url!r} is not usable.", "Write {node_url}/... or http://...")
    for index, entry in enumerate(said.repositories):
        if not isinstance(entry, Mapping) or not {"name", "url"} <= set(entry) or not is_our_url(str(entry["url"])):
            yield FieldProblem(
                f"repositories[{index}]", "is not a repository.", 'Write {"name": ..., "url": "http://..."}.'
            )


def _system_problems(said: Description) -> Iterator[FieldProblem]:
    if said.family not in INSTALLERS:
        yield FieldProblem("family", f"{said.family!r} is not known.", f"Use one of: {', '.join(INSTALLERS)}.")
    if not VERSION.fullmatch(said.version):
        yield FieldProblem("version", f"{said.version!r} is not a version.", "Write it like 13, 9 or 20.04.")
    elif said.family in INSTALLERS:
        key = (said.family, systems.major(said.family, said.version))
        if key not in SYSTEMS:
            known = ", ".join(systems.versions(said.family))
            yield FieldProblem("version", f"There are no answer files for {' '.join(key)}.", f"Use one of: {known}.")
        elif said.installer not in SYSTEMS[key].installers:
            fix = f"Use {' or '.join(SYSTEMS[key].installers)}."
            yield FieldProblem("installer", f"{' '.join(key)} is not installed by {said.installer!r}.", fix)
    if said.installer == AUTOINSTALL and not said.install_url:
        fix = f"Serve the ISO with --file and write {MEDIA}/FILE.iso, or use: pxeapp release add-ubuntu ISO"
        yield FieldProblem("install_url", "is missing: the live server loads its ISO from there.", fix)


def is_our_url(url: str) -> bool:
    """Whether it is one that a release may name: of this appliance, or http and https elsewhere."""
    return (
        re.fullmatch(r"(\{node_url\}|\{media\}|https?://[A-Za-z0-9.:\[\]_-]+)(/[A-Za-z0-9._~+%:=/-]*)?", url)
        is not None
    )
