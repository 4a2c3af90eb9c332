"""What other tools read: Ansible's dynamic inventory, and Prometheus' targets over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response, jsonify
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.api.context import context
from pxeapp.machines import ansible, selectors
from pxeapp.machines.narrowing import Narrowed

bp = APIBlueprint("exports", __name__, url_prefix="/api/v1", tag="Exports")


class HostOut(BaseModel):
    """Variables by name."""

    model_config = ConfigDict(extra="allow")


class TargetsQuery(Narrowed):
    """The port of what is scraped on each machine."""

    port: Annotated[int, Field(ge=1, le=65535)] = 9100


class GroupOut(BaseModel):
    """A group of Ansible's."""

    hosts: list[str] = []
    children: list[str] = []


class HostVarsOut(BaseModel):
    """The variables of every host, so that Ansible asks for none by itself."""

    hostvars: dict[str, dict[str, Any]]


class InventoryOut(BaseModel):
    """Groups by name, `all` among them."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, GroupOut]
    meta: HostVarsOut = Field(alias="_meta")
    all: GroupOut


class TargetGroup(BaseModel):
    """Targets with the same labels, as Prometheus' http_sd_config reads them."""

    targets: list[str]
    labels: dict[str, str]


@bp.get("/inventory/ansible")
@bp.input(Narrowed, location="query", arg_name="query")
def inventory(query: Narrowed) -> dict[str, Any]:
    """Machines as Ansible's dynamic inventory: groups by role, state, release, cluster, rack and label"""
    with context().database.read() as session:
        return ansible.inventory(session, query.filter())


@bp.get("/inventory/ansible/hosts/<name>")
def host(name: str) -> dict[str, Any]:
    """Ansible's variables of one host; none of one that is not ours, as Ansible expects it"""
    with context().database.read() as session:
        return ansible.host(session, name)


@bp.get("/prometheus/targets")
@bp.input(TargetsQuery, location="query", arg_name="query")
@bp.doc(description="For `http_sd_configs`. Machines that are reached nowhere are left out.")
def targets(query: TargetsQuery) -> Response:
    """Machines as Prometheus' targets"""
    with context().database.read() as session:
        rows = list(selectors.every(session, query.filter()))
        seen = ansible.addresses(session, rows)
    groups = []
    for row in rows:
        if (address := seen.get(row.id)) is None:
            continue
        labels = {
            "__meta_pxeapp_name": row.name,
            "__meta_pxeapp_mac": row.mac,
            "__meta_pxeapp_state": row.state,
            "__meta_pxeapp_role": row.role or "",
            "__meta_pxeapp_release": row.release or "",
            "__meta_pxeapp_cluster": row.cluster or "",
            "__meta_pxeapp_rack": str(row.location.get("rack", "")),
        }
        labels.update({f"__meta_pxeapp_label_{_label(key)}": value for key, value in row.labels.items()})
        where = f"[{address}]" if ":" in address else address
        groups.append({"targets": [f"{where}:{query.port}"], "labels": labels})
    return jsonify(groups)


def _label(key: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in key)
