"""`/releases`: what can be installed. Files come by CLI from a directory, or by URL with checksum."""

from __future__ import annotations

from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from pxeapp import versions
from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.api.versions import routes
from pxeapp.db import now
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.software import adding, releases
from pxeapp.software.models import Release
from pxeapp.software.releases import Description

bp = APIBlueprint("releases", __name__, url_prefix="/api/v1", tag="Releases")
Sha256 = Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]


class FileIn(BaseModel):
    """Another file of a release, such as an ISO, downloaded and checked as well; `{media}/NAME` in URLs is it."""

    model_config = ConfigDict(extra="forbid")
    name: str
    url: str
    sha256: Sha256


class ReleaseIn(BaseModel):
    """A release whose kernel and initrd are downloaded and checked."""

    model_config = ConfigDict(extra="forbid")
    name: str
    family: str
    version: str
    installer: str = Field("", description="kickstart, preseed or autoinstall; empty: the first one of its version.")
    kernel_url: str
    kernel_sha256: Sha256
    initrd_url: str
    initrd_sha256: Sha256
    files: list[FileIn] = []
    kernel_args: str = ""
    install_url: str = ""
    repositories: list[dict[str, str]] = []
    settings: dict[str, Any] = {}


class ReleaseChange(BaseModel):
    """What can be changed without new files."""

    model_config = ConfigDict(extra="forbid")
    kernel_args: str | None = None
    install_url: str | None = None
    repositories: list[dict[str, str]] | None = None
    settings: dict[str, Any] | None = None


class ReleaseOut(BaseModel):
    """A release on the wire; `problem` says why it is not `ready`."""

    name: str
    family: str
    version: str
    installer: str
    kernel: str
    kernel_sha256: str
    initrd: str
    initrd_sha256: str
    kernel_args: str
    install_url: str
    repositories: list[dict[str, Any]]
    settings: dict[str, Any]
    ready: bool
    problem: str


@bp.get("/releases")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: PageQuery) -> dict[str, Any]:
    """List releases"""
    with context().database.read() as session:
        rows = releases.listing(session, after=query.after, limit=query.limit + 1)
        return page(rows, query.limit, releases.wire, lambda row: row.name)


@bp.get("/releases/<name>")
@bp.output(ReleaseOut)
def show(name: str) -> Response:
    """Show a release"""
    with context().database.read() as session:
        return etags.answer(releases.wire(releases.get(session, name)))


@bp.post("/releases")
@bp.input(ReleaseIn, arg_name="said")
@bp.output(ReleaseOut, status_code=201)
def create(said: ReleaseIn) -> Response:
    """Add a release from URLs with checksums; answers when its files are verified"""
    return _create(said)


def _create(said: ReleaseIn) -> Response:
    description = Description(
        name=said.name,
        family=said.family,
        version=said.version,
        installer=said.installer,
        kernel_args=said.kernel_args,
        install_url=said.install_url,
        repositories=tuple(said.repositories),
        settings=said.settings,
    )
    row = adding.from_url(
        context().database,
        context().settings,
        description,
        kernel_url=said.kernel_url,
        kernel_sha256=said.kernel_sha256.lower(),
        initrd_url=said.initrd_url,
        initrd_sha256=said.initrd_sha256.lower(),
        files=[adding.Remote(file.name, file.url, file.sha256.lower()) for file in said.files],
        actor=actor().label,
        now=now(),
    )
    return etags.answer(releases.wire(row), HTTPStatus.CREATED)


@bp.put("/releases/<name>")
@bp.input(ReleaseIn, arg_name="said")
@bp.output(ReleaseOut)
def replace(name: str, said: ReleaseIn) -> Response:
    """Have a release of this name, as it is sent; its files cannot become others"""
    if said.name != name:
        problem = FieldProblem("name", f"is not {name[:63]!r}.", "Send the name of the address.")
        raise Invalid("The release cannot be saved.", problems=[problem])
    with context().database.write() as session:
        try:
            row = releases.get(session, name)
        except NotFound:
            etags.check_new()
        else:
            session.refresh(row, with_for_update=True)
            shown = releases.wire(row)
            etags.check(shown)
            _refuse_other_files(row, said)
            changes = said.model_dump(include={"kernel_args", "install_url", "repositories", "settings"})
            if {**shown, **changes} == shown:
                return etags.answer(shown)
            with _fitting(session, name):
                row = releases.update(session, name, changes, actor=actor().label, now=now())
            return etags.answer(releases.wire(row))
    return _create(said)


def _fitting(session: Session, name: str) -> AbstractContextManager[Any]:
    """Whatever is changed in it, its machines can still be installed; else Invalid, and nothing is saved."""
    from pxeapp.provisioning import members  # cost: a list on this host needs none of it

    return members.on_release(session, context().templates, name)


def _refuse_other_files(row: Release, said: ReleaseIn) -> None:
    """A release is its files: machines were installed with them, and the record of it names their hashes."""
    for field in ("family", "version", "kernel_sha256", "initrd_sha256"):
        if getattr(said, field).lower() != getattr(row, field).lower():
            raise Conflict(
                f"{row.name} has another {field}; the files of a release do not change.",
                hint="Add it under another name, or remove this one first.",
            )


@bp.patch("/releases/<name>")
@bp.input(ReleaseChange, arg_name="said")
@bp.output(ReleaseOut)
def change(name: str, said: ReleaseChange) -> Response:
    """Change arguments, repositories and settings"""
    with context().database.write() as session:
        changes = said.model_dump(exclude_unset=True)
        with _fitting(session, name):
            row = releases.save(session, name, changes, agree=etags.check, actor=actor().label, now=now())
        return etags.answer(releases.wire(row))


@bp.post("/releases/<name>/verify")
@bp.output(ReleaseOut)
def verify(name: str) -> Response:
    """Hash its files again"""
    row = releases.verify(context().database, context().settings, name, actor=actor().label, now=now())
    return etags.answer(releases.wire(row))


@bp.delete("/releases/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Remove a release and its files; refused while machines name it or are being installed with it"""
    from pxeapp.provisioning import uses  # cost: a list of releases loads no deployments

    with context().database.write() as session:
        etags.check(releases.wire(releases.get(session, name)))
        uses.refuse_used_release(session, name)
        releases.remove(session, name, actor=actor().label, now=now())
    releases.sweep(context().database, context().settings)
    return ""


routes(bp, versions.RELEASES, ReleaseOut)
