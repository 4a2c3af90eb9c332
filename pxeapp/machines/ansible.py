"""Machines as Ansible's dynamic inventory: groups by role, state, release, cluster, rack and label."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.errors import NotFound
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine, Sighting
from pxeapp.machines.selectors import Filter

_UNFIT = re.compile(r"[^A-Za-z0-9_]")  # in the name of a group


def inventory(session: Session, narrowed: Filter) -> dict[str, Any]:
    """As a script's `--list` prints it, variables of every host included, so that no `--host` is asked."""
    rows = list(selectors.every(session, narrowed))
    seen = addresses(session, rows)
    groups: dict[str, list[str]] = {}
    hostvars: dict[str, dict[str, Any]] = {}
    for row in rows:
        hostvars[row.name] = variables(row, seen.get(row.id))
        for group in _groups(row):
            groups.setdefault(group, []).append(row.name)
    listed = {name: {"hosts": hosts} for name, hosts in sorted(groups.items())}
    everything = {"children": ["ungrouped", *listed], "hosts": list(hostvars)}
    return {"_meta": {"hostvars": hostvars}, "all": everything, **listed}


def host(session: Session, name: str) -> dict[str, Any]:
    """As a script's `--host NAME` prints it; nothing for a host that is not ours, as Ansible expects."""
    try:
        row = selectors.get(session, name)
    except NotFound:
        return {}
    return variables(row, addresses(session, [row]).get(row.id))


def variables(row: Machine, address: str | None) -> dict[str, Any]:
    """What Ansible knows of a host. Nothing that is secret: no BMC, and no variable of a template."""
    found: dict[str, Any] = {
        "pxeapp_id": row.id,
        "pxeapp_mac": row.mac,
        "pxeapp_state": row.state,
        "pxeapp_power": row.power,
        "pxeapp_role": row.role,
        "pxeapp_release": row.release,
        "pxeapp_cluster": row.cluster,
        "pxeapp_labels": row.labels,
        "pxeapp_location": row.location,
        "pxeapp_maintenance": row.maintenance,
        "pxeapp_interfaces": [
            {"mac": card.mac, "name": card.name, "network": card.network, "address": card.address}
            for card in row.interfaces
        ],
    }
    return {"ansible_host": address, **found} if address else found


def addresses(session: Session, rows: Iterable[Machine]) -> Mapping[int, str]:
    """Where each machine is reached: the boot card's fixed address, another card's, or where it was last seen."""
    found: dict[int, str] = {}
    unknown: dict[str, int] = {}
    for row in rows:
        cards = sorted(row.interfaces, key=lambda card: card.mac != row.mac)
        fixed = next((card.address for card in cards if card.address), None)
        if fixed:
            found[row.id] = fixed
        else:
            unknown[row.mac] = row.id
    macs = list(unknown)
    for start in range(0, len(macs), 1000):
        some = macs[start : start + 1000]
        seen = select(Sighting.mac, Sighting.address).where(Sighting.mac.in_(some), Sighting.address.is_not(None))
        for mac, address in session.execute(seen):
            found[unknown[mac]] = str(address)
    return found


def _groups(row: Machine) -> Iterable[str]:
    for kind, value in (
        ("role", row.role),
        ("state", row.state),
        ("release", row.release),
        ("cluster", row.cluster),
        ("rack", row.location.get("rack")),
        *((f"label_{key}", value) for key, value in sorted(row.labels.items())),
    ):
        if value not in (None, ""):
            yield _UNFIT.sub("_", f"{kind}_{value}")
    if row.maintenance:
        yield "maintenance"
