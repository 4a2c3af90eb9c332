"""Deploying, aborting, releasing; deployments with their logs; `explain`; what a machine is given."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from apiflask import APIBlueprint
from flask import Response, jsonify, url_for
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, page, part
from pxeapp.db import now
from pxeapp.errors import NotFound
from pxeapp.machines import selectors
from pxeapp.machines import wire as machine_wire
from pxeapp.provisioning import explain as explaining
from pxeapp.provisioning import lifecycle, node_logs, pinning, wire
from pxeapp.provisioning import rendered as rendering
from pxeapp.provisioning.models import Deployment, NodeLog
from pxeapp.software.snapshots import uses

bp = APIBlueprint("deployments", __name__, url_prefix="/api/v1", tag="Deployments")


class DeployIn(BaseModel):
    """What to install. Left out: the machine's own release and role."""

    model_config = ConfigDict(extra="forbid")
    release: str | None = None
    role: str | None = None
    reimage: bool = False


class DeploymentQuery(PageQuery):
    """Narrow the list."""

    machine: str = ""
    running: bool | None = None


class RenderedQuery(BaseModel):
    """Which file; all of them when left out."""

    kind: str = ""


class StepOut(BaseModel):
    """A step that was reached, and what it was seen by."""

    model_config = ConfigDict(extra="allow")
    step: str
    at: str
    message: str


class ServedOut(BaseModel):
    """What a machine was given, by hash."""

    model_config = ConfigDict(extra="allow")
    at: str
    kind: str
    sha256: str
    size: int


class UsedSnapshotOut(BaseModel):
    """The snapshot that was pinned when it began, by digest: a channel leads elsewhere later."""

    model_config = ConfigDict(extra="allow")
    pin: str
    snapshot: str
    digest: str


class DeploymentOut(BaseModel):
    """One attempt. `outcome` is null while it runs."""

    model_config = ConfigDict(extra="allow")
    id: int
    machine: str
    attempt: int
    release: str
    role: str
    requested_by: str
    requested_at: str
    step: str
    step_since: str
    step_deadline: str
    deadline: str
    progress: str
    outcome: Literal["succeeded", "failed", "aborted"] | None
    reason: str
    reason_code: str
    admitted_at: str | None
    finished_at: str | None
    grant: str
    armed_until: str | None
    claimed_address: str | None
    frozen: bool
    steps: list[StepOut]
    served: list[ServedOut] = Field(default=[], description="In the answer for one deployment only.")
    snapshot: UsedSnapshotOut | None = Field(default=None, description="In the answer for one deployment only.")


class CauseOut(BaseModel):
    """A likely cause, and what to try."""

    cause: str
    attempt: str = Field(alias="try")


class ExplainOut(BaseModel):
    """Why a machine is where it is."""

    model_config = ConfigDict(extra="allow")
    machine: str
    state: str
    summary: str
    step: str | None = None
    last_evidence: str
    last_evidence_at: str | None = None
    expected_next: str
    waited_s: int | None = None
    code: str | None = None
    causes: list[CauseOut]


class RenderedFileOut(BaseModel):
    """A file, secrets masked, with its faults."""

    model_config = ConfigDict(extra="allow")
    kind: str
    sha256: str
    text: str
    faults: list[dict[str, Any]]


class RenderedOut(BaseModel):
    """What a machine would be given."""

    machine: str
    items: list[RenderedFileOut]


class LogOut(BaseModel):
    """A log that an installer sent."""

    name: str
    at: str
    size: int


@bp.post("/machines/<key>/deploy")
@bp.input(DeployIn, arg_name="said")
@bp.output({}, status_code=202)
def deploy(key: str, said: DeployIn) -> Response:
    """Deploy a machine; answers at once, the reconciler does the rest"""
    rehearsal = context().checker.rehearse(context().database, key, release=said.release, role=said.role)
    with context().database.write() as session:
        machine = selectors.get(session, key, lock=True)
        deployment = lifecycle.deploy(
            session,
            machine,
            release=said.release,
            role=said.role,
            rehearsal=rehearsal,
            reimage=said.reimage,
            requested_by=actor().label,
            now=now(),
        )
        shown = wire.deployment(deployment, machine.name)
    context().queue.hint(deployment.id)
    answer = jsonify(shown)
    answer.status_code = HTTPStatus.ACCEPTED
    answer.headers["Location"] = url_for("deployments.show", number=shown["id"])
    return answer


