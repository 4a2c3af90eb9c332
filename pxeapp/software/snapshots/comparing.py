"""Reads both sides of a difference: a snapshot, a channel, or `now`, which is the repositories as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.errors import NotFound
from pxeapp.software import packages
from pxeapp.software.content.manifest import Manifest
from pxeapp.software.content.store import Store
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.snapshots import advisories, channels, difference, pins, service
from pxeapp.software.snapshots.difference import Difference, Side

NOW = "now"


class _Kept(Protocol):
    name: Any
    kind: Any
    manifest: Any
    packages: Any


def compare(
    session: Session, store: Store, old: str, new: str = NOW, *, repositories: Sequence[str] = ()
) -> list[Difference]:
    """What is in `new` and not in `old`, and the other way round; of some repositories, or of all."""
    left, right = rows(session, old), rows(session, new)
    names = {*left, *right}
    if missing := sorted({*repositories} - names):
        raise NotFound(f"Neither {old} nor {new} has a repository {missing[0][:80]!r}.", hint=f"Known: {sorted(names)}")
    wanted = {*repositories} or names
    same = {name for name in wanted if name in left and name in right and left[name].packages == right[name].packages}
    sides = (
        {name: _side(store, row, same=name in same) for name, row in side.items() if name in wanted}
        for side in (left, right)
    )
    return list(difference.between(*sides))


def rows(session: Session, said: str) -> dict[str, _Kept]:
    """The repositories of a snapshot, of a channel (`channel:NAME`), or those that are published `now`."""
    if said == NOW:
        found = session.scalars(select(SoftwareRepository).where(SoftwareRepository.manifest != "")).all()
        return {row.name: row for row in found}
    pin = pins.parse(said, field="snapshot") or pins.Pin(said)
    snapshot = channels.leads_to(session, pin.name) if pin.channel else service.get(session, pin.name)
    return {row.name: row for row in snapshot.repositories}


def _side(store: Store, row: _Kept, *, same: bool) -> Side:
    kind: packages.Kind = "rpm" if row.kind == "rpm" else "deb"
    if same:
        return Side(kind, row.packages)
    told = advisories.of_repository(store, Manifest.load(store, row.manifest)) if kind == "rpm" else None
    return Side(kind, row.packages, packages.load(store, row.packages), told)
