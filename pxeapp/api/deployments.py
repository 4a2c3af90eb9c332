"""Deploying, aborting, releasing; deployments with their logs; `explain`; what a machine is given."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response, jsonify, url_for
from pydantic import BaseModel, ConfigDict
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
