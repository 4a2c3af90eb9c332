"""Bulk import: all or nothing, every bad row listed, and the same file again changes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from pxeapp import audit
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines import service, wire
from pxeapp.machines.lifecycle import TRANSITIONAL, State
from pxeapp.machines.models import Machine
from pxeapp.machines.records import Record
from pxeapp.machines.service import Site
from pxeapp.machines.wire import MachineIn
from pxeapp.vault import Vault


@dataclass
class Outcome:
    """What an import did, or with `dry_run` would have done."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: int = 0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    line: int
    said: MachineIn

    def problem(self, field: str, problem: str, fix: str) -> FieldProblem:
        return FieldProblem(field, problem, fix, self.line, self.number)


def run(
    session: Session,
    vault: Vault,
    site: Site,
    records: Sequence[Record],
    *,
    actor: str,
    now: dt.datetime,
    dry_run: bool = False,
) -> Outcome:
    """Import every record or none; raises Invalid that lists every bad row. Needs a write transaction.

    A machine is the same one when its boot MAC is; its name and the rest may change by an import.
    """
    rows, problems = _parse(records, site)
    existing = list(
        session.scalars(
            select(Machine).options(
                selectinload(Machine.interfaces), selectinload(Machine.bmc), selectinload(Machine.disks)
            )
        )
    )
    by_mac = {row.mac: row for row in existing}
    problems += _unfit_vars(vault, site, rows, by_mac, actor=actor, now=now)
    problems += _unfit_wholes(site, rows, by_mac, {problem.row for problem in problems})
    taken = _taken(rows, existing)
    said = {(each.row, each.field) for each in taken}
    problems += [*taken, *(each for each in _duplicates(rows) if (each.row, each.field) not in said)]
    problems += _busy(rows, by_mac)
    if problems:
        raise Invalid(
            f"{len({problem.row for problem in problems})} of {len(records)} rows are wrong; nothing was imported.",
            problems=sorted(problems, key=lambda problem: problem.row or 0),
        )
    return _apply(session, vault, rows, by_mac, actor=actor, now=now, dry_run=dry_run)


def _apply(
    session: Session,
    vault: Vault,
    rows: Sequence[_Row],
    by_mac: dict[str, Machine],
    *,
    actor: str,
    now: dt.datetime,
    dry_run: bool,
) -> Outcome:
    outcome = Outcome(dry_run=dry_run)
    fresh = []
    with session.no_autoflush:
        if not dry_run:
            _vacate(session, rows, by_mac)
        for row in rows:
            machine = by_mac.get(row.said.mac)
            if machine is None:
                machine = Machine(
                    name=row.said.name, mac=row.said.mac, state=State.ENROLLED, created_at=now, updated_at=now
                )
                service.apply(vault, machine, row.said, now=now)
                fresh.append(machine)
                outcome.created.append(row.said.name)
            elif service.apply(vault, machine, row.said, now=now):
                outcome.updated.append(row.said.name)
            else:
                outcome.unchanged += 1
    if dry_run:
        session.expunge_all()
        session.rollback()
        return outcome
    session.add_all(fresh)
    session.flush()
    service.registered(session, fresh, now=now)
    if outcome.created or outcome.updated:
        audit.record(
            session,
            at=now,
            actor=actor,
            action="machine.import",
            subject="machines",
            created=outcome.created,
            updated=outcome.updated,
        )
    return outcome


def _parse(records: Iterable[Record], site: Site) -> tuple[list[_Row], list[FieldProblem]]:
    rows, problems = [], []
    for number, record in enumerate(records, 1):
        try:
            said = MachineIn.model_validate(record.values)
        except ValidationError as error:
            problems += wire.problems(error, line=record.line, row=number)
            continue
        problems += [replace(found, line=record.line, row=number) for found in service.site_problems(site, said)]
        rows.append(_Row(number, record.line, said))
    return rows, problems


def _unfit_vars(
    vault: Vault, site: Site, rows: Iterable[_Row], by_mac: dict[str, Machine], *, actor: str, now: dt.datetime
) -> list[FieldProblem]:
    return [
        replace(found, line=row.line, row=row.number)
        for row in rows
        for found in service.settle_vars(vault, site, row.said, by_mac.get(row.said.mac), actor=actor, now=now)
    ]


