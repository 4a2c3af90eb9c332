"""An attempt as its answer file needs it, read in four prepared queries.

When forty racks boot at once this is the hottest path of all. It reads without a lock, renders, and then changes only
what still is as it was read (see changes.py); whoever was overtaken reads again (see answering.py).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Text, bindparam, cast, select

from pxeapp.answers.models import Role
from pxeapp.answers.spec import ReleaseSpec
from pxeapp.answers.variables import declared
from pxeapp.machines.disks import KnownDisk
from pxeapp.machines.models import Cluster, Disk, Interface, Machine, Network
from pxeapp.prepared import Prepared, Runner
from pxeapp.provisioning import facts
from pxeapp.provisioning.facts import NO_CLUSTER, CardFacts, ClusterFacts, MachineFacts, NetworkFacts, RoleFacts
from pxeapp.provisioning.models import Deployment, NodeToken
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
    as_of: str | None
    machine_name: str
    machine_mac: str
    machine_vars: str
    release_row: tuple[str, ...] | None  # None: there is none of that name any more
    role_row: tuple[str, ...] | None
    cluster_row: tuple[str, ...] | None


_RELEASE = (
    Release.name, Release.family, Release.version, Release.installer, Release.install_url, Release.kernel_args,
    cast(Release.repositories, Text), cast(Release.settings, Text),
)  # fmt: skip
_ROLE = (
    Role.name, cast(Role.packages, Text), cast(Role.services, Text), cast(Role.storage, Text), cast(Role.vars, Text),
    cast(Role.variables, Text),
)  # fmt: skip
_CLUSTER = (Cluster.name, cast(Cluster.vars, Text), cast(Cluster.secrets, Text))
_OWN = (
    NodeToken.token_hash, NodeToken.scope, NodeToken.expires_at, NodeToken.uses_left,
    Deployment.id, Deployment.machine_id, Deployment.attempt, Deployment.release, Deployment.role, Deployment.step,
    Deployment.outcome, Deployment.deadline, cast(Deployment.steps, Text), Deployment.claimed_address,
    Deployment.power_action_id, cast(Deployment.as_of, Text), Machine.name, Machine.mac, cast(Machine.vars, Text),
)  # fmt: skip
_ASKED = Prepared(
    select(*_OWN, *_RELEASE, *_ROLE, *_CLUSTER)
    .join(Deployment, Deployment.id == NodeToken.deployment_id)
    .join(Machine, Machine.id == Deployment.machine_id)
    .outerjoin(Release, Release.name == Deployment.release)
    .outerjoin(Role, Role.name == Deployment.role)
    .outerjoin(Cluster, Cluster.name == Machine.cluster)
    .where(NodeToken.token_hash == bindparam("token_hash"))
)
_CARDS = Prepared(
    select(Interface.mac, Interface.name, Interface.network, Interface.address)
    .where(Interface.machine_id == bindparam("machine_id"))
    .order_by(Interface.id)
)
_DISKS = Prepared(
    select(Disk.path, Disk.purpose, Disk.serial, Disk.size_bytes, Disk.wwn, Disk.model, Disk.rotational)
    .where(Disk.machine_id == bindparam("machine_id"))
    .order_by(Disk.id)
)
_NETWORKS = Prepared(
    select(
        Network.name, Network.cidr, Network.gateway, Network.dns, Network.ntp, Network.domain, Network.vlan,
        Network.dhcp_start,
    )
)  # fmt: skip


def asked(run: Runner, token_hash: str) -> Asked | None:
    """The attempt of a token, whatever state both are in."""
    row = run.first(_ASKED, token_hash=token_hash)
    if row is None:
        return None
    own, *joined = _parts(row, len(_OWN), len(_RELEASE), len(_ROLE), len(_CLUSTER))
    return Asked._make((*own, *(each if each[0] else None for each in joined)))


def _parts(row: tuple[Any, ...], *lengths: int) -> Iterator[tuple[Any, ...]]:
    begin = 0
    for length in lengths:
        yield row[begin : begin + length]
        begin += length


def machine_of(run: Runner, found: Asked) -> MachineFacts:
    """Its machine with cards and disks."""
    return MachineFacts(
        name=found.machine_name,
        mac=found.machine_mac,
        vars=json.loads(found.machine_vars),
        cards=tuple(CardFacts(*row) for row in run.all(_CARDS, machine_id=found.machine_id)),
        disks=tuple(KnownDisk(*row) for row in run.all(_DISKS, machine_id=found.machine_id)),
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
    packages, services, storage, said, own = (json.loads(text) for text in rest)
    return RoleFacts(name, packages, services, storage, said, declared(own)[0])


@lru_cache(maxsize=KEPT)
def cluster_of(row: tuple[str, ...] | None) -> ClusterFacts:
    """A cluster from its row, kept in the same way; its secrets stay sealed in here."""
    if row is None:
        return NO_CLUSTER
    name, said, secrets = row
    return ClusterFacts(name, json.loads(said), json.loads(secrets))
