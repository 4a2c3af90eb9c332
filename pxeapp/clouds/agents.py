"""Neutron's agents on a machine, and what each carries: a DHCP agent networks, an L3 agent routers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pxeapp.clouds.api import NETWORK, CloudApi
from pxeapp.clouds.services import is_machine, moment, one_host

DHCP, L3 = "DHCP agent", "L3 agent"
ON_EVERY_NODE = ("dvr", "dvr_no_external")  # modes of an L3 agent whose routers are wherever their instances are


@dataclass(frozen=True, slots=True)
class Agent:
    """A row of Neutron's agents. `configurations` is what it says of itself: how much it carries, its mode."""

    id: str
    kind: str
    host: str
    alive: bool
    enabled: bool
    description: str
    zone: str
    seen_at: dt.datetime | None
    ha_state: str = ""  # of the router that was asked about: active, standby
    configurations: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.kind} on {self.host}"

    @property
    def carries_routers(self) -> bool:
        """Whether routers are given to it, and can be taken from it."""
        return self.kind == L3 and self.configurations.get("agent_mode", "legacy") not in ON_EVERY_NODE

    @property
    def carries_networks(self) -> bool:
        """Whether it answers DHCP for networks."""
        return self.kind == DHCP

    @property
    def load(self) -> int:
        """How much it said that it carries."""
        said = self.configurations.get("routers" if self.kind == L3 else "networks", 0)
        return said if isinstance(said, int) else 0


@dataclass(frozen=True, slots=True)
class Router:
    """A router, as far as its agents care."""

    id: str
    name: str
    ha: bool
    distributed: bool


def on(api: CloudApi, machine: str, host: str = "") -> list[Agent]:
    """The agents of a machine, by the name that it has there; none where the cloud has no Neutron."""
    if not api.has(NETWORK):
        return []
    rows = api.get(NETWORK, "/agents", host=host or machine)["agents"] or api.get(NETWORK, "/agents")["agents"]
    found = [_read(row) for row in rows if is_machine(str(row["host"]), machine, host)]
    one_host((each.host for each in found), machine)
    return found


def of_kind(api: CloudApi, kind: str) -> list[Agent]:
    """All of the cloud, of one kind."""
    return [_read(row) for row in api.get(NETWORK, "/agents", agent_type=kind)["agents"]]


def routers(api: CloudApi, agent: Agent) -> list[Router]:
    """What an L3 agent carries."""
    rows = api.get(NETWORK, f"/agents/{agent.id}/l3-routers")["routers"]
    return [
        Router(str(row["id"]), str(row.get("name") or row["id"]), bool(row.get("ha")), bool(row.get("distributed")))
        for row in rows
    ]


def networks(api: CloudApi, agent: Agent) -> list[tuple[str, str]]:
    """What a DHCP agent answers for: id and name of each."""
    rows = api.get(NETWORK, f"/agents/{agent.id}/dhcp-networks")["networks"]
    return [(str(row["id"]), str(row.get("name") or row["id"])) for row in rows]


def of_router(api: CloudApi, router: str) -> list[Agent]:
    """Who carries a router, and which of them is active where it is highly available."""
    return [_read(row) for row in api.get(NETWORK, f"/routers/{router}/l3-agents")["agents"]]


def of_network(api: CloudApi, network: str) -> list[Agent]:
    """Who answers DHCP for a network."""
    return [_read(row) for row in api.get(NETWORK, f"/networks/{network}/dhcp-agents")["agents"]]


def give_router(api: CloudApi, agent: Agent, router: str) -> None:
    """Let it carry this one."""
    api.post(NETWORK, f"/agents/{agent.id}/l3-routers", {"router_id": router})


def take_router(api: CloudApi, agent: Agent, router: str) -> None:
    """Let it carry this one no more."""
    api.delete(NETWORK, f"/agents/{agent.id}/l3-routers/{router}")


def give_network(api: CloudApi, agent: Agent, network: str) -> None:
    """Let it answer for this one."""
    api.post(NETWORK, f"/agents/{agent.id}/dhcp-networks", {"network_id": network})


def take_network(api: CloudApi, agent: Agent, network: str) -> None:
    """Let it answer for this one no more."""
    api.delete(NETWORK, f"/agents/{agent.id}/dhcp-networks/{network}")


def set_enabled(api: CloudApi, agent: Agent, description: str, *, enabled: bool) -> None:
    """Its administrative state; both in one request, so that there is no moment at which only one is said."""
    said = {"admin_state_up": enabled, "description": description}
    api.put(NETWORK, f"/agents/{agent.id}", {"agent": said})


def _read(row: dict[str, Any]) -> Agent:
    said = row.get("configurations")
    return Agent(
        id=str(row["id"]),
        kind=str(row.get("agent_type", "")),
        host=str(row.get("host", "")),
        alive=bool(row.get("alive")),
        enabled=bool(row.get("admin_state_up")),
        description=str(row.get("description") or ""),
        zone=str(row.get("availability_zone") or ""),
        seen_at=moment(row.get("heartbeat_timestamp")),
        ha_state=str(row.get("ha_state") or ""),
        configurations=said if isinstance(said, dict) else {},
    )