def _unfit_wholes(
    site: Site, rows: Iterable[_Row], by_mac: dict[str, Machine], wrong: set[int | None]
) -> list[FieldProblem]:
    return [
        replace(found, line=row.line, row=row.number)
        for row in rows
        if row.number not in wrong
        for found in service.whole_problems(site, row.said, by_mac.get(row.said.mac))
    ]


@dataclass(frozen=True, slots=True)
class _Unique:
    """What belongs to one machine only: the field that gives it, and how it is read from a row and from a machine."""

    field: str
    of: str  # what kind of value it is: of one kind each belongs to one machine, in whichever field
    said: Callable[[MachineIn], Iterable[str | None]]
    held: Callable[[Machine], Iterable[str | None]]


UNIQUE: dict[str, _Unique] = {
    "name": _Unique("name", "name", lambda said: [said.name], lambda row: [row.name]),
    "mac": _Unique("mac", "MAC", lambda said: [said.mac], lambda row: [row.mac]),
    "serial": _Unique("serial", "serial", lambda said: [said.serial], lambda row: [row.serial]),
    "uuid": _Unique("uuid", "UUID", lambda said: [said.uuid], lambda row: [row.uuid]),
    "bmc.address": _Unique(
        "bmc",
        "BMC",
        lambda said: [f"{said.bmc.address}:{said.bmc.port}"] if said.bmc else [],
        lambda row: [f"{row.bmc.address}:{row.bmc.port}"] if row.bmc else [],
    ),
    "interfaces.mac": _Unique(
        "interfaces",
        "MAC",  # whether a machine boots from it or not
        lambda said: {card.mac for card in said.interfaces or []},
        lambda row: [card.mac for card in row.interfaces],
    ),
    "interfaces.address": _Unique(
        "interfaces",
        "address",
        lambda said: {card.address for card in said.interfaces or []},
        lambda row: [card.address for card in row.interfaces],
    ),
}


def _duplicates(rows: Iterable[_Row]) -> list[FieldProblem]:
    """The same value in two rows of the file."""
    first: dict[tuple[str, str], _Row] = {}
    problems = []
    for row in rows:
        for name, unique in UNIQUE.items():
            for value in filter(None, unique.said(row.said)):
                other = first.setdefault((unique.of, value), row)
                if other is not row:
                    where = f"line {other.line}" if other.line != row.line else f"machine {other.number}"
                    fix = "Each belongs to one machine only; correct one of the two."
                    problems.append(row.problem(name, f"{value} stands in {where} already.", fix))
    return problems


def _taken(rows: Sequence[_Row], existing: Iterable[Machine]) -> list[FieldProblem]:
    """A value that another machine holds and that this file does not take from it."""
    coming = {row.said.mac: row.said for row in rows}
    held = {
        (unique.of, value): machine
        for machine in existing
        for unique in UNIQUE.values()
        if not _gives(coming.get(machine.mac), unique.field)
        for value in filter(None, unique.held(machine))
    }
    return [
        row.problem(name, f"{value} belongs to {owner.name}.", "Correct it, or change that machine first.")
        for row in rows
        for name, unique in UNIQUE.items()
        for value in filter(None, unique.said(row.said))
        if (owner := held.get((unique.of, value))) is not None and owner.mac != row.said.mac
    ]


def _gives(said: MachineIn | None, field: str) -> bool:
    """Whether a row replaces what its machine holds; a list that is null stays as it is, see service.apply."""
    if said is None or field not in said.model_fields_set:
        return False
    return field != "interfaces" or said.interfaces is not None


def _busy(rows: Iterable[_Row], by_mac: dict[str, Machine]) -> Iterable[FieldProblem]:
    for row in rows:
        machine = by_mac.get(row.said.mac)
        if machine is None or machine.state not in TRANSITIONAL:
            continue
        for name in service.fixed_changes(machine, row.said):
            yield row.problem(
                name, f"{machine.name} is {machine.state}; this cannot change now.", "Wait for its end or abort it."
            )


def _vacate(session: Session, rows: Iterable[_Row], by_mac: dict[str, Machine]) -> None:
    """Two machines may trade names, BMCs or cards in one file, while every single row has to be unique in between."""
    holders = {
        (name, value): machine
        for machine in by_mac.values()
        for name, unique in UNIQUE.items()
        for value in filter(None, unique.held(machine))
    }
    for row in rows:
        for name, unique in UNIQUE.items():
            for value in filter(None, unique.said(row.said)):
                holder = holders.get((name, value))
                if holder is not None and holder.mac != row.said.mac:
                    service.vacate(session, holder, name, value)
