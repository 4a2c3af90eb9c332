"""Imported media: looked up, listed, written down, and deleted when no release installs from them any more."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, NotFound, PxeError
from pxeapp.sentences import few
from pxeapp.software import releases
from pxeapp.software.content import tree
from pxeapp.software.content.manifest import Manifest
from pxeapp.software.content.store import Store
from pxeapp.software.isos.models import SoftwareMedium
from pxeapp.software.models import Release

MEDIUM = "medium"  # of a release's settings, see made_of
LOST = "Its files are not on this disk: import the image again."
SHOWN = (
    "name", "title", "layout", "family", "version", "kind", "label", "source", "iso_sha256", "iso_bytes", "iso",
    "kernel", "initrd", "stage2", "repositories", "checks", "remarks", "files", "bytes",
)  # fmt: skip


def folder(settings: Settings) -> Path:
    """Where the trees of media lie; nginx serves it at /repo/media/."""
    return settings.data_dir / "repo" / "media"


def url(name: str, path: str = "") -> str:
    """A medium's tree, or a file of it, as a release names it."""
    return f"{{node_url}}/repo/media/{name}" + (f"/{path}" if path else "")


def find(session: Session, name: str) -> SoftwareMedium | None:
    """The medium of this name, if there is one."""
    return session.scalar(select(SoftwareMedium).where(SoftwareMedium.name == name))


def get(session: Session, name: str) -> SoftwareMedium:
    """The medium of this name; raises NotFound."""
    row = find(session, name)
    if row is None:
        raise NotFound(f"There is no medium {name[:63]!r}.", hint="See: pxeapp media list")
    return row


def listing(session: Session, *, after: str = "", limit: int = 100) -> Sequence[SoftwareMedium]:
    """Media by name, at most `limit`, those behind `after`."""
    found = select(SoftwareMedium).where(SoftwareMedium.name > after).order_by(SoftwareMedium.name)
    return session.scalars(found.limit(limit)).all()


def used_by(session: Session, name: str) -> list[str]:
    """The releases whose installer reads something of this medium, by name."""
    names = re.compile(rf"/repo/media/{re.escape(name)}(?![A-Za-z0-9._-])")
    return [
        row.name
        for row in session.scalars(select(Release).order_by(Release.name))
        if names.search(json.dumps(releases.body(row)))
    ]


def made_of(name: str, iso_sha256: str) -> dict[str, Any]:
    """What a release remembers, in its settings, of the import that made it: a retry of that import finds its own."""
    return {MEDIUM: {"name": name, "iso_sha256": iso_sha256}}


def is_made_of(session: Session, release: str, name: str, iso_sha256: str) -> bool:
    """Whether the import of this image under this name has made the release; it need not install from the medium."""
    row = session.scalar(select(Release).where(Release.name == release))
    return row is not None and row.settings.get(MEDIUM) == made_of(name, iso_sha256)[MEDIUM]


def booting_another(session: Session, name: str, manifest: Manifest) -> list[str]:
    """The releases that install from this medium, and boot a kernel that is not on it."""
    known = {entry.sha256 for entry in manifest}
    users = select(Release).where(Release.name.in_(used_by(session, name))).order_by(Release.name)
    return [row.name for row in session.scalars(users) if row.kernel_sha256 not in known]


def refuse_taken(session: Session, name: str, *, but_of: str = "") -> None:
    """Raises Conflict when there is a medium of this name, unless it is of the image with the SHA-256 `but_of`."""
    row = find(session, name)
    if row is not None and row.iso_sha256 != but_of:
        raise Conflict(
            f"There is a medium {name} already.", hint="Replace it on purpose (--replace), or choose another name."
        )


def save(
    session: Session, name: str, said: dict[str, Any], *, replace: bool, actor: str, now: dt.datetime
) -> SoftwareMedium:
    """Write a medium down within the caller's transaction, with the manifest before it; raises Conflict."""
    if not replace:
        refuse_taken(session, name, but_of=said["iso_sha256"])
    row = find(session, name)
    if row is not None:
        said = {**said, "previous": row.previous if row.manifest == said["manifest"] else row.manifest}
    was = wire(row) if row is not None else None
    if row is None:
        row = SoftwareMedium(name=name, created_at=now)
        session.add(row)
    for field, value in said.items():
        setattr(row, field, value)
    row.updated_at = now
    session.flush()
    audit.record(
        session, at=now, actor=actor, action="media.replace" if was else "media.add", subject=f"media:{name}",
        **audit.difference(was, wire(row)),
    )  # fmt: skip
    return row


def delete(database: Database, settings: Settings, name: str, *, actor: str, now: dt.datetime) -> None:
    """Serve it no more; raises Conflict with the releases that install from it. Its files go with the next clean-up."""
    with alone(settings):
        with database.write() as session:
            row = get(session, name)
            if users := used_by(session, name):
                raise Conflict(
                    f"{name} is what {few(users, 10)} {'installs' if len(users) == 1 else 'install'} from.",
                    hint="Have the release install from elsewhere, or delete it first: pxeapp release delete NAME",
                )
            gone = audit.difference(wire(row), None)
            session.delete(row)
            audit.record(session, at=now, actor=actor, action="media.remove", subject=f"media:{name}", **gone)
        tree.withdraw(folder(settings) / name)


def keep_served(settings: Settings, database: Database, now: dt.datetime) -> None:
    """Have each medium's tree be there, of what its row says; after a restore it may not be."""
    with database.read() as session:
        gone = [row for row in session.scalars(select(SoftwareMedium)) if not (folder(settings) / row.name).exists()]
    store = Store(settings.data_dir / "software")
    for row in gone:
        with alone(settings):
            with database.read() as session:
                if (known := find(session, row.name)) is None or known.manifest != row.manifest:
                    continue  # deleted or replaced meanwhile
            try:
                tree.publish(store, Manifest.load(store, row.manifest), folder(settings) / row.name)
            except (PxeError, OSError):  # a backup without media, say
                if LOST not in row.remarks:
                    _remark(database, row.name, LOST, now)


def _remark(database: Database, name: str, sentence: str, now: dt.datetime) -> None:
    with database.write() as session:
        row = get(session, name)
        row.remarks, row.updated_at = [*row.remarks, sentence], now


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """One change at a time of which media there are: a row and its tree belong together."""
    there = folder(settings)
    there.mkdir(parents=True, exist_ok=True)
    with (there / ".rows.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def wire(row: SoftwareMedium) -> dict[str, Any]:
    """A medium as the API and the audit show it."""
    return {name: getattr(row, name) for name in SHOWN}


def shown(session: Session, row: SoftwareMedium) -> dict[str, Any]:
    """A medium as the API shows it: with where it is served, and who installs from it."""
    return {
        **wire(row),
        "url": url(row.name),
        "releases": used_by(session, row.name),
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }
