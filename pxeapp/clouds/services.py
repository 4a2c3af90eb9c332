"""The services of Nova and Cinder, and which of them run on a machine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pxeapp.clouds.api import COMPUTE, VOLUME, CloudApi
from pxeapp.errors import Conflict

NOVA_COMPUTE, CINDER_VOLUME = "nova-compute", "cinder-volume"


@dataclass(frozen=True, slots=True)
class HostService:
    """A row of os-services. `seen_at`: its last sign of life, by the cloud's clock."""

    of: str  # compute, block-storage
    id: str
    binary: str
    host: str
    enabled: bool
    up: bool
    reason: str
    seen_at: dt.datetime | None

    def __str__(self) -> str:
        return f"{self.binary} on {self.host}"


def compute(api: CloudApi, machine: str, host: str = "") -> list[HostService]:
    """Nova's services on a machine, by the name that it has there: its own, or the one that `host` says."""
    return _on(api, COMPUTE, machine, host)


def volume(api: CloudApi, machine: str, host: str = "") -> list[HostService]:
    """Cinder's; one for each backend: HOST@BACKEND."""
    return _on(api, VOLUME, machine, host) if api.has(VOLUME) else []


def disable(api: CloudApi, service: HostService, reason: str) -> None:
    """Nothing new is put on it; what is there stays."""
    if service.of == COMPUTE:
        api.put(COMPUTE, f"/os-services/{service.id}", {"status": "disabled", "disabled_reason": reason})
        return
    body = {"binary": service.binary, "host": service.host, "disabled_reason": reason}
    api.put(VOLUME, "/os-services/disable-log-reason", body)


def enable(api: CloudApi, service: HostService) -> None:
    """New things may be put on it."""
    if service.of == COMPUTE:
        api.put(COMPUTE, f"/os-services/{service.id}", {"status": "enabled"})
        return
    api.put(VOLUME, "/os-services/enable", {"binary": service.binary, "host": service.host})


def is_machine(host: str, machine: str, said: str) -> bool:
    """Whether a host's name in the cloud means this machine: a short name, or one with a domain behind it."""
    name = host.partition("@")[0].lower()
    return name == said.lower() if said else machine.lower() in (name, name.partition(".")[0])


def one_host(hosts: Iterable[str], machine: str) -> None:
    """Raises Conflict where two hosts could be meant: node1.a.example and node1.b.example."""
    names = sorted({host.partition("@")[0] for host in hosts})
    if len(names) > 1:
        raise Conflict(
            f"{machine} could be {' or '.join(names)} in the cloud.", hint="Say which one: drain.openstack.host."
        )


def moment(text: Any) -> dt.datetime | None:
    """A time as OpenStack writes it: UTC, without saying so."""
    try:
        found = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _on(api: CloudApi, of: str, machine: str, said: str) -> list[HostService]:
    """Asked by the likely name first: the whole list of a large cloud is long."""
    rows = api.get(of, "/os-services", host=said or machine)["services"] if of == COMPUTE else []
    if not rows:
        rows = api.get(of, "/os-services")["services"]
    found = [_read(of, row) for row in rows if is_machine(str(row["host"]), machine, said)]
    one_host((each.host for each in found), machine)
    return found


def _read(of: str, row: dict[str, Any]) -> HostService:
    return HostService(
        of=of,
        id=str(row.get("id", "")),
        binary=str(row["binary"]),
        host=str(row["host"]),
        enabled=row["status"] == "enabled",
        up=row["state"] == "up",
        reason=str(row.get("disabled_reason") or ""),
        seen_at=moment(row.get("updated_at")),
    )
