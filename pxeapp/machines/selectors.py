"""Finding machines: by name, MAC in any spelling, or number; and lists by key, paged, never by offset.

A list is narrowed by single fields, by a query (see query.py), or both; it is sorted by a column that has an index.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, String, and_, cast, exists, func, not_, or_, select
from sqlalchemy.orm import Session, raiseload, selectinload

from pxeapp.errors import FieldProblem, Invalid, NotFound
from pxeapp.machines import mac as macs
from pxeapp.machines import query as language
from pxeapp.machines.models import Bmc, Interface, Machine
from pxeapp.machines.query import BOOLEANS, KINDS, Term
from pxeapp.machines.wire import LABEL, NAME

PAGE = 100
MAX_PAGE = 1000
_NAME = re.compile(NAME)
_NUMBER = re.compile(r"[0-9]{1,9}")  # what an id's column can hold
_ADDRESS = re.compile(r"[0-9]{1,3}\.[0-9.]*|[0-9a-fA-F]*:[0-9a-fA-F:]*")  # part of an IP address, long enough to be one


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed by; empty fields narrow nothing. `label` is `key=value`, `q` a query (see query.py)."""

    state: str = ""
    role: str = ""
    release: str = ""
    cluster: str = ""
    project: str = ""
    power: str = ""
    label: str = ""
    search: str = ""
    rack: str = ""
    network: str = ""
    q: str = ""


# What a list may be sorted by; a minus before it turns it round. Each has an index, with the name behind it.
SORTS: dict[str, Any] = {
    "name": Machine.name, "mac": Machine.mac, "state": Machine.state, "role": Machine.role, "release": Machine.release,
    "cluster": Machine.cluster, "rack": Machine.rack, "serial": Machine.serial, "updated": Machine.updated_at,
}  # fmt: skip


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
    session: Session, narrowed: Filter, *, after: str = "", limit: int = PAGE, whole: bool = True, sort: str = "name"
) -> tuple[list[Machine], str | None]:
    """One page in the order of `sort`, and where the next one starts (None: this was the last).

    Machines that change meanwhile neither repeat nor vanish unless the sorted value itself has changed. Those that
    have none stand last, in either direction. `whole`: with cards, BMC and disks, which would otherwise be asked for
    machine by machine.
    """
    if not 1 <= limit <= MAX_PAGE:
        fix = f"Use 1 to {MAX_PAGE}."
        raise Invalid("The page's size is not possible.", problems=[FieldProblem("limit", str(limit), fix)], hint=fix)
    column, falling = _sorted_by(sort)
    _refuse_nul(after=after, **asdict(narrowed))
    query = select(Machine).where(*_conditions(narrowed))
    parts = (Machine.interfaces, Machine.bmc, Machine.disks)
    query = query.options(*((selectinload if whole else raiseload)(part) for part in parts))
    rows: list[Machine] = []
    for part in _parts(query, column, falling=falling, after=after):
        rows += session.scalars(part.limit(limit + 1 - len(rows)))
        if len(rows) > limit:
            return rows[:limit], _cursor(rows[limit - 1], column)
    return rows, None


def _sorted_by(sort: str) -> tuple[Any, bool]:
    if problem := sort_problem(sort):
        raise Invalid("The list cannot be sorted so.", problems=[problem], hint=problem.fix)
    return SORTS[sort.removeprefix("-")], sort.startswith("-")


def sort_problem(sort: str) -> FieldProblem | None:
    """Why a list cannot be sorted so."""
    if sort.removeprefix("-") in SORTS:
        return None
    fix = f"Use one of {', '.join(SORTS)}, with a minus before it for the other direction."
    return FieldProblem("sort", repr(sort[:40]), fix)


def _parts(query: Select[Machine], column: Any, *, falling: bool, after: str) -> Iterator[Select[Machine]]:
    """The rest of the list behind `after`: those with a value, then those without. Each is read off the index."""
    if column is Machine.name:
        query = query.order_by(Machine.name.desc() if falling else Machine.name)
        yield query.where(Machine.name < after if falling else Machine.name > after) if after else query
        return
    value, name = _start(after, column)
    if value is not None or not after:
        some = query.where(column.is_not(None))
        some = some.order_by(*((column.desc(), Machine.name.desc()) if falling else (column, Machine.name)))
        if value is not None:
            # Two comparisons, and not one of a pair: SQLite reads the first off the index.
            behind = (column <= value, or_(column < value, Machine.name < name))
            before = (column >= value, or_(column > value, Machine.name > name))
            some = some.where(*(behind if falling else before))
        yield some
    if not column.property.columns[0].nullable:
        return
    none = query.where(column.is_(None)).order_by(Machine.name)
    yield none.where(Machine.name > name) if after and value is None else none


def _cursor(row: Machine, column: Any) -> str:
    """Where the next page starts: the name; with another order the value before it, or nothing where it has none."""
    if column is Machine.name:
        return row.name
    value = getattr(row, column.key)
    said = value.isoformat() if isinstance(value, dt.datetime) else value
    return f"~{row.name}" if value is None else f"={said}~{row.name}"


def _start(after: str, column: Any) -> tuple[Any, str]:
    """The value and name that a cursor stands for; raises Invalid for what is none of ours."""
    if not after:
        return None, ""
    value, mark, name = after.rpartition("~")
    fix = "Pass `next` of the page before, and the same `sort`."
    wrong = Invalid("The page has no beginning.", problems=[FieldProblem("after", repr(after[:40]), fix)], hint=fix)
    if not mark or (value and not value.startswith("=")):
        raise wrong
    if not value:
        return None, name
    if column is not Machine.updated_at:
        return value[1:], name
    try:
        moment = dt.datetime.fromisoformat(value[1:])
    except ValueError:
        raise wrong from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC), name


