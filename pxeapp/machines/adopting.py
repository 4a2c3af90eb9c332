"""Adopting: strangers seen on the wire become machines, with what was seen of them; all of them, or none."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, String, cast, func, or_, select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines import imports
from pxeapp.machines import mac as macs
from pxeapp.machines.models import Machine, Sighting
from pxeapp.machines.records import Record
from pxeapp.machines.selectors import holds, holds_mac
from pxeapp.machines.service import Site
from pxeapp.vault import Vault

AT_ONCE = 500
SEARCHED = (Sighting.address, Sighting.serial, Sighting.manufacturer, Sighting.product)


def strangers(search: str = "") -> ColumnElement[bool]:
    """Which sightings belong to no machine, narrowed to those that hold a text."""
    unknown = Sighting.machine_id.is_(None)
    text = search.strip().replace("\0", "")
    if not text:
        return unknown
    return unknown & or_(holds_mac(Sighting.mac, text), *(holds(cast(column, String), text) for column in SEARCHED))


def count(session: Session, search: str = "") -> int:
    """How many strangers there are."""
    return session.scalar(select(func.count()).where(strangers(search))) or 0


def latest(session: Session, search: str = "", *, limit: int, offset: int = 0) -> Sequence[Sighting]:
    """Those seen last stand first: what was just racked."""
    found = select(Sighting).where(strangers(search)).order_by(Sighting.last_seen.desc(), Sighting.mac)
    return session.scalars(found.offset(offset).limit(limit)).all()


def of(session: Session, wanted: Iterable[str]) -> list[Sighting]:
    """The strangers with these MACs, in any spelling, in the order in which they are named; the others are left out."""
    order = {mac: place for place, each in enumerate(wanted) if (mac := macs.parse_or_none(each))}
    found = session.scalars(select(Sighting).where(Sighting.mac.in_(list(order)[:AT_ONCE]), strangers()))
    return sorted(found, key=lambda row: order[row.mac])


def adopt(
    session: Session,
    vault: Vault,
    site: Site,
    items: Sequence[Mapping[str, Any]],
    *,
    actor: str,
    now: dt.datetime,
    dry_run: bool = False,
) -> list[str]:
    """Register strangers; each item is a machine as an import has it, of which `mac` names the sighting.

    Serial number and UUID are taken from what was seen, where they are this machine's alone. Returns the names. Raises
    Invalid that lists every problem with the number of its item; then nothing was registered.
    """
    seen = {row.mac: row for row in of(session, (str(each.get("mac", "")) for each in items))}
    problems = list(_unknown(items, seen))
    if not 0 < len(items) <= AT_ONCE:
        problems.append(FieldProblem("items", f"{len(items)} machines.", f"Adopt 1 to {AT_ONCE} at once."))
    if problems:
        raise Invalid("Not all of these can be adopted; nothing was registered.", problems=problems)
    own = _own(session, seen.values())
    records = [
        Record(number, {**own.get(macs.normalise(str(each["mac"])), {}), **each})
        for number, each in enumerate(items, 1)
    ]
    try:
        done = imports.run(session, vault, site, records, actor=actor, now=now, dry_run=dry_run)
    except Invalid as error:
        said = (
            f"{len({each.row for each in error.problems})} of {len(items)} cannot be adopted; nothing was registered."
        )
        raise Invalid(said, problems=error.problems) from None
    if not dry_run:
        for name, item in zip(done.created, items, strict=True):
            mac = macs.normalise(str(item["mac"]))
            audit.record(session, at=now, actor=actor, action="sighting.adopt", subject=name, mac=mac)
    return done.created


def _unknown(items: Sequence[Mapping[str, Any]], seen: Mapping[str, Sighting]) -> Iterable[FieldProblem]:
    """What names no stranger, or one that is named twice."""
    met: set[str] = set()
    for number, item in enumerate(items, 1):
        said = str(item.get("mac", ""))
        mac = macs.parse_or_none(said)
        if mac is None or mac not in seen:
            fix = "See /sightings for what was seen and is not registered."
            yield FieldProblem("mac", f"{said[:60]!r} is no unknown machine that was seen.", fix, number, number)
        elif mac in met:
            yield FieldProblem("mac", f"{mac} stands here twice.", "Name each machine once.", number, number)
        else:
            met.add(mac)


def _own(session: Session, seen: Iterable[Sighting]) -> dict[str, dict[str, str]]:
    """The serial numbers and UUIDs that belong to one machine alone: makers write the same into thousands at times."""
    rows = list(seen)
    found: dict[str, dict[str, str]] = {row.mac: {} for row in rows}
    for name in ("serial", "uuid"):
        values = Counter(value for row in rows if (value := getattr(row, name)))
        column = getattr(Machine, name)
        held = set(session.scalars(select(column).where(column.in_(list(values)))))
        for row in rows:
            value = getattr(row, name)
            if value and values[value] == 1 and value not in held:
                found[row.mac][name] = value
    return found
