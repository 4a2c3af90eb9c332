"""`/networks`."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from pydantic import BaseModel, ConfigDict

from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.db import now
from pxeapp.machines import networks

bp = APIBlueprint("networks", __name__, url_prefix="/api/v1", tag="Networks")


class NetworkChange(BaseModel):
    """A network; with a range it is served by DHCP in the mode `full`."""

    model_config = ConfigDict(extra="forbid")
    cidr: str | None = None
    gateway: str | None = None
    dns: list[str] | None = None
    ntp: list[str] | None = None
    domain: str | None = None
    vlan: int | None = None
    dhcp_start: str | None = None
    dhcp_end: str | None = None


class NetworkIn(NetworkChange):
    """A new network."""

    name: str
    cidr: str


@bp.get("/networks")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: PageQuery) -> dict[str, Any]:
    """List networks"""
    with context().database.read() as session:
        rows = networks.listing(session, after=query.after, limit=query.limit + 1)
        return page(rows, query.limit, networks.wire, lambda row: row.name)


@bp.get("/networks/<name>")
def show(name: str) -> dict[str, Any]:
    """Show a network"""
    with context().database.read() as session:
        return networks.wire(networks.get(session, name))


@bp.post("/networks")
@bp.input(NetworkIn, arg_name="said")
@bp.output({}, status_code=201)
def create(said: NetworkIn) -> dict[str, Any]:
    """Add a network"""
    with context().database.write() as session:
        return networks.wire(
            networks.create(session, said.model_dump(exclude_none=True), actor=actor().label, now=now())
        )


@bp.patch("/networks/<name>")
@bp.input(NetworkChange, arg_name="said")
def change(name: str, said: NetworkChange) -> dict[str, Any]:
    """Change a network; DHCP follows within seconds"""
    with context().database.write() as session:
        changes = said.model_dump(exclude_unset=True)
        return networks.wire(networks.change(session, name, changes, actor=actor().label, now=now()))


@bp.delete("/networks/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Remove a network"""
    with context().database.write() as session:
        networks.delete(session, name, actor=actor().label, now=now())
    return ""
