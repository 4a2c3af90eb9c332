"""Bulk import: all or nothing, every bad row listed, and the same file again changes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

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
    line: int
    said: MachineIn


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
    problems += _duplicates(rows)
    problems += _taken(rows, existing)
    problems += [
        FieldProblem(
            "mac", f"{row.said.mac} is {by_mac[row.said.mac].state} now.", "Wait for its end or abort it.", row.line
        )
        for row in rows
        if row.said.mac in by_mac and by_mac[row.said.mac].state in TRANSITIONAL
    ]
    if problems:
        raise Invalid(
            f"{len({problem.line for problem in problems})} of {len(records)} rows are wrong; nothing was imported.",
            problems=sorted(problems, key=lambda problem: problem.line or 0),
        )
    return _apply(session, vault, rows, by_mac, actor=actor, now=now, dry_run=dry_run)


def _apply(
    session: Session,
    vault: Vault,
    rows: Iterable[_Row],
    by_mac: dict[str, Machine],
    *,
    actor: str,
    now: dt.datetime,
    dry_run: bool,
) -> Outcome:
    outcome = Outcome(dry_run=dry_run)
    fresh = []
    with session.no_autoflush:
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
    service.recognise(session, fresh)
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
    for record in records:
        try:
            said = MachineIn.model_validate(record.values)
        except ValidationError as error:
            problems += wire.problems(error, line=record.line)
            continue
        problems += service.site_problems(site, said, line=record.line)
        rows.append(_Row(record.line, said))
    return rows, problems


Values = Callable[[MachineIn], Iterable[str | None]]
# What belongs to one machine only, and how it is read from a row.
UNIQUE: dict[str, Values] = {
    "name": lambda said: [said.name],
    "mac": lambda said: [said.mac],
    "serial": lambda said: [said.serial],
    "uuid": lambda said: [said.uuid],
    "bmc.address": lambda said: [f"{said.bmc.address}:{said.bmc.port}"] if said.bmc else [],
    "interfaces.mac": lambda said: [card.mac for card in said.interfaces or []],
}
HELD: dict[str, Callable[[Machine], Iterable[str | None]]] = {
    "name": lambda row: [row.name],
    "serial": lambda row: [row.serial],
    "uuid": lambda row: [row.uuid],
    "bmc.address": lambda row: [f"{row.bmc.address}:{row.bmc.port}"] if row.bmc else [],
    "interfaces.mac": lambda row: [card.mac for card in row.interfaces],
}


def _duplicates(rows: Iterable[_Row]) -> list[FieldProblem]:
    """The same value twice in the file."""
    first: dict[tuple[str, str], int] = {}
    problems = []
    for row in rows:
        for name, values in UNIQUE.items():
            for value in filter(None, values(row.said)):
                line = first.setdefault((name, value), row.line)
                if line != row.line:
                    fix = "Each belongs to one machine only; correct one of the two."
                    problems.append(FieldProblem(name, f"{value} stands in line {line} already.", fix, row.line))
    return problems


def _taken(rows: Sequence[_Row], existing: Iterable[Machine]) -> list[FieldProblem]:
    """A value that a machine holds which this file does not change."""
    coming = {row.said.mac for row in rows}
    held = {
        (name, value): row.name
        for row in existing
        if row.mac not in coming
        for name, values in HELD.items()
        for value in filter(None, values(row))
    }
    return [
        FieldProblem(
            name, f"{value} belongs to {held[name, value]}.", "Correct it, or change that machine first.", row.line
        )
        for row in rows
        for name, values in UNIQUE.items()
        for value in filter(None, values(row.said))
        if (name, value) in held
    ]
