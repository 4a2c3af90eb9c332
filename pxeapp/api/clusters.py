"""`/clusters`: machines that serve together, and what they share. A secret goes in and never comes out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from pxeapp import versions
from pxeapp.answers import clusters
from pxeapp.answers.cluster_secrets import Hand
from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, listed
from pxeapp.api.versions import routes
from pxeapp.db import now
from pxeapp.errors import NotFound
from pxeapp.machines.models import Cluster
from pxeapp.provisioning import members, pinning

bp = APIBlueprint("clusters", __name__, url_prefix="/api/v1", tag="Clusters")
Secrets = Annotated[
    dict[str, Any],
    Field(description="Write-only: a text sets it, null forgets it; what a GET shows leaves it as it is."),
]


class ClusterChange(BaseModel):
    """What can be changed of a cluster; what is left out stays, and of `secrets` each one that is left out."""

    model_config = ConfigDict(extra="forbid")
    description: str | None = None
    vars: dict[str, Any] | None = None
    secrets: Secrets | None = None


class ClusterIn(ClusterChange):
    """A new cluster."""

    name: str


class ClusterPut(BaseModel):
    """The whole cluster; its name stays, and so do secrets that are left out. What a GET shows may stay in it."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = None
    description: str = ""
    vars: dict[str, Any] = {}
    secrets: Secrets = {}
    machines: int | None = None
    version: int | None = None
    created_at: str | None = None
    updated_at: str | None = None


class ClusterOut(BaseModel):
    """A cluster on the wire; `secrets` says of each one that it is set, by whom and when."""

    name: str
    description: str
    vars: dict[str, Any]
    secrets: dict[str, dict[str, Any]]
    machines: int
    version: int
    created_at: str
    updated_at: str


class RotateIn(BaseModel):
    """Which secrets; left out: every generated one that no stored data depend on."""

    model_config = ConfigDict(extra="forbid")
    secrets: list[str] = []


@bp.get("/clusters")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: PageQuery) -> dict[str, Any]:
    """List clusters"""
    with context().database.read() as session:
        rows = clusters.listing(session, after=query.after, limit=query.limit + 1)
        shown = rows[: query.limit]
        sizes = clusters.sizes(session, shown)
        following = shown[-1].name if len(rows) > query.limit else None
        return listed([clusters.wire(row, sizes[row.name]) for row in shown], following)


@bp.get("/clusters/<name>")
@bp.output(ClusterOut)
def show(name: str) -> Response:
    """Show a cluster"""
    with context().database.read() as session:
        return etags.answer(_wire(session, clusters.get(session, name)))


@bp.post("/clusters")
@bp.input(ClusterIn, arg_name="said")
@bp.output(ClusterOut, status_code=201)
def create(said: ClusterIn) -> Response:
    """Add a cluster"""
    with context().database.write() as session:
        row = _create(session, said.model_dump(exclude_none=True))
        return etags.answer(_wire(session, row), HTTPStatus.CREATED)


@bp.patch("/clusters/<name>")
@bp.input(ClusterChange, arg_name="said")
@bp.output(ClusterOut)
def change(name: str, said: ClusterChange) -> Response:
    """Change a cluster; machines get it at their next deployment"""
    with context().database.write() as session:
        return _change(session, name, said.model_dump(exclude_unset=True))


@bp.put("/clusters/<name>")
@bp.input(ClusterPut, arg_name="said")
@bp.output(ClusterOut)
def replace(name: str, said: ClusterPut) -> Response:
    """Have a cluster of this name, as it is sent; what is left out is emptied, but secrets stay"""
    with context().database.write() as session:
        try:
            clusters.get(session, name)
        except NotFound:
            etags.check_new()
            values = {**said.model_dump(include={"description", "vars", "secrets"}), "name": name}
            row = _create(session, values)
            return etags.answer(_wire(session, row), HTTPStatus.CREATED)
        return _change(session, name, said.model_dump(include={"description", "vars", "secrets"}))


@bp.delete("/clusters/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Delete a cluster that no machine is in; its versions stay, encrypted secrets included"""
    with context().database.write() as session:
        etags.check(_wire(session, clusters.get(session, name, lock=True)))
        clusters.delete(session, name, actor=actor().label, now=now())
    return ""


@bp.post("/clusters/<name>/rotate")
@bp.input(RotateIn, arg_name="said")
@bp.output(ClusterOut)
def rotate(name: str, said: RotateIn) -> Response:
    """Make secrets anew; machines have them after their next deployment"""
    with context().database.write() as session:
        etags.check(_wire(session, clusters.get(session, name, lock=True)))
        row, _ = clusters.rotate(session, _hand(session), name, said.secrets)
        return etags.answer(_wire(session, row))


def _create(session: Session, said: dict[str, Any]) -> Cluster:
    row = clusters.create(session, _hand(session), said)
    pinning.refuse_variable(session, row.vars, "The cluster cannot be added.")
    return row


def _change(session: Session, name: str, said: dict[str, Any]) -> Response:
    row = members.save_cluster(session, context().templates, _hand(session), name, said, agree=etags.check)
    return etags.answer(_wire(session, row))


def _hand(session: Session) -> Hand:
    return clusters.hand(session, context().vault, context().templates, actor=actor().label, now=now())


def _wire(session: Session, row: Cluster) -> dict[str, Any]:
    return clusters.wire(row, clusters.sizes(session, [row])[row.name])


routes(bp, versions.CLUSTERS, ClusterOut)
