"""`/software/media`: ISO images that were imported, and the order to import one."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.api.context import actor, context
from pxeapp.api.paging import PageQuery, page
from pxeapp.api.software.tasks import ordered
from pxeapp.db import now
from pxeapp.software.isos import orders, service
from pxeapp.software.isos.orders import Wanted

bp = APIBlueprint("media", __name__, url_prefix="/api/v1/software", tag="Software")

Word = Annotated[str, Field(max_length=1000)]
Name = Annotated[str, Field(max_length=63)]


class MediumIn(BaseModel):
    """An ISO to import: one of `upload`, `path` and `url` says where it is."""

    model_config = ConfigDict(extra="forbid")
    upload: Word = Field("", description="The SHA-256 that the upload was answered with.")
    filename: Annotated[str, Field(max_length=255)] = Field("", description="How the uploaded file is called.")
    path: Word = Field("", description="Below incoming/ in the appliance's data directory.")
    url: Word = Field("", description="http or https; its `sha256` is needed.")
    sha256: Annotated[str, Field(max_length=64)] = Field("", description="Of the ISO, as its publisher says.")
    name: Name = Field("", description="Empty: what the medium proposes, as rocky-9.4.")
    release: Name = Field("", description="The name of the release that is made; empty: as the medium's.")
    make_release: bool = True
    replace: bool = Field(default=False, description="A medium and a release of these names, if there are.")
    install_url: Word = Field("", description="Where its packages are; empty: the medium, or a boot medium's mirror.")
    kernel_args: Word = Field("", description="Added to the installer's own.")
    hwe: bool = Field(default=False, description="Ubuntu's live server: boot its newer kernel.")


class MediumRepositoryOut(BaseModel):
    """A repository on a medium; `path` is below its root."""

    name: str
    path: str


class MediumCheckOut(BaseModel):
    """What vouches for something on the medium, and whether that could be verified."""

    what: str
    verified: bool
    says: str


class MediumOut(BaseModel):
    """A medium, served to machines at `url`; `iso` is the file there that is the whole image, where it is served so."""

    name: str
    title: str
    layout: str
    family: str
    version: str
    kind: str
    label: str
    source: str
    iso_sha256: str
    iso_bytes: int
    iso: str
    kernel: str
    initrd: str
    stage2: str
    repositories: list[MediumRepositoryOut]
    checks: list[MediumCheckOut]
    remarks: list[str]
    files: int
    bytes: int
    url: str
    releases: list[str]
    created_at: str
    updated_at: str


@bp.get("/media")
@bp.input(PageQuery, location="query", arg_name="query")
def listing(query: PageQuery) -> dict[str, Any]:
    """List imported media"""
    with context().database.read() as session:
        rows = service.listing(session, after=query.after, limit=query.limit + 1)
        return page(rows, query.limit, lambda row: service.shown(session, row), lambda row: row.name)


@bp.get("/media/<name>")
def show(name: str) -> dict[str, Any]:
    """What is on a medium, what was verified of it, and which releases install from it"""
    with context().database.read() as session:
        return service.shown(session, service.get(session, name))


@bp.post("/media")
@bp.input(MediumIn, arg_name="said")
@bp.doc(
    description="Answered with a task. The image is looked at whole before anything of it is used; a hostile, damaged "
    "or unknown one leaves nothing behind. An import that was ended goes on when it is ordered again."
)
def create(said: MediumIn) -> Response:
    """Import an ISO image"""
    given = {field.name: getattr(said, field.name) for field in fields(Wanted)}
    wanted = Wanted(**{**given, "sha256": said.sha256.lower(), "upload": said.upload.lower()})
    with context().database.write() as session:
        return ordered(orders.order(session, context().settings, wanted, actor=actor().label, now=now()))


@bp.delete("/media/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Serve a medium no more; refused while a release installs from it"""
    service.delete(context().database, context().settings, name, actor=actor().label, now=now())
    return ""
