"""`/roles`: what a machine becomes."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from pydantic import BaseModel, ConfigDict

from pxeapp.answers import roles
from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.db import now

bp = APIBlueprint("roles", __name__, url_prefix="/api/v1", tag="Roles")


class RoleChange(BaseModel):
    """Packages and services per family (`debian`, `el`), storage, and variables for the templates."""

    model_config = ConfigDict(extra="forbid")
    description: str | None = None
    packages: dict[str, list[str]] | None = None
    services: dict[str, list[str]] | None = None
    storage: dict[str, Any] | None = None
    vars: dict[str, Any] | None = None


class RoleIn(RoleChange):
    """A site's own role."""

    name: str


@bp.get("/roles")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: PageQuery) -> dict[str, Any]:
    """List roles"""
    with context().database.read() as session:
        rows = roles.listing(session, after=query.after, limit=query.limit + 1)
        return page(rows, query.limit, roles.wire, lambda row: row.name)


@bp.get("/roles/<name>")
def show(name: str) -> dict[str, Any]:
    """Show a role"""
    with context().database.read() as session:
        return roles.wire(roles.get(session, name))


@bp.post("/roles")
@bp.input(RoleIn, arg_name="said")
@bp.output({}, status_code=201)
def create(said: RoleIn) -> dict[str, Any]:
    """Add a role"""
    with context().database.write() as session:
        return roles.wire(roles.create(session, said.model_dump(exclude_none=True), actor=actor().label, now=now()))


@bp.patch("/roles/<name>")
@bp.input(RoleChange, arg_name="said")
def change(name: str, said: RoleChange) -> dict[str, Any]:
    """Change a role; machines get it at their next deployment"""
    with context().database.write() as session:
        changes = said.model_dump(exclude_none=True)
        return roles.wire(roles.change(session, name, changes, actor=actor().label, now=now()))
