"""`/software/bundles`: releases, snapshots, boot programs and templates in one signed file, for an air gap."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.api.context import actor, context
from pxeapp.api.paging import PageQuery, page
from pxeapp.api.software.tasks import ordered
from pxeapp.db import now
from pxeapp.errors import NotFound
from pxeapp.software.bundles import service

bp = APIBlueprint("bundles", __name__, url_prefix="/api/v1/software", tag="Software")
Name = Annotated[str, Field(max_length=63)]
Names = Annotated[list[Name], Field(max_length=1000)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
CHUNK = 1024 * 1024
DVD = 4400 * 1000**2  # fits a DVD


class BundleIn(BaseModel):
    """What goes into it."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    releases: Names = []
    snapshots: Names = []
    boot_programs: bool = Field(default=False, description="iPXE, shim, GRUB as this host serves them.")
    templates: bool = Field(default=False, description="The site's own templates as they count now.")
    since: Name = Field("", description="A snapshot that the other side has: what it holds is left out.")
    part_size: Annotated[int, Field(ge=0, le=2**50)] = Field(DVD, description="In bytes; 0: all in one part.")
    replace: bool = Field(default=False, description="Though there is one of that name.")


class PartsIn(BaseModel):
    """All parts of one bundle: sent before, or laid on the appliance's disk."""

    model_config = ConfigDict(extra="forbid")
    uploads: Annotated[list[Sha256], Field(max_length=999)] = []
    paths: Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=999)] = Field(
        [], description="Below DATA_DIR/incoming: a part, of which there may be more, or a folder."
    )


class BundleImportIn(PartsIn):
    """An import. Whom this appliance trusts: its own keys, PXEAPP_BUNDLE_KEYS, and these."""

    trust: Annotated[list[Annotated[str, Field(max_length=60)]], Field(max_length=20)] = Field(
        [], description="Fingerprints, of all 40 digits."
    )
    replace_releases: bool = Field(default=False, description="Where another one of that name is here.")
    replace_templates: bool = Field(default=False, description="Where they were edited here.")


class PartOut(BaseModel):
    """A file of a bundle."""

    name: str
    bytes: int


class BundleContentsOut(BaseModel):
    """What a bundle holds, by name."""

    releases: list[str]
    snapshots: list[str]
    boot_programs: list[str]
    templates: list[str]


class BundleOut(BaseModel):
    """A bundle that was made or imported here. The parts of one that was made are below DATA_DIR/bundles/NAME."""

    id: int
    name: str
    direction: Literal["made", "imported"]
    identity: str
    signed_by: list[str]
    part_count: int
    bytes: int
    contents: BundleContentsOut
    since: str
    by: str
    at: str
    parts: list[PartOut]


@bp.get("/bundles")
@bp.input(PageQuery, location="query", arg_name="query")
def listing(query: PageQuery) -> dict[str, Any]:
    """Bundles that were made and imported"""
    with context().database.read() as session:
        rows = service.listing(session, after=query.after_id, limit=query.limit + 1)
        return page(rows, query.limit, lambda row: service.wire(context().settings, row), lambda row: row.id)


@bp.get("/bundles/<name>")
def show(name: str) -> dict[str, Any]:
    """A bundle that was made here"""
    with context().database.read() as session:
        return service.wire(context().settings, service.get(session, name))


@bp.get("/bundles/<name>/parts/<file>")
def fetch(name: str, file: str) -> Response:
    """Fetch a part; what broke off goes on by a Range"""
    with context().database.read() as session:
        paths = {path.name: path for path in service.files(context().settings, service.get(session, name))}
    if file not in paths:
        raise NotFound(f"The bundle {name[:63]} has no part {file[:80]!r}.")
    path = paths[file]
    size = path.stat().st_size
    found = request.range.range_for_length(size) if request.range is not None else None
    start, end = found or (0, size)
    answer = Response(_read(path, start, end - start), mimetype="application/octet-stream")
    answer.headers["Content-Length"] = str(end - start)
    answer.headers["Content-Disposition"] = f'attachment; filename="{file}"'
    answer.headers["Accept-Ranges"] = "bytes"
    if found is not None:
        answer.status_code = HTTPStatus.PARTIAL_CONTENT
        answer.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return answer


@bp.post("/bundles")
@bp.input(BundleIn, arg_name="said")
def create(said: BundleIn) -> Response:
    """Make a bundle"""
    options = said.model_dump(exclude={"name", "replace"})
    with context().database.write() as session:
        return ordered(
            service.create(
                session, context().settings, said.name, options, replace=said.replace, actor=actor().label, now=now()
            )
        )


@bp.post("/bundles/verify")
@bp.input(PartsIn, arg_name="said")
def verify(said: PartsIn) -> Response:
    """Hash all of a bundle, and say who signed it and whether that is somebody whom this appliance trusts"""
    return _take(said, service.VERIFY)


@bp.post("/bundles/import")
@bp.input(BundleImportIn, arg_name="said")
def take(said: BundleImportIn) -> Response:
    """Import a bundle; nothing of it is used before all of it was looked at"""
    return _take(said, service.IMPORT)


@bp.delete("/bundles/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Remove a bundle that was made here, with its parts"""
    with context().database.write() as session:
        service.delete(session, context().settings, name, actor=actor().label, now=now())
    return ""


def _read(path: Path, start: int, left: int) -> Iterator[bytes]:
    with path.open("rb") as source:
        source.seek(start)
        while left and (chunk := source.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _take(said: PartsIn, kind: str) -> Response:
    with context().database.write() as session:
        options = said.model_dump()
        return ordered(service.take(session, context().settings, options, kind=kind, actor=actor().label, now=now()))
