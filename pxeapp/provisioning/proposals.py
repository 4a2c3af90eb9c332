"""What somebody thinks of changing, and how it would be if they did: put into rows that are never written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pydantic import ValidationError
from sqlalchemy import event
from sqlalchemy.orm import Session

from pxeapp import versions
from pxeapp.answers import clusters, knowledge, role_vars, roles
from pxeapp.errors import FieldProblem, Invalid, NotFound, PxeError
from pxeapp.machines import networks, sealed, selectors, service, wire
from pxeapp.machines.models import Cluster, Machine
from pxeapp.machines.selectors import Filter
from pxeapp.machines.service import Site
from pxeapp.software import releases
from pxeapp.templates import Templates
from pxeapp.vault import Vault

ACTOR = "nobody"  # of rows that are never written
FEW = 50  # machines that are read one by one
AT_ONCE = 500  # names of one question
NAMED = 50  # names that are told in a refusal
Patches = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Any of these together. Patches are by name, as PATCH takes them; a template that is None would be deleted."""

    templates: Mapping[str, str | None] = field(default_factory=dict)
    roles: Patches = field(default_factory=dict)
    networks: Patches = field(default_factory=dict)
    releases: Patches = field(default_factory=dict)
    clusters: Patches = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)  # of each selected machine; None takes one away
    to_release: str | None = None
    to_role: str | None = None
    bodies: Mapping[str, Patches] = field(default_factory=dict)  # by kind and name, as an earlier version kept them

    def refuse_nothing(self) -> None:
        """Raises Invalid for a proposal that proposes nothing."""
        if not any(getattr(self, each.name) for each in fields(self)):
            known = ", ".join(each.name for each in fields(self))
            problem = FieldProblem("", "nothing is proposed.", f"Give one of {known}.")
            raise Invalid("There is nothing to compare.", problems=[problem])


@dataclass(frozen=True, slots=True)
class Selection:
    """Which machines are looked at: all, or these names, narrowed by the filter."""

    names: Sequence[str] = ()
    narrowed: Filter = field(default_factory=Filter)

    def machines(self, session: Session) -> list[Machine]:
        """Them by name; raises Invalid with every name that no machine has."""
        if not self.names:
            return list(selectors.every(session, self.narrowed))
        meant = self._meant(session)
        if self.narrowed == Filter() and len(meant) <= FEW:
            return [selectors.get(session, name) for name in sorted(meant)]
        return [row for row in selectors.every(session, self.narrowed) if row.name in meant]

    def first(self, session: Session, most: int) -> list[Machine]:
        """Some of them, for what the first ones tell of all; raises Invalid as `machines` does."""
        if not self.names:
            return selectors.page(session, self.narrowed, limit=most)[0]
        return [selectors.get(session, name) for name in sorted(self._meant(session))[:most]]

    def count(self, session: Session) -> int:
        """How many they are; with names and a filter, how many they are at most."""
        found = selectors.count(session, self.narrowed)
        return min(found, len(set(self.names))) if self.names else found

    def _meant(self, session: Session) -> set[str]:
        """The names of those that are named. Most are said by name; those are found together."""
        keys = list(dict.fromkeys(self.names))
        found: set[str] = set()
        for start in range(0, len(keys), AT_ONCE):
            found.update(name for _, name, _ in selectors.named(session, keys[start : start + AT_ONCE]))
        problems = []
        for key in keys:
            if key in found:
                continue
            try:
                found.add(selectors.get(session, key).name)
            except NotFound as error:
                problems.append(FieldProblem("select.names", error.sentence, error.hint))
        if problems:
            raise Invalid("Not every machine is known.", problems=problems[:NAMED])
        return found


@contextmanager
def never_written(session: Session) -> Iterator[None]:
    """What is changed within is seen by whoever reads within, and thrown away at the end. Nothing reaches the database.

    Not even for a moment inside the transaction: on SQLite that would take the lock that every machine waits for.
    """

    def refuse(*_: object) -> None:
        raise RuntimeError("A comparison writes nothing.")

    event.listen(session, "before_flush", refuse)
    try:
        with session.no_autoflush:
            yield
    finally:
        session.rollback()
        event.remove(session, "before_flush", refuse)


