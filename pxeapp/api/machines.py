"""`/machines`: list, show, create, change, delete, import, events."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from pxeapp.api.context import actor, context, site
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines import imports as importing
from pxeapp.machines import readers, selectors, service, wire
from pxeapp.machines.models import Event, Machine
from pxeapp.machines.selectors import Filter
from pxeapp.machines.wire import MachineChange, MachineIn

bp = APIBlueprint("machines", __name__, url_prefix="/api/v1", tag="Machines")
FORM_OF = {
    "application/json": "json",
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
    "text/csv": "csv",
}


class MachineQuery(PageQuery):
    """Narrow the list; `search` looks at name, serial and MAC."""

    state: str = ""
    role: str = ""
    release: str = ""
    power: str = ""
    label: Annotated[str, Field(description="key=value")] = ""
    search: str = ""


class MachineOut(BaseModel):
    """A machine on the wire."""

    model_config = ConfigDict(extra="allow")
    id: int
    name: str
    mac: str
    state: str
    power: Literal["on", "off", "unknown"]
    role: str | None
    release: str | None
    bmc: dict[str, Any] | None
    interfaces: list[dict[str, Any]]
    disks: dict[str, Any]
    labels: dict[str, str]
    vars: dict[str, Any]
    version: int


class ImportQuery(BaseModel):
    """`dry_run=1` checks everything and changes nothing."""

    dry_run: bool = False
    format: Literal["json", "yaml", "csv"] | None = None


class BringIn(BaseModel):
    """A step of the lifecycle that moves no hardware."""

    model_config = ConfigDict(extra="forbid")
    verb: Literal["manage", "provide", "retire", "reserve", "unreserve"]


@bp.get("/machines")
@bp.input(MachineQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: MachineQuery) -> dict[str, Any]:
    """List machines by name"""
    narrowed = Filter(**query.model_dump(exclude={"after", "limit"}))
    with context().database.read() as session:
        rows, following = selectors.page(session, narrowed, after=query.after, limit=query.limit)
        return {"items": [wire.machine(row) for row in rows], "next": following}


@bp.post("/machines")
@bp.input(MachineIn, arg_name="said")
@bp.output(MachineOut, status_code=201)
def create(said: MachineIn) -> Response:
    """Register a machine"""
    with context().database.write() as session:
        row = service.create(session, context().vault, site(session), said, actor=actor().label, now=now())
        return _with_etag(row, HTTPStatus.CREATED)


@bp.post("/machines/import")
@bp.input(ImportQuery, location="query", arg_name="query")
@bp.doc(
    description="JSON, YAML or CSV by Content-Type. All or nothing; a 422 lists every bad row with line, field and fix."
)
def imports(query: ImportQuery) -> Response:
    """Import machines in bulk"""
    form = query.format or FORM_OF.get(request.mimetype)
    if form is None:
        fix = f"Send one of {', '.join(FORM_OF)}, or add ?format=json, yaml or csv."
        raise Invalid("The file's format is not known.", problems=[FieldProblem("Content-Type", request.mimetype, fix)])
    records = readers.read(request.get_data(cache=False), form)
    with context().database.write() as session:
        done = importing.run(
            session, context().vault, site(session), records, actor=actor().label, now=now(), dry_run=query.dry_run
        )
    return jsonify(
        dry_run=done.dry_run,
        created=len(done.created),
        updated=len(done.updated),
        unchanged=done.unchanged,
        names={"created": done.created[:1000], "updated": done.updated[:1000]},
    )


@bp.get("/machines/<key>")
@bp.output(MachineOut)
def show(key: str) -> Response:
    """Show a machine by name, MAC or id"""
    with context().database.read() as session:
        return _with_etag(selectors.get(session, key))


@bp.patch("/machines/<key>")
@bp.input(MachineChange, arg_name="said")
@bp.output(MachineOut)
def change(key: str, said: MachineChange) -> Response:
    """Change a machine; If-Match guards against a race"""
    with context().database.write() as session:
        row = selectors.get(session, key, lock=True)
        service.change(
            session,
            context().vault,
            site(session),
            row,
            said,
            actor=actor().label,
            now=now(),
            expected_version=_expected_version(),
        )
        return _with_etag(row)


@bp.delete("/machines/<key>")
@bp.output({}, status_code=204)
def delete(key: str) -> str:
    """Forget a machine"""
    with context().database.write() as session:
        service.delete(session, selectors.get(session, key, lock=True), actor=actor().label, now=now())
    return ""


@bp.post("/machines/<key>/bring")
@bp.input(BringIn, arg_name="said")
@bp.output(MachineOut)
def bring(key: str, said: BringIn) -> Response:
    """Move a machine through its lifecycle where no hardware moves"""
    with context().database.write() as session:
        row = selectors.get(session, key, lock=True)
        service.bring(session, row, said.verb, actor=actor().label, now=now())
        session.flush()
        return _with_etag(row)


@bp.get("/machines/<key>/events")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def events(key: str, query: PageQuery) -> dict[str, Any]:
    """A machine's timeline, oldest first"""
    with context().database.read() as session:
        row = selectors.get(session, key)
        found = select(Event).where(Event.machine_id == row.id, Event.id > query.after_id).order_by(Event.id)
        rows = session.scalars(found.limit(query.limit + 1)).all()
        return page(rows, query.limit, event, lambda each: each.id)


def event(row: Event) -> dict[str, Any]:
    """One line of the timeline on the wire."""
    return {
        "id": row.id,
        "deployment_id": row.deployment_id,
        "at": row.at.isoformat(),
        "source": row.source,
        "kind": row.kind,
        "message": row.message,
        "evidence": row.evidence,
    }


def _with_etag(row: Machine, status: int = HTTPStatus.OK) -> Response:
    response = jsonify(wire.machine(row))
    response.status_code = status
    response.set_etag(str(row.version))
    return response


def _expected_version() -> int | None:
    tags = request.if_match
    if not tags or tags.star_tag:
        return None
    versions = [tag for tag in tags.as_set() if tag.isdigit()]
    if len(versions) != 1:
        fix = 'Send the ETag as you got it: If-Match: "3".'
        raise Invalid("If-Match is not one of our ETags.", problems=[FieldProblem("If-Match", str(tags), fix)])
    return int(versions[0])
