"""Which keys a machine is known by: reported at its first boot, or said by an operator. No key is learnt on the way."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.commits import Change
from pxeapp.errors import FieldProblem, Invalid, NotFound
from pxeapp.machines.models import Machine
from pxeapp.nodes import keys
from pxeapp.nodes.models import Node
from pxeapp.prepared import Prepared

FIRST_BOOT = "first_boot"
USER = "pxeapp"  # who a machine with `remote_access` lets in; see boot/site/_remote_access.sh
_USERNAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_REPORTED = Prepared(  # both databases know this, SQLAlchemy has it for each by another name
    text(
        "INSERT INTO nodes (machine_id, host_keys, keys_from, keys_at, reported_address, address, port, username) "
        "VALUES (:machine, :host_keys, :keys_from, :now, :reported, '', 22, '') "
        "ON CONFLICT (machine_id) DO UPDATE SET host_keys = excluded.host_keys, keys_from = excluded.keys_from, "
        "keys_at = excluded.keys_at, reported_address = excluded.reported_address"
    ).bindparams(
        bindparam("machine", type_=Node.machine_id.type),
        bindparam("host_keys", type_=Node.host_keys.type),
        bindparam("keys_from", type_=Node.keys_from.type),
        bindparam("now", type_=Node.keys_at.type),
        bindparam("reported", type_=Node.reported_address.type),
    )
)


def reported(machine_id: int, host_keys: list[str], address: str, *, now: dt.datetime) -> Change:
    """The keys that a freshly installed system has sent with its token: they take the place of all before."""
    values = {
        "machine": machine_id,
        "host_keys": host_keys,
        "keys_from": FIRST_BOOT,
        "now": now,
        "reported": address[:45],
    }
    return Change(_REPORTED, values, rows=None)


def record(
    session: Session,
    machine: Machine,
    said: list[str],
    *,
    address: str = "",
    port: int = 22,
    username: str = "",
    actor: str,
    now: dt.datetime,
) -> Node:
    """Pin what an operator has read on the machine itself, and how it is reached; raises Invalid with every problem."""
    host_keys = keys.host_keys(said)
    problems = list(_problems(host_keys, address, port, username))
    if problems:
        raise Invalid(f"How {machine.name} is reached cannot be kept.", problems=problems)
    node = session.get(Node, machine.id)
    before = None if node is None else _audited(node)
    if node is None:
        node = Node(machine_id=machine.id)
        session.add(node)
    node.host_keys, node.keys_from, node.keys_at = host_keys, actor[:200], now
    node.address, node.port, node.username = address, port, username
    audit.record(
        session, at=now, actor=actor, action="machine.ssh.record", subject=machine.name, before=before,
        after=_audited(node),
    )  # fmt: skip
    return node


def forget(session: Session, machine: Machine, *, actor: str, now: dt.datetime) -> None:
    """Know no key of it any more: nothing is sent to it until it reports one, or somebody says one."""
    node = session.get(Node, machine.id)
    if node is None:
        raise NotFound(f"No host key of {machine.name} is known.")
    audit.record(session, at=now, actor=actor, action="machine.ssh.forget", subject=machine.name, before=_audited(node))
    session.delete(node)


def address_of(machine: Machine, node: Node | None) -> str:
    """Where it is, by whoever knows best: an operator, its boot interface, its first boot, its other interfaces."""
    if node is not None and node.address:
        return node.address
    for card in machine.interfaces:
        if card.mac == machine.mac and card.address:
            return card.address
    if node is not None and node.reported_address:
        return node.reported_address
    return next((card.address for card in machine.interfaces if card.address), "")


def wire(machine: Machine, node: Node | None) -> dict[str, Any]:
    """As the API and the commands show it."""
    return {
        "machine": machine.name,
        "address": address_of(machine, node),
        "port": node.port if node else 22,
        "username": (node.username if node else "") or USER,
        "host_keys": [
            {"key": key, "kind": key.split()[0], "fingerprint": keys.fingerprint(key)}
            for key in (node.host_keys if node else [])
        ],
        "keys_from": node.keys_from if node else None,
        "keys_at": node.keys_at.isoformat() if node else None,
    }


def _audited(node: Node) -> dict[str, Any]:
    fingerprints = [keys.fingerprint(key) for key in node.host_keys]
    return {
        "fingerprints": fingerprints,
        "from": node.keys_from,
        "address": node.address,
        "port": node.port,
        "username": node.username,
    }


def _problems(host_keys: list[str], address: str, port: int, username: str) -> list[FieldProblem]:
    found = []
    if not host_keys:
        found.append(FieldProblem("host_keys", "has none.", "Send the lines of /etc/ssh/ssh_host_*_key.pub."))
    if address and not _is_address(address):
        found.append(FieldProblem("address", f"{address[:60]!r} is not an address.", "Write it as 10.0.0.7."))
    if not 1 <= port <= 65535:
        found.append(FieldProblem("port", f"{port} is not a port.", "Use 1 to 65535; ssh has 22."))
    if username and not _USERNAME.fullmatch(username):
        found.append(FieldProblem("username", f"{username[:60]!r} is not a user name.", "Write it as root."))
    return found


def _is_address(said: str) -> bool:
    """A plain one; a name could lead elsewhere tomorrow, and the appliance asks no name server for it."""
    try:
        return not ipaddress.ip_address(said).is_multicast and "%" not in said
    except ValueError:
        return False