def count(session: Session, narrowed: Filter) -> int:
    """How many machines a filter finds."""
    _refuse_nul(**asdict(narrowed))
    return session.scalar(select(func.count(Machine.id)).where(*_conditions(narrowed))) or 0


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


def as_query(narrowed: Filter) -> str:
    """A filter as one query, in its one spelling; raises Invalid for a query that cannot be understood."""
    fields = ("state", "role", "release", "cluster", "project", "power", "rack", "network", "label")
    terms = [language.term(name, value) for name in fields if (value := getattr(narrowed, name))]
    terms += [Term("", (narrowed.search.strip(),))] if narrowed.search.strip() else []
    return language.written((*terms, *language.parse(narrowed.q)))


def counts(session: Session) -> dict[str, int]:
    """How many machines are in each state."""
    found = session.execute(select(Machine.state, func.count()).group_by(Machine.state))
    return {str(state): number for state, number in found}


def _conditions(narrowed: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        getattr(Machine, name) == value
        for name in ("state", "role", "release", "cluster", "project", "power", "rack")
        if (value := getattr(narrowed, name))
    ]
    if narrowed.network:
        found.append(_in_network(Interface.network == narrowed.network))
    if narrowed.label:
        key, _, value = narrowed.label.partition("=")
        if not LABEL.fullmatch(key):
            fix = "Write key=value."
            raise Invalid("This is not a label.", problems=[FieldProblem("label", repr(key[:60]), fix)], hint=fix)
        found.append(Machine.labels[key].as_string() == value)
    if narrowed.search.strip():
        found.append(_search(narrowed.search.strip()))
    found += [_condition(term) for term in language.parse(narrowed.q)]
    return found


def _condition(term: Term) -> ColumnElement[bool]:
    """One word of a query; one that is turned round finds also those of which nothing is known."""
    found = or_(*(_says(term, value) for value in term.values)) if term.key else _search(term.values[0])
    return not_(func.coalesce(found, False)) if term.negated else found


def _says(term: Term, value: str) -> ColumnElement[bool]:
    key = term.key
    if key == "state":
        return Machine.state.in_(sorted(KINDS[value])) if value in KINDS else Machine.state == value
    if key in ("maintenance", "locked"):
        found: ColumnElement[bool] = getattr(Machine, key).is_(BOOLEANS[value])
        return found
    if key == "label":
        return _like(Machine.labels[term.label].as_string(), value)
    if key in ("site", "room", "unit"):
        return _like(cast(Machine.location[key].as_string(), String), value)
    if key == "network":
        return _in_network(_like(Interface.network, value)) if value else not_(_in_network(Interface.network != ""))
    if key == "address":
        return _at_address(value)
    if key == "mac":
        mac = macs.parse_or_none(value)
        said = mac if mac else f"*{value.lower()}*"
        return or_(_like(Machine.mac, said), _in_network(_like(Interface.mac, said)))
    if key == "fault":
        return _like(Machine.fault, f"*{value}*" if value else "")
    return _like(getattr(Machine, key), value)


def _like(column: Any, value: str) -> ColumnElement[bool]:
    """As it is said; `*` stands for anything, and nothing at all for none."""
    if not value:
        return or_(column.is_(None), column == "")
    found: ColumnElement[bool] = column == value
    if "*" in value:
        found = column.ilike(_escaped(value).replace("*", "%"), escape="\\")
    return found


def _in_network(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(and_(Interface.machine_id == Machine.id, condition))


def _at_address(value: str) -> ColumnElement[bool]:
    of_bmc = exists().where(and_(Bmc.machine_id == Machine.id, _like(Bmc.address, value)))
    return or_(_in_network(_like(Interface.address, value)), of_bmc)


def _refuse_nul(**said: str) -> None:
    """PostgreSQL takes no NUL in a text, so that nothing can be found by one; SQLite would just find nothing."""
    wrong = [name for name, text in said.items() if "\0" in text]
    if wrong:
        fix = "Take the NUL character out."
        raise Invalid("The list cannot be narrowed.", problems=[FieldProblem(each, "no text", fix) for each in wrong])


def _search(text: str) -> ColumnElement[bool]:
    """By part of the name or the serial number; by the MAC; by address."""
    found = [holds(Machine.name, text), holds(cast(Machine.serial, String), text), holds_mac(Machine.mac, text)]
    if _ADDRESS.fullmatch(text):
        found.append(_at_address(f"*{text}*"))
    return or_(*found)


def holds(column: Any, text: str) -> ColumnElement[bool]:
    """Whether a column has this text in any place, in small letters or capitals."""
    found: ColumnElement[bool] = column.ilike(f"%{_escaped(text)}%", escape="\\")
    return found


def holds_mac(column: Any, text: str) -> ColumnElement[bool]:
    """Whether a column of MACs has this one: the whole of it in any spelling, or a part of it in ours."""
    mac = macs.parse_or_none(text)
    if mac is None:
        return holds(column, text)
    found: ColumnElement[bool] = column == mac
    return found


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def every(session: Session, narrowed: Filter) -> Iterator[Machine]:
    """Every machine that a filter finds, by name, page by page."""
    after: str | None = ""
    while after is not None:
        rows, after = page(session, narrowed, after=after, limit=MAX_PAGE)
        yield from rows
