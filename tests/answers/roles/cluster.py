"""A cluster's variables with every secret said, and a machine of it in a role."""

from __future__ import annotations

from typing import Any

from pxeapp.answers.roles import catalogue, series
from pxeapp.answers.spec import AnswerSpec, Repository
from tests.answers.samples import NODE_URL, TEMPLATES, release, spec

OPENSTACK = ("controller", "compute", "network", "block", "object")
TABLE = series.table(TEMPLATES)
SECRETS = {
    name: f"{name.replace('_', '-')}-0123"
    for role in OPENSTACK
    for name, variable in catalogue.load(role, TEMPLATES).variables.items()
    if variable.secret and variable.type == "password"
}
CLUSTER: dict[str, Any] = {
    **SECRETS,
    "controller": "10.77.0.10",
    "swift_devices": ["1:10.77.0.21/d1", "2:10.77.0.22/d1", "3:10.77.0.23/d1"],
}
EVERYTHING = {"swift": True, "telemetry": True, "trove": True, "etcd": True}


def repository(name: str) -> Repository:
    """A package repository with everything that either family wants."""
    return Repository(name, f"{NODE_URL}/repo/{name}", "./", "")


def node(family: str, version: str, role: str, **said: Any) -> AnswerSpec:
    """A machine of the cluster, on a release that has the repository of its default series."""
    carried = TABLE.of(release(family, version))
    wanted = said.get("openstack_series") or (carried.default if carried else "")
    repositories = (repository(f"openstack-{wanted}"),) if carried and wanted != carried.native else ()
    return spec(
        family, version, role, vars={**CLUSTER, **said}, release=release(family, version, repositories=repositories)
    )