@bp.post("/machines/<key>/abort")
def abort(key: str) -> dict[str, Any]:
    """Abort the running deployment at whatever step it is"""
    with context().database.write() as session:
        machine = selectors.get(session, key, lock=True)
        return wire.deployment(lifecycle.abort(session, machine, requested_by=actor().label, now=now()), machine.name)


@bp.post("/machines/<key>/release")
def release(key: str) -> dict[str, Any]:
    """Take a machine out of use; its disk is not touched"""
    with context().database.write() as session:
        machine = selectors.get(session, key, lock=True)
        lifecycle.release_machine(session, machine, requested_by=actor().label, now=now())
        return machine_wire.machine(machine)


@bp.get("/machines/<key>/explain")
def explain(key: str) -> dict[str, Any]:
    """Why a machine is where it is: last evidence, what is awaited, likely causes in order"""
    with context().database.read() as session:
        return explaining.explain(session, selectors.get(session, key), now()).to_dict()


@bp.get("/machines/<key>/rendered")
@bp.input(RenderedQuery, location="query", arg_name="query")
def rendered(key: str, query: RenderedQuery) -> dict[str, Any]:
    """What the machine would be given, secrets masked, each file with the faults that our checks find in it"""
    with context().database.read() as session:
        machine = selectors.get(session, key)
        files = rendering.rendered(session, context().checker, machine, kind=query.kind)
        return {"machine": machine.name, "items": files}


@bp.get("/deployments")
@bp.input(DeploymentQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: DeploymentQuery) -> dict[str, Any]:
    """Deployments, oldest first"""
    with context().database.read() as session:
        found = select(Deployment).where(Deployment.id > query.after_id).order_by(Deployment.id).limit(query.limit + 1)
        if query.machine:
            found = found.where(Deployment.machine_id == selectors.get(session, query.machine).id)
        if query.running is not None:
            found = found.where(Deployment.outcome.is_(None) if query.running else Deployment.outcome.is_not(None))
        rows = session.scalars(found).all()
        names = wire.machine_names(session, rows)
        return page(rows, query.limit, lambda row: wire.deployment(row, names[row.machine_id]), lambda row: row.id)


@bp.get("/deployments/<int:number>")
def show(number: int) -> dict[str, Any]:
    """One deployment, with the hashes of what the machine was given"""
    with context().database.read() as session:
        row = _get(session, number)
        shown = wire.deployment(row, wire.machine_names(session, [row])[row.machine_id])
        shown["served"] = wire.served(session, row)
        shown["snapshot"] = uses.of(session, pinning.subject(row.id))
        return shown


@bp.get("/deployments/<int:number>/logs")
@bp.input(PageQuery, location="query", arg_name="query")
def logs(number: int, query: PageQuery) -> dict[str, Any]:
    """The logs that its installer sent"""
    with context().database.read() as session:
        return part(node_logs.listing(session, _get(session, number).id), query, lambda each: each["name"])


@bp.get("/deployments/<int:number>/logs/<name>")
def log(number: int, name: str) -> Response:
    """One of them, as text"""
    with context().database.read() as session:
        row = session.scalar(select(NodeLog).where(NodeLog.deployment_id == number, NodeLog.name == name))
        if row is None:
            raise NotFound(f"Deployment {number} has no log {name}.")
        return Response(row.content, mimetype="text/plain")


def _get(session: Any, number: int) -> Deployment:
    row: Deployment | None = session.get(Deployment, number)
    if row is None:
        raise NotFound(f"There is no deployment {number}.")
    return row
