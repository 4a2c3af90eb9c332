"""`/roles`: what a machine becomes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from pxeapp import versions
from pxeapp.answers import clusters, role_vars, roles
from pxeapp.answers.cluster_secrets import Hand
from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.api.versions import routes
from pxeapp.db import now
from pxeapp.errors import NotFound
from pxeapp.provisioning import members, pinning

bp = APIBlueprint("roles", __name__, url_prefix="/api/v1", tag="Roles")


class RoleChange(BaseModel):
    """Packages and services per family (`debian`, `el`), storage, and variables for the templates."""

    model_config = ConfigDict(extra="forbid")
    description: str | None = None
    packages: dict[str, list[str]] | None = None
    services: dict[str, list[str]] | None = None
    storage: dict[str, Any] | None = None
    vars: dict[str, Any] | None = None
    variables: dict[str, Any] | None = None


class RoleIn(RoleChange):
    """A site's own role."""

    name: str


class RolePut(BaseModel):
    """The whole role; its name stays, and whether it came with the appliance."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = None
    builtin: bool | None = None
    description: str = ""
    packages: dict[str, list[str]] = {}
    services: dict[str, list[str]] = {}
    storage: dict[str, Any] = {}
    vars: dict[str, Any] = {}
    variables: dict[str, Any] = {}


class RoleOut(RolePut):
    """A role on the wire."""

    name: str
    builtin: bool


@bp.get("/roles")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: PageQuery) -> dict[str, Any]:
    """List roles"""
    with context().database.read() as session:
        rows = roles.listing(session, after=query.after, limit=query.limit + 1)
        return page(rows, query.limit, roles.wire, lambda row: row.name)


@bp.get("/roles/<name>")
@bp.output(RoleOut)
def show(name: str) -> Response:
    """Show a role"""
    with context().database.read() as session:
        return etags.answer(roles.wire(roles.get(session, name)))


@bp.post("/roles")
@bp.input(RoleIn, arg_name="said")
@bp.output(RoleOut, status_code=201)
def create(said: RoleIn) -> Response:
    """Add a role"""
    with context().database.write() as session:
        return _create(session, said.model_dump(exclude_none=True))


@bp.patch("/roles/<name>")
@bp.input(RoleChange, arg_name="said")
@bp.output(RoleOut)
def change(name: str, said: RoleChange) -> Response:
    """Change a role; machines get it at their next deployment"""
    with context().database.write() as session:
        return _change(session, name, said.model_dump(exclude_none=True))


@bp.put("/roles/<name>")
@bp.input(RolePut, arg_name="said")
@bp.output(RoleOut)
def replace(name: str, said: RolePut) -> Response:
    """Have a role of this name, as it is sent; what is left out is emptied"""
    with context().database.write() as session:
        try:
            roles.get(session, name)
        except NotFound:
            etags.check_new()
            return _create(session, {**said.model_dump(exclude={"name", "builtin"}), "name": name})
        return _change(session, name, said.model_dump(exclude={"name", "builtin"}))


@bp.delete("/roles/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Remove a role of the site's own that no machine has"""
    with context().database.write() as session:
        etags.check(roles.wire(roles.get(session, name)))
        roles.delete(session, name, actor=actor().label, now=now())
    return ""


def _create(session: Session, said: dict[str, Any]) -> Response:
    row = role_vars.create(session, _hand(session), said)
    pinning.refuse_variable(session, row.vars, "The role cannot be added.")
    return etags.answer(roles.wire(row), HTTPStatus.CREATED)


def _change(session: Session, name: str, said: dict[str, Any]) -> Response:
    row = members.save_role(session, context().templates, _hand(session), name, said, agree=etags.check)
    return etags.answer(roles.wire(row))


def _hand(session: Session) -> Hand:
    return clusters.hand(session, context().vault, context().templates, actor=actor().label, now=now())


routes(bp, versions.ROLES, RoleOut)
