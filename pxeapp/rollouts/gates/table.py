"""The table of gates: which kind is looked at by whom."""

from __future__ import annotations

from collections.abc import Sequence

from netaddr import IPNetwork

from pxeapp.clouds.directory import Clouds
from pxeapp.db import Database
from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts.gates import command, http, openstack, prometheus, rebooted, sel, services, ssh
from pxeapp.rollouts.gates.all import AllGates
from pxeapp.rollouts.gates.gate import GateLook


def gates(database: Database, nodes: Nodes, clouds: Clouds, networks: Sequence[IPNetwork]) -> AllGates:
    """All of them; `networks` is where URLs may lead."""
    looks: dict[str, GateLook] = {
        ssh.KIND: ssh.Ssh(nodes),
        rebooted.KIND: rebooted.Rebooted(nodes),
        services.KIND: services.Services(nodes),
        command.KIND: command.Command(nodes),
        http.KIND: http.Http(database, networks),
        prometheus.KIND: prometheus.Prometheus(database, networks),
        openstack.KIND: openstack.OpenStack(clouds),
        sel.KIND: sel.Sel(database),
    }
    return AllGates(looks)
