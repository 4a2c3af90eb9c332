"""Rollouts that patch from a snapshot: which one is fixed when they are made, held until they end, kept by digest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.provisioning import pinning
from pxeapp.provisioning.pinning import Held
from pxeapp.rollouts.models import Rollout
from pxeapp.rollouts.spec import Patch
from pxeapp.software.bundles import service as bundles
from pxeapp.software.snapshots import holding, pins, uses
from pxeapp.software.snapshots.pins import Pin
from pxeapp.software.snapshots.service import Holder

FIELD = "action.patch.snapshot"
# What apt calls a snapshot: a moment of an archive that keeps all of its states; see sources.list(5).
OF_APT = re.compile(r"[0-9]{8}T[0-9]{6}Z")


def of(said: Patch | None) -> Pin | None:
    """The snapshot of ours that a patch is held to; raises Invalid with the field."""
    if said is None or not said.snapshot or OF_APT.fullmatch(said.snapshot):
        return None
    return pins.parse(said.snapshot, field=FIELD)


def source(said: Patch, node_url: str) -> str:
    """As patch.sh is told: apt's own word, or where our repositories lie and which folder to read them from."""
    pin = of(said)
    return said.snapshot if pin is None else f"{node_url}/repo/ {pin.folder}"


def problems(
    session: Session, said: Patch | None, releases: Iterable[str | None], roles: Iterable[str | None]
) -> list[FieldProblem]:
    """What stands against it: it is not there, or lacks what machines of these releases and roles read."""
    try:
        pin = of(said)
    except Invalid as error:
        return list(error.problems)
    if pin is None:
        return []
    read = pinning.read_by(session, filter(None, releases), filter(None, roles))
    return [FieldProblem(FIELD, *each) for each in holding.lacking(session, pin, read)]


def fix(session: Session, row: Rollout, said: Patch | None) -> str:
    """Have a rollout that names a channel keep to what that leads to now; returns what it is held to, as a sentence."""
    pin = of(said)
    if pin is None:
        return ""
    used = uses.record(session, f"rollout:{row.id}", pin, now=row.created_at)
    spec = {**row.spec, "action": {**row.spec["action"]}}
    spec["action"]["patch"] = {**spec["action"]["patch"], "snapshot": used.snapshot}
    row.spec = spec
    by = f" ({pin.shown})" if pin.channel else ""
    return f" It is held to snapshot {used.snapshot}{by}, {used.digest[:12]}."


def holders(session: Session) -> Iterator[Held]:
    """Everybody who is pinned to a snapshot or a channel, unfinished rollouts and bundles among them."""
    yield from pinning.holders(session)
    yield from bundles.holders(session)
    for number, spec in session.execute(select(Rollout.id, Rollout.spec).where(Rollout.finished_at.is_(None))):
        said = str(((spec.get("action") or {}).get("patch") or {}).get("snapshot") or "")
        if pins.NAME.fullmatch(said):
            yield Holder("rollout", str(number), Pin(said)), set()


def held_by(session: Session) -> list[Holder]:
    """The same without what each of them reads."""
    return [holder for holder, _ in holders(session)]


def holders_of(session: Session) -> dict[str, list[str]]:
    """Who is pinned to a snapshot itself and not to a channel, as sentences name them, by its name."""
    found: dict[str, list[str]] = {}
    for holder in held_by(session):
        if not holder.pin.channel:
            found.setdefault(holder.pin.name, []).append(str(holder))
    return found