@dataclass(frozen=True, slots=True)
class Means:
    """What saving needs besides a session."""

    vault: Vault
    templates: Templates
    site: Site


def put(
    session: Session, means: Means, proposal: Proposal, machines: Sequence[Machine], *, now: dt.datetime
) -> dict[str, Cluster]:
    """Put the proposal into the rows as saving it would, with all of its checks; raises Invalid with every problem.

    Returns the clusters that are other ones now: whoever asks the database for them would get them as they are.
    """
    problems: list[FieldProblem] = []
    changed: dict[str, Cluster] = {}
    hand = clusters.hand(session, means.vault, means.templates, actor=ACTOR, now=now)

    def change_role(session: Session, name: str, patch: Mapping[str, Any], *, actor: str, now: dt.datetime) -> None:
        values = role_vars.settled(hand, name, patch, roles.get(session, name))
        roles.change(session, name, values, actor=actor, now=now)

    for where, patches, change in (
        ("roles", proposal.roles, change_role),
        ("networks", proposal.networks, networks.change),
        ("releases", proposal.releases, releases.update),
    ):
        for name, patch in patches.items():
            try:
                change(session, name, patch, actor=ACTOR, now=now)
            except PxeError as error:
                problems += _named(f"{where}.{name}", error)
    for name, patch in proposal.clusters.items():
        try:
            changed[name] = clusters.get(session, name)
            clusters.propose(hand, changed[name], patch)
        except PxeError as error:
            problems += _named(f"clusters.{name}", error)
    for kind, bodies in proposal.bodies.items():
        for name, body in bodies.items():
            row = _put_back(session, kind, name, body)
            if isinstance(row, Cluster):
                changed[name] = row
    problems += _moved(session, proposal, machines)
    if proposal.vars:
        site = replace(means.site, variables=means.site.variables or knowledge.rules(session, means.templates))
        problems += _varied(replace(means, site=site), proposal.vars, machines, now=now)
    if problems:
        raise Invalid("This could not be saved, so there is nothing to compare.", problems=problems)
    return changed


def _put_back(session: Session, kind: str, name: str, body: Mapping[str, Any]) -> Any:
    """As it was kept, secrets sealed: whether it could be saved now is found out by saving it."""
    get: dict[str, Callable[[Session, str], Any]] = {
        versions.NETWORKS: networks.get,
        versions.RELEASES: releases.get,
        versions.ROLES: roles.get,
        versions.CLUSTERS: clusters.get,
    }
    row = get[kind](session, name)
    for field_name, value in body.items():
        if kind != versions.RELEASES or field_name in releases.CHANGEABLE:
            setattr(row, field_name, {**row.secrets, **value} if field_name == "secrets" else value)
    return row


def _moved(session: Session, proposal: Proposal, machines: Sequence[Machine]) -> Iterator[FieldProblem]:
    for where, name, get, listing in (
        ("to_release", proposal.to_release, releases.get, releases.listing),
        ("to_role", proposal.to_role, roles.get, roles.listing),
    ):
        if name is None:
            continue
        try:
            get(session, name)
        except NotFound as error:
            known = ", ".join(row.name for row in listing(session, limit=20))
            yield FieldProblem(where, error.sentence, f"Known: {known or 'none yet'}.")
            continue
        for machine in machines:
            setattr(machine, where.removeprefix("to_"), name)


def _varied(
    means: Means, said: Mapping[str, Any], machines: Sequence[Machine], *, now: dt.datetime
) -> list[FieldProblem]:
    """The first machine's problems; the others' are most often the same."""
    for machine in machines:
        present = sealed.shown(machine.vars)  # what comes back masked stays as it is
        merged = {name: value for name, value in {**present, **said}.items() if value is not None}
        try:
            change = wire.MachineChange.model_validate({"vars": merged})
        except ValidationError as error:
            return wire.problems(error)
        problems = service.settle_vars(means.vault, means.site, change, machine, actor=ACTOR, now=now)
        if problems:
            return problems
        service.apply(means.vault, machine, change, now=now)
    return []


def _named(where: str, error: PxeError) -> list[FieldProblem]:
    if isinstance(error, Invalid) and error.problems:
        return [FieldProblem(f"{where}.{each.field}", each.problem, each.fix) for each in error.problems]
    return [FieldProblem(where, error.sentence, error.hint)]
