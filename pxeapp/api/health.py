"""`/healthz`, `/readyz`, `/metrics`: for load balancers, orchestrators and Prometheus."""

from __future__ import annotations

import os
import shutil
from http import HTTPStatus
from typing import Any, Literal

from apiflask import APIBlueprint
from flask import Response, current_app, jsonify
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from pxeapp.api import metrics as metrics_page
from pxeapp.api.context import context
from pxeapp.appliance import observing
from pxeapp.errors import PxeError
from pxeapp.migrations import head_revision, present_revision
from pxeapp.storage import faults

bp = APIBlueprint("health", __name__, tag="Health")


class AliveOut(BaseModel):
    """It answers."""

    status: Literal["ok"]


class ReadyOut(BaseModel):
    """Whether it can work, and why not."""

    model_config = ConfigDict(extra="allow")
    status: Literal["ok", "not ready"]
    checks: dict[str, str]


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
    page = metrics_page.text(context(), current_app.extensions["pxeapp.tally"])
    return Response(page, mimetype="text/plain; version=0.0.4")


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
