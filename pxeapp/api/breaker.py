"""`/breaker`: whether machines that work are still reinstalled, and reinstalling again after somebody has looked."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from pydantic import BaseModel

from pxeapp.api.context import actor, context
from pxeapp.db import now
from pxeapp.provisioning import breaker

bp = APIBlueprint("breaker", __name__, url_prefix="/api/v1", tag="Rollouts")


class BreakerOut(BaseModel):
    """Open: most of the last installations failed, so that no machine that has run before is erased."""

    open: bool
    opened_at: str | None
    reason: str
    reset_at: str | None
    reset_by: str | None


@bp.get("/breaker")
@bp.output(BreakerOut)
def show() -> dict[str, Any]:
    """Whether the breaker is open, and why"""
    with context().database.read() as session:
        return breaker.state(session)


@bp.post("/breaker/reset")
@bp.output(BreakerOut)
def reset() -> dict[str, Any]:
    """Reinstall again; what failed before is not counted any more"""
    with context().database.write() as session:
        breaker.reset(session, actor=actor().label, now=now())
        session.flush()
        return breaker.state(session)
