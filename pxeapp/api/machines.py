"""`/machines`: list, show, create, change, delete, import, events."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.exceptions import UnsupportedMediaType

from pxeapp.api import etags
from pxeapp.api.context import actor, context, site
from pxeapp.api.paging import Page, PageQuery, listed, page
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid, NotFound
from pxeapp.machines import imports as importing
from pxeapp.machines import readers, selectors, service, wire
from pxeapp.machines.models import Event, Machine
from pxeapp.machines.narrowing import Narrowed
from pxeapp.machines.wire import MachineChange, MachineIn
from pxeapp.provisioning import activity as activities
from pxeapp.provisioning.activity import Activity

bp = APIBlueprint("machines", __name__, url_prefix="/api/v1", tag="Machines")
FORM_OF = {
    "application/json": "json",
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
    "text/csv": "csv",
}
# What a machine shows and nobody sets.
READINGS = frozenset({"id", "state", "power", "power_seen_at", "fault", "version", "created_at", "updated_at"})
ACTIVITY = "With what each is at right now: `activity`, null where no deployment runs."
# A machine of which nothing is known but its name and MAC.
NOTHING: dict[str, Any] = {
    "serial": None, "uuid": None, "role": None, "release": None, "cluster": None, "project": None, "bmc": None,
    "interfaces": [], "disks": {},
    "labels": {}, "vars": {}, "location": {}, "maintenance": False, "maintenance_reason": "", "locked": False,
}  # fmt: skip


class ShowQuery(BaseModel):
    """What is said besides."""

    activity: Annotated[bool, Field(description=ACTIVITY)] = False


class MachineQuery(Narrowed, PageQuery):
    """Narrow the list; `search` looks at name, serial and MAC."""

    sort: Annotated[str, Field(description=f"One of {', '.join(selectors.SORTS)}; a minus turns it round.")] = "name"
    activity: Annotated[bool, Field(description=ACTIVITY)] = False


class MachineBmcOut(BaseModel):
    """How its BMC is reached; of its password only that there is one."""

    type: str
    address: str
    port: int
    username: str
    password_set: bool
    cipher_suite: int | None
    certificate: str | None


class CardOut(BaseModel):
    """A network card."""

    mac: str
    name: str | None
    network: str | None
    address: str | None


class MachineOut(BaseModel):
    """A machine on the wire."""

    model_config = ConfigDict(extra="allow")
    id: int
    name: str
    mac: str
    serial: str | None
    uuid: str | None
    state: str
    power: Literal["on", "off", "unknown"]
    power_seen_at: str | None
    role: str | None
    release: str | None
    cluster: str | None
    project: str | None
    bmc: MachineBmcOut | None
    interfaces: list[CardOut]
    disks: Annotated[
        dict[str, Any],
        Field(description="Paths, or objects with path, serial, wwn, model, size, rotational."),
    ]
    labels: dict[str, str]
    vars: dict[str, Any]
    location: dict[str, Any]
    maintenance: bool
    maintenance_reason: str
    locked: bool
    fault: str | None
    version: int
    created_at: str
    updated_at: str


class MachinePatch(MachineChange):
    """What to change; within `bmc`, too, what is left out stays. `password` is write-only."""

    bmc: dict[str, Any] | None = None  # type: ignore[assignment]  # checked as a whole once it is whole


class MachinePut(MachineIn):
    """The whole machine. What a GET shows and nobody can set may stay in it, and is left alone."""

    @model_validator(mode="before")
    @classmethod
    def _without_readings(cls, said: Any) -> Any:
        if not isinstance(said, dict):
            return said
        kept = {name: value for name, value in said.items() if name not in READINGS}
        if isinstance(kept.get("bmc"), dict):
            kept["bmc"] = {name: value for name, value in kept["bmc"].items() if name != "password_set"}
        return kept


class ImportQuery(BaseModel):
    """`dry_run=1` checks everything and changes nothing."""

    dry_run: bool = False
    format: Literal["json", "yaml", "csv"] | None = None


class BringIn(BaseModel):
    """A step of the lifecycle that moves no hardware."""

    model_config = ConfigDict(extra="forbid")
    verb: Literal["manage", "provide", "retire", "reserve", "unreserve"]


class EventOut(BaseModel):
    """A line of a machine's timeline."""

    model_config = ConfigDict(extra="allow")
    id: int
    deployment_id: int | None
    at: str
    source: str
    kind: str
    message: str
    evidence: dict[str, Any]


class ImportedNames(BaseModel):
    """The first thousand of each."""

    created: list[str]
    updated: list[str]


class ImportOut(BaseModel):
    """What an import did, or would do."""

    dry_run: bool
    created: int
    updated: int
    unchanged: int
    names: ImportedNames


