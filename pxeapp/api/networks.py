"""`/networks`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from pxeapp import versions
from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.api.versions import routes
from pxeapp.db import now
from pxeapp.errors import NotFound
from pxeapp.machines import networks
from pxeapp.provisioning import members

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


class NetworkPut(NetworkChange):
    """The whole network; its name stays."""

    name: str | None = None
    cidr: str


class NetworkOut(NetworkIn):
    """A network on the wire."""


@bp.get("/networks")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: PageQuery) -> dict[str, Any]:
    """List networks"""
    with context().database.read() as session:
        rows = networks.listing(session, after=query.after, limit=query.limit + 1)
        return page(rows, query.limit, networks.wire, lambda row: row.name)


@bp.get("/networks/<name>")
@bp.output(NetworkOut)
def show(name: str) -> Response:
    """Show a network"""
    with context().database.read() as session:
        return etags.answer(networks.wire(networks.get(session, name)))


@bp.post("/networks")
@bp.input(NetworkIn, arg_name="said")
@bp.output(NetworkOut, status_code=201)
def create(said: NetworkIn) -> Response:
    """Add a network"""
    with context().database.write() as session:
        row = networks.create(session, said.model_dump(exclude_none=True), actor=actor().label, now=now())
        return etags.answer(networks.wire(row), HTTPStatus.CREATED)


@bp.patch("/networks/<name>")
@bp.input(NetworkChange, arg_name="said")
@bp.output(NetworkOut)
def change(name: str, said: NetworkChange) -> Response:
    """Change a network; DHCP follows within seconds"""
    with context().database.write() as session:
        return _change(session, name, said.model_dump(exclude_unset=True))


@bp.put("/networks/<name>")
@bp.input(NetworkPut, arg_name="said")
@bp.output(NetworkOut)
def replace(name: str, said: NetworkPut) -> Response:
    """Have a network of this name, as it is sent; what is left out is emptied"""
    with context().database.write() as session:
        try:
            networks.get(session, name)
        except NotFound:
            etags.check_new()
            values = {**said.model_dump(exclude={"name"}, exclude_none=True), "name": name}
            row = networks.create(session, values, actor=actor().label, now=now())
            return etags.answer(networks.wire(row), HTTPStatus.CREATED)
        return _change(session, name, said.model_dump(exclude={"name"}))


@bp.delete("/networks/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Remove a network"""
    with context().database.write() as session:
        etags.check(networks.wire(networks.get(session, name)))
        networks.delete(session, name, actor=actor().label, now=now())
    return ""


def _change(session: Session, name: str, said: dict[str, Any]) -> Response:
    row = members.save_network(
        session, context().templates, name, said, agree=etags.check, actor=actor().label, now=now()
    )
    return etags.answer(networks.wire(row))


routes(bp, versions.NETWORKS, NetworkOut)
