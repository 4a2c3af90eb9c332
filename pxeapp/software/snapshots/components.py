"""What a repository of ours is divided into, at its place below /repo/; on the hot path of answers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from pxeapp.prepared import Prepared, Runner
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.snapshots.models import Channel, Snapshot, SnapshotRepository

_NOW = select(SoftwareRepository.components).where(SoftwareRepository.name == bindparam("repository_name"))
_THEN = (
    select(SnapshotRepository.components)
    .join(Snapshot, Snapshot.id == SnapshotRepository.snapshot_id)
    .where(SnapshotRepository.name == bindparam("repository_name"))
)
_STATEMENTS: dict[str, Select[Any]] = {
    "": _NOW,
    "snapshots": _THEN.where(Snapshot.name == bindparam("pin_name")),
    "channels": _THEN.join(Channel, Channel.published == Snapshot.name).where(Channel.name == bindparam("pin_name")),
}
_PREPARED = {kind: Prepared(statement) for kind, statement in _STATEMENTS.items()}


def at(run: Runner, place: str) -> tuple[str, ...]:
    """The components at NAME, snapshots/SNAPSHOT/NAME or channels/CHANNEL/NAME; none where apt finds nothing."""
    kind, values = _asked(place)
    row = run.first(_PREPARED[kind], **values)
    return tuple(row[0]) if row else ()


def seen_by(session: Session, place: str) -> tuple[str, ...]:
    """The same, for who has a session."""
    kind, values = _asked(place)
    found = session.scalar(_STATEMENTS[kind], values)
    return tuple(found) if found else ()


def _asked(place: str) -> tuple[str, dict[str, str]]:
    first, *rest = place.split("/")
    if first not in ("snapshots", "channels"):
        return "", {"repository_name": first}
    pin, name = (*rest, "", "")[:2]
    return first, {"pin_name": pin, "repository_name": name}
