"""`/software/mirrors`: selected parts of upstream repositories; `/software/definitions`: what a service consists of."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import PageQuery, page
from pxeapp.api.software.choices import RoleIn, SourceIn, Word
from pxeapp.api.software.tasks import ordered
from pxeapp.db import now
from pxeapp.provisioning import repository_readers
from pxeapp.software import upstreams
from pxeapp.software.content import tree
from pxeapp.software.mirrors import definitions, service
from pxeapp.software.repositories import publishing

bp = APIBlueprint("mirrors", __name__, url_prefix="/api/v1/software", tag="Software")

Names = Annotated[list[Word], Field(max_length=10_000)]


class MirrorSourceIn(SourceIn):
    """Where packages come from."""

    upstream: Word = Field(description="An upstream's name (see the cache), or a URL.")


class MirrorRoleIn(RoleIn):
    """A role whose packages are mirrored; they are asked anew at each sync."""


class SelectionIn(BaseModel):
    """What a mirror is of."""

    model_config = ConfigDict(extra="forbid")
    upstream: Word = Field("", description="With a release: the sources are its suites or repositories there.")
    release: Word = Field("", description="For whose machines it is: debian-13; a release's name or a system's.")
    kind: Literal["deb", "rpm", ""] = Field("", description="Empty: the release's, or what the sources look like.")
    family: Literal["debian", "ubuntu", "el", ""] = Field("", description="Empty: the release's.")
    sources: Annotated[list[MirrorSourceIn], Field(max_length=50)] = []
    architectures: Annotated[list[Word], Field(max_length=20)] = Field([], description="Empty: amd64, or x86_64.")
    everything: bool = Field(default=False, description="Every package of the sources.")
    packages: Names = Field([], description="nova-compute, nova-compute (>= 31), a | b; rpm: also @core.")
    definitions: Names = Field([], description="See /software/definitions.")
    roles: Annotated[list[MirrorRoleIn], Field(max_length=100)] = []
    recommends: bool = Field(default=False, description="What packages recommend, too.")
    base: bool = Field(default=False, description="What every installed system has.")
    installer: bool = Field(default=False, description="Kernel, boot loaders, and the installer's own components.")
    debug: bool = False
    source: bool = False
    versions: Literal["newest", "all"] = "newest"
    keyring: Word = Field("", description="One that lies on the appliance, as debian-archive-keyring.")
    key: Annotated[str, Field(max_length=256 * 1024)] = Field("", description="The publisher's public key, armoured.")
    accept_unsigned: bool = Field(default=False, description="Take what nobody vouches for.")
    accept_expired: bool = Field(default=False, description="Take an index whose Valid-Until is over.")
    at_once: Annotated[int, Field(ge=1, le=16)] = Field(4, description="Connections to one upstream.")
    every_hours: Annotated[int, Field(ge=0, le=8760)] = Field(0, description="Sync by itself; 0: never.")


class MirrorIn(SelectionIn):
    """A new mirror."""

    name: Annotated[str, Field(max_length=63)]
    description: Annotated[str, Field(max_length=2000)] = ""


class MirrorPreviewIn(SelectionIn):
    """A mirror that there might be, or one that there is, with changes."""

    name: Annotated[str, Field(max_length=63)] = Field("", description="One that there is; the rest changes it.")


class MirrorChange(BaseModel):
    """What can be changed; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    description: Annotated[str, Field(max_length=2000)] | None = None
    upstream: Word | None = None
    release: Word | None = None
    sources: Annotated[list[MirrorSourceIn], Field(max_length=50)] | None = None
    architectures: Annotated[list[Word], Field(max_length=20)] | None = None
    everything: bool | None = None
    packages: Names | None = None
    definitions: Names | None = None
    roles: Annotated[list[MirrorRoleIn], Field(max_length=100)] | None = None
    recommends: bool | None = None
    base: bool | None = None
    installer: bool | None = None
    debug: bool | None = None
    source: bool | None = None
    versions: Literal["newest", "all"] | None = None
    keyring: Word | None = None
    key: Annotated[str, Field(max_length=256 * 1024)] | None = None
    accept_unsigned: bool | None = None
    accept_expired: bool | None = None
    at_once: Annotated[int, Field(ge=1, le=16)] | None = None
    every_hours: Annotated[int, Field(ge=0, le=8760)] | None = None


class MirrorSourceOut(BaseModel):
    """Where packages come from."""

    upstream: str
    path: str
    suite: str
    components: list[str]


class MirrorRoleOut(BaseModel):
    """A role whose packages are mirrored."""

    role: str
    vars: dict[str, Any]


