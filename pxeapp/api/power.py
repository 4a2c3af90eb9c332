"""`/machines/{id}/power`: what it is, and an order to the BMC worker. No handler talks to a BMC."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from apiflask import APIBlueprint
from flask import Response, jsonify, url_for
from pydantic import BaseModel, ConfigDict

from pxeapp.api.context import actor, context
from pxeapp.bmc import power
from pxeapp.bmc.models import PowerAction
from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine
from pxeapp.provisioning import lifecycle

bp = APIBlueprint("power", __name__, url_prefix="/api/v1", tag="Power")


class PowerIn(BaseModel):
    """The wish. A cycle is off, observed off, on, observed on; never a reset."""

    model_config = ConfigDict(extra="forbid")
    action: Literal["on", "off", "cycle"]


class PowerActionOut(BaseModel):
    """An order to the BMC worker. `outcome` is null while it is carried out."""

    model_config = ConfigDict(extra="allow")
    id: int
    goal: str
    phase: str
    outcome: str | None
    error_code: str | None
    error: str | None
    requested_by: str
    requested_at: str
    finished_at: str | None
    log: list[Any]


class PowerOut(BaseModel):
    """The power state, when it was seen, and the last order."""

    model_config = ConfigDict(extra="allow")
    power: Literal["on", "off", "unknown"]
    seen_at: str | None
    action: PowerActionOut | None


@bp.get("/machines/<key>/power")
def show(key: str) -> dict[str, Any]:
    """The power state, when it was seen, and the last power action"""
    with context().database.read() as session:
        row = selectors.get(session, key)
        return wire(row, power.latest(session, row.id))


@bp.post("/machines/<key>/power")
@bp.input(PowerIn, arg_name="said")
@bp.output({}, status_code=202)
def order(key: str, said: PowerIn) -> Response:
    """Order a power action; it is carried out by the BMC worker"""
    with context().database.write() as session:
        row = selectors.get(session, key, lock=True)
        lifecycle.refuse_power_order(row)
        action = power.request(session, machine_id=row.id, goal=said.action, requested_by=actor().label, now=now())
        answer = jsonify(_action(action))
        answer.status_code = HTTPStatus.ACCEPTED
        answer.headers["Location"] = url_for("power.show", key=row.name)
        return answer


def wire(row: Machine, action: PowerAction | None) -> dict[str, Any]:
    """A machine's power on the wire: what it is, when that was seen, and the last order."""
    return {
        "power": row.power,
        "seen_at": row.power_seen_at.isoformat() if row.power_seen_at else None,
        "action": _action(action) if action else None,
    }


def _action(row: PowerAction) -> dict[str, Any]:
    return {
        "id": row.id,
        "goal": row.goal,
        "phase": row.phase,
        "outcome": row.outcome,
        "error_code": row.error_code,
        "error": row.error,
        "requested_by": row.requested_by,
        "requested_at": row.requested_at.isoformat(),
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "log": row.log,
    }
