"""An attempt as its answer file needs it, read in four prepared queries and changed in as many statements.

When forty racks boot at once this is the hottest path of all. It reads without a lock, renders, and then changes only
what still is as it was read; whoever was overtaken reads again (see answering.py).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Text, bindparam, cast, exists, insert, select, update

from pxeapp.answers.models import Role
from pxeapp.answers.spec import ReleaseSpec
from pxeapp.commits import Change
from pxeapp.machines.models import Disk, Event, Interface, Machine, Network
from pxeapp.prepared import Prepared, Runner
from pxeapp.provisioning import facts
from pxeapp.provisioning.facts import CardFacts, MachineFacts, NetworkFacts, RoleFacts
from pxeapp.provisioning.models import Deployment, NodeToken, Served
from pxeapp.software.models import Release

KEPT = 256  # releases and roles whose rows are kept in their parsed form, found again by the text of the rows


class Asked(NamedTuple):
    """The attempt that a token belongs to. Names are of the rows; what is JSON there is its text here."""

    token_hash: str
    scope: str
    expires_at: dt.datetime
    uses_left: int | None
    id: int
    machine_id: int
    attempt: int
    release: str
    role: str
    step: str
    outcome: str | None
    deadline: dt.datetime
    steps: str
    claimed_address: str | None
    power_action_id: int | None
    machine_name: str
    machine_mac: str
    machine_vars: str
    release_row: tuple[str, ...] | None  # None: there is none of that name any more
    role_row: tuple[str, ...] | None


_RELEASE = (
    Release.name, Release.family, Release.version, Release.installer, Release.install_url, Release.kernel_args,
    cast(Release.repositories, Text), cast(Release.settings, Text),
)  # fmt: skip
_ROLE = (
    Role.name, cast(Role.packages, Text), cast(Role.services, Text), cast(Role.storage, Text), cast(Role.vars, Text)
)  # fmt: skip
_OWN = (
    NodeToken.token_hash, NodeToken.scope, NodeToken.expires_at, NodeToken.uses_left,
    Deployment.id, Deployment.machine_id, Deployment.attempt, Deployment.release, Deployment.role, Deployment.step,
    Deployment.outcome, Deployment.deadline, cast(Deployment.steps, Text), Deployment.claimed_address,
    Deployment.power_action_id, Machine.name, Machine.mac, cast(Machine.vars, Text),
)  # fmt: skip
_ASKED = Prepared(
    select(*_OWN, *_RELEASE, *_ROLE)
    .join(Deployment, Deployment.id == NodeToken.deployment_id)
    .join(Machine, Machine.id == Deployment.machine_id)
    .outerjoin(Release, Release.name == Deployment.release)
    .outerjoin(Role, Role.name == Deployment.role)
    .where(NodeToken.token_hash == bindparam("token_hash"))
)
_CARDS = Prepared(
    select(Interface.mac, Interface.name, Interface.network, Interface.address)
    .where(Interface.machine_id == bindparam("machine_id"))
    .order_by(Interface.id)
)
_DISKS = Prepared(select(Disk.purpose, Disk.path).where(Disk.machine_id == bindparam("machine_id")).order_by(Disk.id))
_NETWORKS = Prepared(
    select(
        Network.name, Network.cidr, Network.gateway, Network.dns, Network.ntp, Network.domain, Network.vlan,
        Network.dhcp_start,
    )
)  # fmt: skip
_TOKEN_USED = Prepared(
    update(NodeToken)
    .where(NodeToken.token_hash == bindparam("hash"), NodeToken.uses_left > 0)
    .values(uses_left=NodeToken.uses_left - 1)
)
_REACHED = Prepared(
    update(Deployment)
    .where(
        Deployment.id == bindparam("deployment"),
        Deployment.outcome.is_(None),
        Deployment.step == bindparam("seen"),
    )
    .values(
        step=bindparam("step"),
        step_since=bindparam("now"),
        step_deadline=bindparam("step_deadline"),
        due_at=bindparam("now"),
        steps=bindparam("steps"),
    )
)
_SAME = (
    Served.deployment_id == bindparam("deployment"),
    Served.kind == bindparam("kind"),
    Served.sha256 == bindparam("sha256"),
)
_SERVED = Prepared(
    insert(Served)
    .from_select(
        ["deployment_id", "at", "kind", "sha256", "size"],
        select(
            bindparam("deployment", type_=Served.deployment_id.type),
            bindparam("now", type_=Served.at.type),
            bindparam("kind", type_=Served.kind.type),
            bindparam("sha256", type_=Served.sha256.type),
            bindparam("size", type_=Served.size.type),
        ).where(~exists().where(*_SAME)),
    )
    .inline()
)
_NOTED = Prepared(
    insert(Event)
    .values({name: bindparam(name) for name in
             ("machine_id", "deployment_id", "at", "source", "kind", "message", "evidence")})
    .inline()
)  # fmt: skip


def asked(run: Runner, token_hash: str) -> Asked | None:
    """The attempt of a token, whatever state both are in."""
    row = run.first(_ASKED, token_hash=token_hash)
    if row is None:
        return None
    own, release, role = row[: len(_OWN)], row[len(_OWN) : -len(_ROLE)], row[-len(_ROLE) :]
    return Asked._make((*own, release if release[0] else None, role if role[0] else None))


def machine_of(run: Runner, found: Asked) -> MachineFacts:
    """Its machine with cards and disks."""
    return MachineFacts(
        name=found.machine_name,
        mac=found.machine_mac,
        vars=json.loads(found.machine_vars),
        cards=tuple(CardFacts(*row) for row in run.all(_CARDS, machine_id=found.machine_id)),
        disks=tuple((purpose, path) for purpose, path in run.all(_DISKS, machine_id=found.machine_id)),
    )


def networks(run: Runner) -> dict[str, NetworkFacts]:
    """Every network by name."""
    rows = (NetworkFacts(*row) for row in run.all(_NETWORKS))
    return {row.name: row for row in rows}


@lru_cache(maxsize=KEPT)
def release_of(row: tuple[str, ...], node_url: str) -> ReleaseSpec:
    """A release from its row. What was read once stays read for as long as the row is the same, word for word."""
    name, family, version, installer, install_url, kernel_args, repositories, settings = row
    return facts.release_spec(
        name=name,
        family=family,
        version=version,
        installer=installer,
        install_url=install_url,
        kernel_args=kernel_args,
        repositories=json.loads(repositories),
        settings=json.loads(settings),
        node_url=node_url,
    )


@lru_cache(maxsize=KEPT)
def role_of(row: tuple[str, ...]) -> RoleFacts:
    """A role from its row, kept in the same way. Nobody changes what is in it."""
    name, *rest = row
    return RoleFacts(name, *(json.loads(text) for text in rest))


def token_used(found: Asked) -> Change:
    """One use of the token. An attempt that ends takes its token along, so this holds only while it runs."""
    return Change(_TOKEN_USED, {"hash": found.token_hash})


def served(deployment_id: int, *, kind: str, content: bytes, now: dt.datetime) -> Change:
    """The record, by hash, of the exact bytes that a machine was given; the same bytes are recorded once."""
    sha256 = hashlib.sha256(content).hexdigest()
    values = {"deployment": deployment_id, "kind": kind, "sha256": sha256, "size": len(content), "now": now}
    return Change(_SERVED, values, rows=None)


class Stands(Protocol):
    """An attempt as it was read: where it stands, and its list of steps as JSON text."""

    @property
    def id(self) -> int: ...
    @property
    def machine_id(self) -> int: ...
    @property
    def step(self) -> str: ...
    @property
    def steps(self) -> str: ...


def reached(
    found: Stands, entry: dict[str, Any], *, step_deadline: dt.datetime, now: dt.datetime
) -> tuple[Change, ...]:
    """The step forward and its line in the timeline, if the deployment still stands where it was seen."""
    moved = {
        "deployment": found.id,
        "seen": found.step,
        "step": entry["step"],
        "now": now,
        "step_deadline": step_deadline,
        "steps": [*json.loads(found.steps), entry],
    }
    line = noted(
        found,
        now=now,
        source=entry["source"],
        kind=entry["step"],
        message=entry["message"],
        evidence=entry["evidence"],
    )
    return Change(_REACHED, moved), line


def noted(found: Stands, *, now: dt.datetime, source: str, kind: str, message: str, evidence: dict[str, Any]) -> Change:
    """A line in the timeline."""
    values = {
        "machine_id": found.machine_id,
        "deployment_id": found.id,
        "at": now,
        "source": source,
        "kind": kind,
        "message": message,
        "evidence": evidence,
    }
    return Change(_NOTED, values)