class UnsatisfiedOut(BaseModel):
    """What nobody in the sources satisfies, and who asks for it."""

    what: str
    by: list[str]
    architecture: str


class MirrorOut(BaseModel):
    """A mirror. `problem` says why the last sync failed; what was published before is served."""

    name: str
    kind: str
    description: str
    suite: str
    components: list[str]
    architectures: list[str]
    family: str
    release: str
    sources: list[MirrorSourceOut]
    everything: bool
    packages: list[str]
    definitions: list[str]
    roles: list[MirrorRoleOut]
    recommends: bool
    base: bool
    installer: bool
    debug: bool
    source: bool
    versions: str
    keyring: str
    key: str
    accept_unsigned: bool
    accept_expired: bool
    at_once: int
    every_hours: int
    packages_of_roles: dict[str, list[str]]
    unsatisfied: list[UnsatisfiedOut]
    remarks: list[str]
    upstream_date: str | None
    synced_at: str | None
    tried_at: str | None
    url: str
    package_count: int
    bytes: int
    published_at: str | None
    problem: str
    version: int


class DefinitionOut(BaseModel):
    """A service, or a whole node, with the packages that it begins with, by family."""

    name: str
    title: str
    node: bool
    packages: dict[str, list[str]]


@bp.get("/definitions")
@bp.input(PageQuery, location="query", arg_name="query")
def list_definitions(query: PageQuery) -> dict[str, Any]:
    """Ready definitions: services of OpenStack, what they stand on, whole nodes"""
    rows = sorted((each for each in definitions.everything().values() if each.name > query.after), key=lambda e: e.name)
    return page(rows[: query.limit + 1], query.limit, _definition, lambda each: each.name)


@bp.get("/mirrors")
@bp.input(PageQuery, location="query", arg_name="query")
def listing(query: PageQuery) -> dict[str, Any]:
    """List mirrors"""
    with context().database.read() as session:
        rows = service.listing(session, after=query.after, limit=query.limit + 1)
        return page(rows, query.limit, service.wire, lambda row: row.name)


@bp.get("/mirrors/<name>")
def show(name: str) -> Response:
    """Show a mirror"""
    with context().database.read() as session:
        return etags.answer(service.wire(service.get(session, name)))


@bp.post("/mirrors")
@bp.input(MirrorIn, arg_name="said")
def create(said: MirrorIn) -> Response:
    """Add a mirror; nothing is fetched before it is synced"""
    known = upstreams.configured(context().settings)
    given = said.model_dump(exclude={"name", "description"})
    with context().database.write() as session:
        row = service.create(
            session, known, said.name, given, description=said.description, actor=actor().label, now=now()
        )
        return etags.answer(service.wire(row), HTTPStatus.CREATED)


@bp.patch("/mirrors/<name>")
@bp.input(MirrorChange, arg_name="said")
def change(name: str, said: MirrorChange) -> Response:
    """Change what a mirror is of; what is served stays until its next sync"""
    known = upstreams.configured(context().settings)
    given = {key: value for key, value in said.model_dump(exclude_unset=True).items() if value is not None}
    with context().database.write() as session:
        row = service.change(session, known, name, given, agree=etags.check, actor=actor().label, now=now())
        return etags.answer(service.wire(row))


@bp.delete("/mirrors/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Remove a mirror; it is served no more, and a snapshot of it stays"""
    settings = context().settings
    with context().database.write() as session:
        etags.check(service.wire(service.get(session, name)))
        readers = repository_readers.readers(session, name, settings.node_url)
        service.remove(session, name, readers=readers, actor=actor().label, now=now())
    tree.withdraw(publishing.served_at(settings, name))
    return ""


@bp.post("/mirrors/<name>/sync")
def sync(name: str) -> Response:
    """Have a mirror hold what its upstreams have now"""
    with context().database.write() as session:
        return ordered(service.sync(session, name, actor=actor().label, now=now()))


@bp.post("/mirrors/preview")
@bp.input(MirrorPreviewIn, arg_name="said")
def preview(said: MirrorPreviewIn) -> Response:
    """How many packages and bytes a mirror would come to, and what is missing; the task's result says it"""
    known = upstreams.configured(context().settings)
    given = said.model_dump(exclude={"name"}, exclude_unset=bool(said.name))
    with context().database.write() as session:
        return ordered(service.preview(session, known, given, name=said.name, actor=actor().label, now=now()))


def _definition(each: definitions.Definition) -> dict[str, Any]:
    packages = {family: list(names) for family, names in each.packages.items()}
    return {"name": each.name, "title": each.title, "node": each.node, "packages": packages}
