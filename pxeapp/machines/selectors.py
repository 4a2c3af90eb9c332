"""Finding machines: by name, MAC in any spelling, or number; and lists by key, paged, never by offset."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, String, cast, func, or_, select
from sqlalchemy.orm import Session, selectinload

from pxeapp.errors import FieldProblem, Invalid, NotFound
from pxeapp.machines import mac as macs
from pxeapp.machines.models import Machine

PAGE = 100
MAX_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed by; empty fields narrow nothing. `label` is `key=value`."""

    state: str = ""
    role: str = ""
    release: str = ""
    power: str = ""
    label: str = ""
    search: str = ""


def get(session: Session, key: str, *, lock: bool = False) -> Machine:
    """The machine that a name, a MAC in any spelling, or a number means; raises NotFound."""
    conditions: list[ColumnElement[bool]] = [Machine.name == key]
    if mac := macs.parse_or_none(key):
        conditions.append(Machine.mac == mac)
    elif key.isascii() and key.isdigit() and len(key) < 18:  # "²" is a digit too, and no number
        conditions.append(Machine.id == int(key))
    query = select(Machine).where(or_(*conditions)).limit(1)
    row = session.scalar(query.with_for_update(of=Machine) if lock else query)
    if row is None:
        raise NotFound(f"There is no machine {key[:80]!r}.", hint="Use its name, its boot MAC or its number.")
    return row


def page(session: Session, narrowed: Filter, *, after: str = "", limit: int = PAGE) -> tuple[list[Machine], str | None]:
    """One page in the order of names, and where the next one starts (None: this was the last)."""
    if not 1 <= limit <= MAX_PAGE:
        fix = f"Use 1 to {MAX_PAGE}."
        raise Invalid("The page's size is not possible.", problems=[FieldProblem("limit", str(limit), fix)], hint=fix)
    query = select(Machine).where(*_conditions(narrowed)).order_by(Machine.name)
    if after:
        query = query.where(Machine.name > after)
    query = query.options(selectinload(Machine.interfaces), selectinload(Machine.bmc), selectinload(Machine.disks))
    rows = list(session.scalars(query.limit(limit + 1)))
    return rows[:limit], rows[limit - 1].name if len(rows) > limit else None


def counts(session: Session) -> dict[str, int]:
    """How many machines are in each state."""
    found = session.execute(select(Machine.state, func.count()).group_by(Machine.state))
    return {str(state): number for state, number in found}


def _conditions(narrowed: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        getattr(Machine, name) == value
        for name in ("state", "role", "release", "power")
        if (value := getattr(narrowed, name))
    ]
    if narrowed.label:
        key, _, value = narrowed.label.partition("=")
        found.append(Machine.labels[key].as_string() == value)
    if narrowed.search:
        found.append(_search(narrowed.search.strip()))
    return found


def _search(text: str) -> ColumnElement[bool]:
    """By part of the name or the serial number; by the whole MAC in any spelling, or part of it in ours."""
    like = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    mac = macs.parse_or_none(text)
    by_mac = Machine.mac == mac if mac else Machine.mac.ilike(like, escape="\\")
    return or_(Machine.name.ilike(like, escape="\\"), cast(Machine.serial, String).ilike(like, escape="\\"), by_mac)
