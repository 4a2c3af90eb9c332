"""`/healthz`, `/readyz`, `/metrics`: for load balancers, orchestrators and Prometheus."""

from __future__ import annotations

import os
import shutil
from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response, jsonify
from sqlalchemy import func, select, text

from pxeapp.api.context import context
from pxeapp.appliance import observing
from pxeapp.db import now
from pxeapp.errors import PxeError
from pxeapp.machines import selectors
from pxeapp.machines.models import Sighting
from pxeapp.migrations import head_revision, present_revision
from pxeapp.provisioning.models import Deployment
from pxeapp.storage import faults

bp = APIBlueprint("health", __name__, tag="Health")


@bp.get("/healthz")
def healthz() -> dict[str, str]:
    """Alive"""
    return {"status": "ok"}


@bp.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Ready to work: database, schema, data directory"""
    checks = {"database": _database(), "data directory": _data_directory()}
    ready = not any(checks.values())
    shown: dict[str, Any] = {name: problem or "ok" for name, problem in checks.items()}
    # An appliance that only observes is ready: machines report to it, and operators look.
    more = {"observing": held} if (held := _observing()) else {}
    return jsonify(status="ok" if ready else "not ready", checks=shown, **more), (
        HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    )


@bp.get("/metrics")
def metrics() -> Response:
    """Prometheus metrics"""
    lines: list[str] = []
    with context().database.read() as session:
        _family(lines, "pxeapp_machines", "Machines by state.", "state", selectors.counts(session))
        outcomes = session.execute(select(Deployment.outcome, func.count()).group_by(Deployment.outcome)).all()
        by_outcome = {str(outcome or "running"): number for outcome, number in outcomes}
        _family(lines, "pxeapp_deployments", "Deployments by outcome.", "outcome", by_outcome)
        running = select(Deployment.step, func.count()).where(Deployment.outcome.is_(None)).group_by(Deployment.step)
        by_step = {str(step): number for step, number in session.execute(running)}
        _family(lines, "pxeapp_deployments_running", "Running deployments by step.", "step", by_step)
        overdue = select(func.count()).where(Deployment.outcome.is_(None), Deployment.step_deadline < now())
        _family(
            lines, "pxeapp_deployments_overdue", "Running past their deadline.", "", {"": session.scalar(overdue) or 0}
        )
        held = observing.present(session) is not None
        _family(lines, "pxeapp_observing", "1 while nothing is moved until told to resume.", "", {"": int(held)})
        strangers = select(func.count()).select_from(Sighting).where(Sighting.machine_id.is_(None))
        _family(lines, "pxeapp_unknown_machines", "Seen, not registered.", "", {"": session.scalar(strangers) or 0})
    return Response("\n".join(lines) + "\n", mimetype="text/plain; version=0.0.4")


def _family(lines: list[str], name: str, help_text: str, label: str, values: dict[str, int]) -> None:
    lines += [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]
    for key, value in sorted(values.items()):
        lines.append(f'{name}{{{label}="{key}"}} {value}' if label else f"{name} {value}")


def _database() -> str:
    try:
        with context().database.read() as session:
            session.execute(text("SELECT 1"))
        found, wanted = present_revision(context().database.engine), head_revision()
    except PxeError as error:
        return error.sentence
    return "" if found == wanted else f"is at schema {found}, not {wanted}; run: pxeapp db upgrade"


def _observing() -> str:
    try:
        with context().database.read() as session:
            held = observing.present(session)
    except PxeError:
        return ""  # said by the database's own check
    return held.sentence if held else ""


def _data_directory() -> str:
    folder = context().settings.data_dir
    if not os.access(folder, os.W_OK):
        return f"{folder} cannot be written"
    return "" if shutil.disk_usage(folder).free >= faults.ROOM else f"the disk of {folder} is full"
