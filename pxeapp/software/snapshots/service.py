"""Taking, finding and deleting snapshots: rows. Trees are made of them by publishing.py."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.db import one_at_a_time
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.sentences import few
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.snapshots import pins
from pxeapp.software.snapshots.models import Channel, Snapshot, SnapshotRepository
from pxeapp.software.snapshots.pins import Pin
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.models import SoftwareTask

PUBLISH = "snapshot.publish"
WITHDRAW = "snapshot.withdraw"
CHANGES = "software_snapshots"  # who takes, moves or deletes one does so after the other
COPIED = (
    "name", "kind", "description", "suite", "components", "architectures", "manifest", "packages", "package_count",
    "bytes",
)  # fmt: skip
# What makes two snapshots the same: what machines are served, and nothing that is only said of it.
SAME = ("name", "kind", "suite", "manifest", "packages")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a pin, as a sentence names it."""

    kind: str  # release, role, cluster, machine, rollout, deployment, bundle
    name: str
    pin: Pin

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def take(
    session: Session,
    name: str,
    *,
    repositories: Sequence[str] = (),
    description: str = "",
    actor: str,
    now: dt.datetime,
) -> Snapshot:
    """Keep repositories as they are now, all that are published unless some are named.

    Taking the same again under the same name is the snapshot that is there; other content under a name that was ever
    used is refused.
    """
    check_name(name)
    one_at_a_time(session, CHANGES)
    found = select(SoftwareRepository).order_by(SoftwareRepository.name)
    rows = session.scalars(found.where(SoftwareRepository.name.in_(repositories)) if repositories else found).all()
    if missing := sorted({*repositories} - {row.name for row in rows}):
        raise NotFound(f"There is no repository {missing[0]!r}.", hint="See: pxeapp repository list")
    empty = [row.name for row in rows if not row.manifest]
    if repositories and empty:
        raise Conflict(f"{empty[0]} was never published; there is nothing to keep of it.", hint="Publish it first.")
    parts = [{column: getattr(row, column) for column in COPIED} for row in rows if row.manifest]
    if not parts:
        raise Conflict(
            "No repository is published, so there is nothing to keep.",
            hint="Make one first: pxeapp repository create, or pxeapp mirror create",
        )
    return keep(session, name, parts, description=description, actor=actor, now=now)


def keep(
    session: Session,
    name: str,
    parts: Sequence[dict[str, Any]],
    *,
    description: str,
    actor: str,
    now: dt.datetime,
    origin: str = "",
    taken_at: dt.datetime | None = None,
) -> Snapshot:
    """A snapshot of these repositories (`COPIED` of each), and the order to publish it; the same again is that one."""
    digest = digest_of(parts)
    row = session.scalar(select(Snapshot).where(Snapshot.name == name))
    if row is not None and row.digest != digest:
        what = "with other content" if row.deleted_at is None else "with other content, which was deleted"
        raise Conflict(
            f"There is a snapshot {name} already, {what}.",
            hint="A snapshot never changes, and its name never means anything else: choose another name.",
        )
    if row is not None and row.deleted_at is None:
        return row
    if row is None:
        row = Snapshot(name=name, digest=digest)
        session.add(row)
        row.repositories = [SnapshotRepository(**part) for part in parts]
    row.description, row.origin, row.taken_by, row.taken_at = description, origin, actor, taken_at or now
    row.published_at = row.deleted_at = None
    session.flush()
    audit.record(
        session, at=now, actor=actor, action="snapshot.take", subject=f"snapshot:{name}", digest=digest, origin=origin,
        repositories={part["name"]: part["manifest"] for part in parts},
    )  # fmt: skip
    order(session, PUBLISH, name, actor=actor, now=now)
    return row


def digest_of(parts: Iterable[Any]) -> str:
    """Over what is in it, in one order: equal exactly when two snapshots serve the same."""

    def said(part: Any) -> list[str]:
        return [str(part[name] if isinstance(part, dict) else getattr(part, name)) for name in SAME]

    return hashlib.sha256(json.dumps(sorted(map(said, parts))).encode()).hexdigest()


def get(session: Session, name: str) -> Snapshot:
    """The snapshot of this name; raises NotFound, for a deleted one too."""
    row = session.scalar(select(Snapshot).where(Snapshot.name == name, Snapshot.deleted_at.is_(None)))
    if row is None:
        raise NotFound(f"There is no snapshot {name[:80]!r}.", hint="See: pxeapp snapshot list")
    return row


def present(name: str) -> Select[int]:
    """Finds whether there is one of this name that was not deleted."""
    return select(Snapshot.id).where(Snapshot.name == name, Snapshot.deleted_at.is_(None))


def listing(session: Session, *, after: str = "", limit: int) -> Sequence[Snapshot]:
    """Snapshots by name, those behind `after`."""
    found = select(Snapshot).where(Snapshot.name > after, Snapshot.deleted_at.is_(None)).order_by(Snapshot.name)
    return session.scalars(found.limit(limit)).all()


def delete(session: Session, name: str, *, held_by: Iterable[Holder], actor: str, now: dt.datetime) -> None:
    """Serve and keep it no longer; raises Conflict with everybody who is pinned to it."""
    one_at_a_time(session, CHANGES)
    row = get(session, name)
    leading = session.scalars(select(Channel).where((Channel.snapshot == name) | (Channel.published == name))).all()
    holders = [f"channel {channel.name}" for channel in leading]
    holders += [str(holder) for holder in held_by if holder.pin == Pin(name)]
    if holders:
        raise Conflict(
            f"Snapshot {name} is held by {few(holders, 10)}.",
            hint="Pin these to another one first, or have the channel lead elsewhere.",
        )
    row.deleted_at = now
    audit.record(session, at=now, actor=actor, action="snapshot.delete", subject=f"snapshot:{name}", digest=row.digest)
    order(session, WITHDRAW, name, actor=actor, now=now)


def order(session: Session, kind: str, subject: str, *, actor: str, now: dt.datetime) -> SoftwareTask:
    """Order a task, or find the one that is about to do it already."""
    there = session.scalar(
        select(SoftwareTask).where(
            SoftwareTask.kind == kind, SoftwareTask.subject == subject, SoftwareTask.finished_at.is_(None)
        )
    )
    return there or tasks.order(session, kind, subject, {}, actor=actor, now=now)


def check_name(name: str, *, what: str = "snapshot") -> None:
    """Raises Invalid for what cannot be part of an address."""
    if not pins.NAME.fullmatch(name):
        problem = FieldProblem(
            "name", f"{name[:80]!r} cannot be the name of a {what}.", "Lower case, digits, dots, dashes: 2026-11."
        )
        raise Invalid(f"The {what} cannot be made.", problems=[problem])


def wire(row: Snapshot) -> dict[str, Any]:
    """A snapshot as the API shows it."""
    return {
        "name": row.name,
        "digest": row.digest,
        "description": row.description,
        "origin": row.origin,
        "taken_by": row.taken_by,
        "taken_at": row.taken_at.isoformat(),
        "published_at": row.published_at.isoformat() if row.published_at else None,
        "repositories": [{name: getattr(each, name) for name in COPIED} for each in row.repositories],
        "package_count": sum(each.package_count for each in row.repositories),
        "bytes": sum(each.bytes for each in row.repositories),
    }
