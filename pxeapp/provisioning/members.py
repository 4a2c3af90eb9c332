"""Clusters, roles, networks and releases are held here against every machine that takes something from them.

What kept a machine from fitting before the change keeps nobody from making it: only what would become wrong is refused,
with the machine and the field, and then nothing is saved.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, or_, select
from sqlalchemy.orm import Session

from pxeapp.answers import clusters, role_vars, roles, sealing
from pxeapp.answers.cluster_secrets import Hand
from pxeapp.answers.models import Role
from pxeapp.errors import Invalid
from pxeapp.machines import networks
from pxeapp.machines.disks import KnownDisk
from pxeapp.machines.models import Cluster, Disk, Interface, Machine, Network
from pxeapp.machines.service import Draft
from pxeapp.provisioning import carrying, pinning
from pxeapp.provisioning.fitting import MATTERS, MOST, fitting
from pxeapp.templates import Templates
from pxeapp.vault import Vault

Agree = Callable[[dict[str, Any]], None]  # told what is there now; raises when that is not what the asker has seen
EMPTY_CLUSTER: dict[str, Any] = {"description": "", "vars": {}, "secrets": {}}  # what null makes of a field
ALL = MATTERS | carrying.MATTERS
OF_ROLES = frozenset({"storage", "vars", "variables"})  # what machines take from a role, beside packages and services


def save_cluster(
    session: Session, templates: Templates, hand: Hand, name: str, said: Mapping[str, Any], *, agree: Agree
) -> Cluster:
    """Change a cluster for somebody who has seen it; null empties a field."""
    row = clusters.get(session, name, lock=True)
    agree(clusters.wire(row, clusters.sizes(session, [row])[name]))
    values = {field: EMPTY_CLUSTER.get(field) if value is None else value for field, value in said.items()}
    return change_cluster(session, templates, hand, name, values)


def save_role(
    session: Session, templates: Templates, hand: Hand, name: str, said: Mapping[str, Any], *, agree: Agree
) -> Role:
    """Change a role for somebody who has seen it; null leaves a field, and what changes nothing is not written down."""
    row = roles.get(session, name)
    session.refresh(row, with_for_update=True)
    shown = roles.wire(row)
    agree(shown)
    values = {field: value for field, value in said.items() if value is not None}
    return row if {**shown, **values} == shown else change_role(session, templates, hand, row, values)


def save_network(
    session: Session,
    templates: Templates,
    name: str,
    said: Mapping[str, Any],
    *,
    agree: Agree,
    actor: str,
    now: dt.datetime,
) -> Network:
    """Change a network for somebody who has seen it; null empties a field, and what changes nothing is not written."""
    row = networks.get(session, name)
    session.refresh(row, with_for_update=True)
    shown = networks.wire(row)
    agree(shown)
    values = {field: networks.EMPTY.get(field) if value is None else value for field, value in said.items()}
    if {**shown, **values} == shown:
        return row
    return change_network(session, templates, name, values, actor=actor, now=now)


def change_cluster(session: Session, templates: Templates, hand: Hand, name: str, said: Mapping[str, Any]) -> Cluster:
    """Change a cluster; raises Invalid with each machine in it that could not be what it is any more."""
    if "vars" not in said:
        return clusters.change(session, hand, name, said)
    pinning.refuse_variable(session, said["vars"], f"The cluster {name} cannot be changed.")
    with _fitting_still(session, templates, f"The cluster {name}", Machine.cluster == name, hand.vault):
        return clusters.change(session, hand, name, said)


def change_role(session: Session, templates: Templates, hand: Hand, row: Role, said: Mapping[str, Any]) -> Role:
    """Change a role in the same way; what it declares to be secret is sealed wherever it is said."""
    values, declared = role_vars.settled(hand, row.name, said, row), row.variables
    pinning.refuse_variable(session, values.get("vars") or {}, f"The role {row.name} cannot be changed.")
    with _fitting_still(session, templates, f"The role {row.name}", Machine.role == row.name, hand.vault) as problems:
        if not OF_ROLES & values.keys():
            problems.asked = None
        changed = roles.change(session, row.name, values, actor=hand.actor, now=hand.now)
        if "layout" not in changed.vars:
            problems.layout = "storage.layout"
    if changed.variables != declared:  # whoever sends all of a role declares nothing new: no machine is looked at
        sealing.seal_open_secrets(session, hand.vault, templates, now=hand.now)
        session.refresh(changed)
    return changed


def change_network(
    session: Session, templates: Templates, name: str, said: Mapping[str, Any], *, actor: str, now: dt.datetime
) -> Network:
    """Change a network in the same way: the addresses and gateways of machines that name it must still fit."""
    with _fitting_still(session, templates, f"The network {name}", _in_network(name)):
        return networks.change(session, name, said, actor=actor, now=now)


def on_release(session: Session, templates: Templates, name: str) -> AbstractContextManager[Any]:
    """A release is changed within: what its machines are must be possible with it still, their OpenStack for one."""
    return _fitting_still(session, templates, f"The release {name}", Machine.release == name)


class _Asked:
    """Which machines are asked, and where the layout that they share is said."""

    def __init__(self, asked: ColumnElement[bool]) -> None:
        self.asked: ColumnElement[bool] | None = asked
        self.layout = "vars.layout"


@contextmanager
def _fitting_still(
    session: Session, templates: Templates, what: str, asked: ColumnElement[bool], vault: Vault | None = None
) -> Iterator[_Asked]:
    members = _Asked(asked)
    before = fitting(session, templates, vault)
    yield members
    session.flush()
    if members.asked is None:
        return
    after = fitting(session, templates, vault)
    found = []
    for name, draft in _drafts(session, members.asked):
        wrong = list(after.problems(draft))
        known = list(before.problems(draft)) if wrong else []
        found += [
            replace(
                each,
                field=each.field.replace("vars.layout", members.layout, 1),
                problem=f"On {name}: {each.problem}",
            )
            for each in wrong
            if each not in known
        ]
        if len(found) >= MOST:
            break
    if found:
        raise Invalid(f"{what} cannot be saved; it would not fit every machine.", problems=found[:MOST])


def _in_network(name: str) -> ColumnElement[bool]:
    """Machines with a card in it, and those that name it among their own, their role's or their cluster's variables."""
    word = f'"{name}"'
    return or_(
        Machine.id.in_(select(Interface.machine_id).where(Interface.network == name)),
        cast(Machine.vars, Text).contains(word),
        Machine.role.in_(select(Role.name).where(cast(Role.vars, Text).contains(word))),
        Machine.cluster.in_(select(Cluster.name).where(cast(Cluster.vars, Text).contains(word))),
    )


def _drafts(session: Session, asked: ColumnElement[bool]) -> Iterator[tuple[str, Draft]]:
    """Machines by name, as they are."""
    which = select(Machine.id).where(asked)
    cards = _grouped(
        session.execute(
            select(Interface.machine_id, Interface.mac, Interface.name, Interface.network, Interface.address)
            .where(Interface.machine_id.in_(which))
            .order_by(Interface.machine_id, Interface.id)
        )
    )
    disks = _grouped(
        session.execute(
            select(
                Disk.machine_id,
                Disk.path,
                Disk.purpose,
                Disk.serial,
                Disk.size_bytes,
                Disk.wwn,
                Disk.model,
                Disk.rotational,
            )
            .where(Disk.machine_id.in_(which))
            .order_by(Disk.machine_id, Disk.id)
        )
    )
    rows = session.execute(
        select(Machine.id, Machine.name, Machine.mac, Machine.role, Machine.cluster, Machine.vars, Machine.release)
        .where(asked)
        .order_by(Machine.name)
    )
    for row in rows:
        known = tuple(KnownDisk(*each) for each in disks.get(row.id, ()))
        yield (
            row.name,
            Draft(row.mac, row.role, row.cluster, row.vars, tuple(cards.get(row.id, ())), ALL, known, row.release),
        )


def _grouped(rows: Any) -> dict[int, list[Any]]:
    """By machine, without its number."""
    return {
        number: [tuple(row[1:]) for row in group] for number, group in itertools.groupby(rows, key=lambda row: row[0])
    }
