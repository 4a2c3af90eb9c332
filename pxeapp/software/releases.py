"""Releases: what can be installed, as it is said, changed, verified and listed; how its files come, see adding.py."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit, systems, versions
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.software import media
from pxeapp.software.models import Release
from pxeapp.software.snapshots import holding, pins
from pxeapp.systems import AUTOINSTALL, KICKSTART, SYSTEMS

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
        said = replace(self, installer=installer)
        if problems := [*_problems(said), *_suite_problems(said)]:
            raise Invalid("The release was not added.", problems=problems)
        return said


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
    if "repositories" in changes:
        problems += _suite_problems(merged)
    if problems:
        raise Invalid("The release was not changed.", problems=problems)
    refuse_pin(session, merged, "The release was not changed.")
    ours = {key: value for key, value in release.settings.items() if key in OUR_SETTINGS}
    merged = placed(merged, release.kernel.partition("/")[0])
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


def placed(said: Description, revision: str) -> Description:
    """With `{media}` filled in, now that the folder of its files has its name."""

    def filled(value: Any) -> Any:
        return value.replace(MEDIA, f"{{node_url}}/media/{said.name}/{revision}") if isinstance(value, str) else value

    return replace(
        said,
        install_url=filled(said.install_url),
        repositories=[{key: filled(value) for key, value in entry.items()} for entry in said.repositories],
        settings={key: filled(value) for key, value in said.settings.items()},
    )


def addresses(said: Description) -> list[str]:
    """Where machines with this release read packages."""
    return [said.install_url, str(said.settings.get("archive", "")), *(str(each["url"]) for each in said.repositories)]


def refuse_pin(session: Session, said: Description, sentence: str) -> None:
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


def _suite_problems(said: Description) -> Iterator[FieldProblem]:
    """apt cannot read an archive of which it does not know the suite."""
    for index, entry in enumerate(said.repositories if said.installer != KICKSTART else ()):
        if isinstance(entry, Mapping) and entry.get("url") and not entry.get("suite"):
            fix = "Name the suite; for a flat repository write: ./"
            yield FieldProblem(f"repositories[{index}].suite", "is missing.", fix)


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
