"""Finding machines: by name, MAC in any spelling, or number; and lists by key, paged, never by offset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, String, cast, func, or_, select
from sqlalchemy.orm import Session, raiseload, selectinload

from pxeapp.errors import FieldProblem, Invalid, NotFound
from pxeapp.machines import mac as macs
from pxeapp.machines.models import Machine
from pxeapp.machines.wire import LABEL, NAME

PAGE = 100
MAX_PAGE = 1000
_NAME = re.compile(NAME)
_NUMBER = re.compile(r"[0-9]{1,9}")  # what an id's column can hold


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed by; empty fields narrow nothing. `label` is `key=value`."""

    state: str = ""
    role: str = ""
    release: str = ""
    cluster: str = ""
    power: str = ""
    label: str = ""
    search: str = ""


def get(session: Session, key: str, *, lock: bool = False) -> Machine:
    """The machine that a name, a MAC in any spelling, or a number means; raises NotFound."""
    # A name may look like a number or a MAC; it is what the operator sees, so it goes before both.
    for condition in _meanings(key):
        query = select(Machine).where(condition)
        row = session.scalar(query.with_for_update(of=Machine) if lock else query)
        if row is not None:
            return row
    raise NotFound(f"There is no machine {key[:80]!r}.", hint="Use its name, its boot MAC or its number.")


def _meanings(key: str) -> Iterator[ColumnElement[bool]]:
    if _NAME.fullmatch(key):  # nothing else can be a name, and PostgreSQL refuses to compare with a NUL
        yield Machine.name == key
    if mac := macs.parse_or_none(key):
        yield Machine.mac == mac
    elif _NUMBER.fullmatch(key):
        yield Machine.id == int(key)


def page(
    session: Session, narrowed: Filter, *, after: str = "", limit: int = PAGE, whole: bool = True
) -> tuple[list[Machine], str | None]:
    """One page in the order of names, and where the next one starts (None: this was the last).

    `whole`: with cards, BMC and disks, which would otherwise be asked for machine by machine.
    """
    if not 1 <= limit <= MAX_PAGE:
        fix = f"Use 1 to {MAX_PAGE}."
        raise Invalid("The page's size is not possible.", problems=[FieldProblem("limit", str(limit), fix)], hint=fix)
    query = select(Machine).where(*_conditions(narrowed)).order_by(Machine.name)
    _refuse_nul(after=after, **asdict(narrowed))
    if after:
        query = query.where(Machine.name > after)
    parts = (Machine.interfaces, Machine.bmc, Machine.disks)
    query = query.options(*((selectinload if whole else raiseload)(part) for part in parts))
    rows = list(session.scalars(query.limit(limit + 1)))
    return rows[:limit], rows[limit - 1].name if len(rows) > limit else None


def counts(session: Session) -> dict[str, int]:
    """How many machines are in each state."""
    found = session.execute(select(Machine.state, func.count()).group_by(Machine.state))
    return {str(state): number for state, number in found}


def _conditions(narrowed: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        getattr(Machine, name) == value
        for name in ("state", "role", "release", "cluster", "power")
        if (value := getattr(narrowed, name))
    ]
    if narrowed.label:
        key, _, value = narrowed.label.partition("=")
        if not LABEL.fullmatch(key):
            fix = "Write key=value."
            raise Invalid("This is not a label.", problems=[FieldProblem("label", repr(key[:60]), fix)], hint=fix)
        found.append(Machine.labels[key].as_string() == value)
    if narrowed.search:
        found.append(_search(narrowed.search.strip()))
    return found


def _refuse_nul(**said: str) -> None:
    """PostgreSQL takes no NUL in a text, so that nothing can be found by one; SQLite would just find nothing."""
    wrong = [name for name, text in said.items() if "\0" in text]
    if wrong:
        fix = "Take the NUL character out."
        raise Invalid("The list cannot be narrowed.", problems=[FieldProblem(each, "no text", fix) for each in wrong])


def _search(text: str) -> ColumnElement[bool]:
    """By part of the name or the serial number; by the whole MAC in any spelling, or part of it in ours."""
    like = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    mac = macs.parse_or_none(text)
    by_mac = Machine.mac == mac if mac else Machine.mac.ilike(like, escape="\\")
    return or_(Machine.name.ilike(like, escape="\\"), cast(Machine.serial, String).ilike(like, escape="\\"), by_mac)


def brief(session: Session, narrowed: Filter, *, limit: int) -> list[tuple[int, str, str]]:
    """Number, name and state of every machine that a filter finds, by name: for what reaches many at once."""
    _refuse_nul(**asdict(narrowed))
    query = select(Machine.id, Machine.name, Machine.state).where(*_conditions(narrowed)).order_by(Machine.name)
    return [(number, name, state) for number, name, state in session.execute(query.limit(limit))]


def named(session: Session, names: Sequence[str]) -> list[tuple[int, str, str]]:
    """The same of those of these names that exist; at most as many as a query takes."""
    possible = [name for name in names if _NAME.fullmatch(name)]
    query = select(Machine.id, Machine.name, Machine.state).where(Machine.name.in_(possible))
    return [(number, name, state) for number, name, state in session.execute(query)]