@bp.get("/machines")
@bp.input(MachineQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: MachineQuery) -> dict[str, Any]:
    """List machines"""
    with context().database.read() as session:
        rows, following = selectors.page(session, query.filter(), after=query.after, limit=query.limit, sort=query.sort)
        at = activities.of_machines(session, rows) if query.activity else {}
        more = [{"activity": _activity(at.get(row.id))} if query.activity else {} for row in rows]
        return listed([{**wire.machine(row), **each} for row, each in zip(rows, more, strict=True)], following)


@bp.post("/machines")
@bp.input(MachineIn, arg_name="said")
@bp.output(MachineOut, status_code=201)
def create(said: MachineIn) -> Response:
    """Register a machine"""
    with context().database.write() as session:
        row = service.create(session, context().vault, site(session), said, actor=actor().label, now=now())
        return etags.answer(wire.machine(row), HTTPStatus.CREATED)


@bp.post("/machines/import")
@bp.input(ImportQuery, location="query", arg_name="query")
@bp.doc(
    description="JSON, YAML or CSV by Content-Type. All or nothing; a 422 lists every bad row with line, field and fix."
)
def imports(query: ImportQuery) -> Response:
    """Import machines in bulk"""
    form = query.format or FORM_OF.get(request.mimetype)
    if form is None:
        raise UnsupportedMediaType(
            f"A file of type {request.mimetype or 'unknown'} cannot be imported: "
            f"send one of {', '.join(FORM_OF)}, or add ?format=json, yaml or csv."
        )
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
@bp.input(ShowQuery, location="query", arg_name="query")
@bp.output(MachineOut)
def show(key: str, query: ShowQuery) -> Response:
    """Show a machine by name, MAC or id"""
    with context().database.read() as session:
        row = selectors.get(session, key)
        at = activities.of_machines(session, [row]) if query.activity else {}
        more: dict[str, Any] = {"activity": _activity(at.get(row.id))} if query.activity else {}
        return etags.answer(wire.machine(row), **more)


@bp.patch("/machines/<key>")
@bp.input(MachinePatch, arg_name="said")
@bp.output(MachineOut)
def change(key: str, said: MachinePatch) -> Response:
    """Change a machine; what is left out stays, within `bmc` too. If-Match guards against a race"""
    with context().database.write() as session:
        return _change(session, selectors.get(session, key, lock=True), said.model_dump(exclude_unset=True))


@bp.put("/machines/<key>")
@bp.input(MachinePut, arg_name="said")
@bp.output(MachineOut)
def replace(key: str, said: MachinePut) -> Response:
    """Have a machine of this name, as it is sent: what is left out is emptied, but the BMC's password stays"""
    with context().database.write() as session:
        try:
            row = selectors.get(session, key, lock=True)
        except NotFound:
            etags.check_new()
            if said.name != key:
                raise _another_name(key) from None
            row = service.create(session, context().vault, site(session), said, actor=actor().label, now=now())
            return etags.answer(wire.machine(row), HTTPStatus.CREATED)
        return _change(session, row, {**NOTHING, **said.model_dump(exclude_unset=True)})


@bp.delete("/machines/<key>")
@bp.output({}, status_code=204)
def delete(key: str) -> str:
    """Forget a machine"""
    with context().database.write() as session:
        row = selectors.get(session, key, lock=True)
        etags.check(wire.machine(row))
        service.delete(session, row, actor=actor().label, now=now())
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
        return etags.answer(wire.machine(row))


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


def _activity(found: Activity | None) -> dict[str, Any] | None:
    return found.to_dict() if found is not None else None


def _change(session: Session, row: Machine, values: dict[str, Any]) -> Response:
    shown = wire.machine(row)
    etags.check(shown)
    said = _understood(shown, values)
    service.change(session, context().vault, site(session), row, said, actor=actor().label, now=now())
    return etags.answer(wire.machine(row))


def _another_name(key: str) -> Invalid:
    fix = "Send the name that the address ends in."
    problem = FieldProblem("name", f"is not {key[:63]!r}, and there is no such machine.", fix)
    return Invalid("The machine cannot be created.", problems=[problem])


def _understood(shown: dict[str, Any], values: dict[str, Any]) -> MachineChange:
    """What was said, with the BMC's fields that were left out as they are now; raises Invalid."""
    if values.get("bmc") is not None:
        values = {**values, "bmc": _whole_bmc(shown["bmc"] or {}, values["bmc"])}
    try:
        return MachineChange.model_validate(values)
    except ValidationError as error:
        raise Invalid("The machine cannot be saved.", problems=wire.problems(error)) from None


def _whole_bmc(present: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    kept = dict(present)
    if said.get("type", kept.get("type")) != kept.get("type"):
        kept.pop("port", None)  # each type has its own
    return {name: value for name, value in {**kept, **said}.items() if name != "password_set"}
