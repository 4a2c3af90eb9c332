"""Which rollouts that are not over work with something that is about to be taken away."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.rollouts.models import Rollout

OPEN = ("planned", "running", "paused", "aborting")


def of_cloud(session: Session, name: str) -> list[int]:
    """The numbers of those that drain by this cloud or ask it in a gate."""
    rows = session.execute(select(Rollout.id, Rollout.spec).where(Rollout.state.in_(OPEN)).order_by(Rollout.id))
    return [number for number, spec in rows if name in _clouds(spec)]


def _clouds(spec: dict[str, Any]) -> set[str]:
    parts = [spec.get("drain") or {}, *((spec.get("verify") or {}).get("gates") or ())]
    return {str((part.get("openstack") or {}).get("cloud", "")) for part in parts}
