"""`/clouds`: OpenStack clouds that rollouts drain machines by. For administrators; secrets only go in."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import PageQuery, page
from pxeapp.clouds import service
from pxeapp.clouds.directory import Clouds
from pxeapp.clouds.models import Cloud
from pxeapp.db import now
from pxeapp.errors import Conflict, NotFound
from pxeapp.rollouts import using

bp = APIBlueprint("clouds", __name__, url_prefix="/api/v1", tag="Clouds")
Url = Annotated[str, Field(max_length=500, description="Keystone, with /v3.")]
Word = Annotated[str, Field(max_length=255)]
Interface = Annotated[Literal["public", "internal", "admin"], Field(description="Of the endpoints in the catalogue.")]
Credential = Annotated[str, Field(max_length=64, description="The id of one, in place of username and project.")]
Secret = Annotated[
    str, Field(max_length=1000, description="Write-only: the password, or the application credential's secret.")
]
Ca = Annotated[str, Field(max_length=service.LONGEST_CA, description="PEM; empty: what this host trusts.")]


class CloudChange(BaseModel):
    """What can be changed of a cloud; what is left out stays. With another auth_url or ca the secret is sent again."""

    model_config = ConfigDict(extra="forbid")
    auth_url: Url | None = None
    region: Word | None = None
    interface: Interface | None = None
    username: Word | None = None
    user_domain: Word | None = None
    project: Word | None = None
    project_domain: Word | None = None
    application_credential: Credential | None = None
    secret: Secret | None = None
    ca: Ca | None = None


class CloudIn(BaseModel):
    """A new cloud."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(pattern=service.NAME)]
    auth_url: Url
    region: Word = ""
    interface: Interface = "public"
    username: Word = ""
    user_domain: Word = "Default"
    project: Word = ""
    project_domain: Word = "Default"
    application_credential: Credential = ""
    secret: Secret
    ca: Ca = ""


class CloudPut(BaseModel):
    """The whole cloud; its secret stays until another is sent. What a GET shows may stay in it."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = None
    auth_url: Url
    region: Word = ""
    interface: Interface = "public"
    username: Word = ""
    user_domain: Word = "Default"
    project: Word = ""
    project_domain: Word = "Default"
    application_credential: Credential = ""
    secret: Secret | None = None
    ca: Ca = ""
    version: int | None = None
    created_at: str | None = None
    updated_at: str | None = None

    def said(self) -> dict[str, Any]:
        """Without what nobody can set."""
        return self.model_dump(include={*service.FIELDS, "secret"})


class CloudOut(BaseModel):
    """A cloud, without its secret."""

    name: str
    auth_url: str
    region: str
    interface: str
    username: str
    user_domain: str
    project: str
    project_domain: str
    application_credential: str
    ca: str
    version: int
    created_at: str
    updated_at: str


class SeenOut(BaseModel):
    """One thing that a cloud was asked."""

    what: str
    ok: bool
    says: str


class CloudCheckOut(BaseModel):
    """Whether a cloud lets us do what a rollout asks of it."""

    cloud: str
    ok: bool
    findings: list[SeenOut]


@bp.get("/clouds")
@bp.input(PageQuery, location="query", arg_name="query")
def listing(query: PageQuery) -> dict[str, Any]:
    """List clouds"""
    with context().database.read() as session:
        rows = service.listing(session, after=query.after, limit=query.limit + 1)
        return page(rows, query.limit, service.wire, lambda row: row.name)


@bp.get("/clouds/<name>")
def show(name: str) -> Response:
    """Show a cloud"""
    with context().database.read() as session:
        return etags.answer(service.wire(service.get(session, name)))


@bp.post("/clouds")
@bp.input(CloudIn, arg_name="said")
def create(said: CloudIn) -> Response:
    """Add a cloud"""
    with context().database.write() as session:
        return _create(session, said.model_dump())


@bp.patch("/clouds/<name>")
@bp.input(CloudChange, arg_name="said")
def change(name: str, said: CloudChange) -> Response:
    """Change a cloud; whoever changes where its secret is sent says the secret again"""
    with context().database.write() as session:
        return _change(session, service.get(session, name, lock=True), said.model_dump(exclude_none=True))


@bp.put("/clouds/<name>")
@bp.input(CloudPut, arg_name="said")
def replace(name: str, said: CloudPut) -> Response:
    """Have a cloud of this name, as it is sent: it is created, changed, or left alone"""
    with context().database.write() as session:
        try:
            row = service.get(session, name, lock=True)
        except NotFound:
            etags.check_new()
            return _create(session, {"name": name, **said.said()})
        return _change(session, row, said.said())


@bp.delete("/clouds/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Remove a cloud that no unfinished rollout works with, and its secret"""
    with context().database.write() as session:
        row = service.get(session, name, lock=True)
        etags.check(service.wire(row))
        rollouts = using.of_cloud(session, row.name)
        if rollouts:
            numbers = ", ".join(map(str, rollouts[:5]))
            raise Conflict(f"Rollout {numbers} works with {row.name}.", hint="Wait for its end, or abort it.")
        service.delete(session, row, actor=actor().label, now=now())
    return ""


@bp.post("/clouds/<name>/check")
def check(name: str) -> dict[str, Any]:
    """Sign in to a cloud, or to cluster:NAME, and see whether it shows what a rollout asks of it"""
    own = context()
    api = Clouds(own.database, own.vault, own.settings.rollout_networks).api(name)
    # openstacksdk takes a second to import: only whoever asks a cloud pays for it.
    from pxeapp.clouds import checking

    found = checking.check(api)
    return {"cloud": name, "ok": all(each.ok for each in found), "findings": [each.to_dict() for each in found]}


def _create(session: Session, said: dict[str, Any]) -> Response:
    row = service.create(session, context().vault, said, actor=actor().label, now=now())
    return etags.answer(service.wire(row), HTTPStatus.CREATED)


def _change(session: Session, row: Cloud, said: dict[str, Any]) -> Response:
    etags.check(service.wire(row))
    service.change(session, context().vault, row, said, actor=actor().label, now=now())
    return etags.answer(service.wire(row))
