"""`/appliance`: whether it does its work or only observes, and the switch between the two."""

from __future__ import annotations

from typing import Annotated, Any

from apiflask import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from pxeapp import __version__
from pxeapp.api.context import actor, context
from pxeapp.appliance import observing
from pxeapp.db import now

bp = APIBlueprint("appliance", __name__, url_prefix="/api/v1", tag="Appliance")


class ObserveIn(BaseModel):
    """Why; shown to everybody who is refused meanwhile."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(min_length=1, max_length=observing.REASON_LIMIT)


class ObservingOut(BaseModel):
    """Since when and why nothing is moved."""

    since: str
    reason: str
    sentence: Annotated[str, Field(description="All of it, as whoever is refused reads it.")]


class ApplianceOut(BaseModel):
    """`observing` is null while it does its work."""

    version: str
    observing: ObservingOut | None = None


@bp.get("/appliance")
@bp.output(ApplianceOut)
def show() -> dict[str, Any]:
    """Its version, and whether it only observes"""
    with context().database.read() as session:
        return _wire(session)


@bp.post("/appliance/observe")
@bp.input(ObserveIn, arg_name="said")
@bp.output(ApplianceOut)
def observe(said: ObserveIn) -> dict[str, Any]:
    """Send no power command, netboot no installer, begin no deployment, until told to resume"""
    with context().database.write() as session:
        observing.begin(session, reason=said.reason, actor=actor().label, now=now())
        return _wire(session)


@bp.post("/appliance/resume")
@bp.output(ApplianceOut)
def resume() -> dict[str, Any]:
    """Go on; nothing happens where it does its work already"""
    with context().database.write() as session:
        observing.end(session, actor=actor().label, now=now())
        return _wire(session)


def _wire(session: Session) -> dict[str, Any]:
    session.flush()
    held = observing.present(session)
    shown = _held(held) if held else None
    return {"version": __version__, "observing": shown}


def _held(held: observing.Observing) -> dict[str, Any]:
    return {"since": held.since.isoformat(), "reason": held.reason, "sentence": held.sentence}
