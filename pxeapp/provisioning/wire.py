"""Deployments on the wire."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.machines.models import Machine
from pxeapp.provisioning.models import Deployment, Served


def deployment(row: Deployment, machine: str) -> dict[str, Any]:
    """One attempt as the API shows it. Tokens are not in it: they are not in the row either."""
    return {
        "id": row.id,
        "machine": machine,
        "attempt": row.attempt,
        "release": row.release,
        "role": row.role,
        "requested_by": row.requested_by,
        "requested_at": row.requested_at.isoformat(),
        "step": row.step,
        "step_since": row.step_since.isoformat(),
        "step_deadline": row.step_deadline.isoformat(),
        "deadline": row.deadline.isoformat(),
        "progress": row.progress,
        "outcome": row.outcome,
        "reason": row.reason,
        "reason_code": row.reason_code,
        "admitted_at": _iso(row.admitted_at),
        "finished_at": _iso(row.finished_at),
        "grant": row.grant,
        "armed_until": _iso(row.armed_until),
        "claimed_address": row.claimed_address,
        "frozen": row.frozen,
        "steps": row.steps,
    }


def served(session: Session, row: Deployment) -> list[dict[str, Any]]:
    """The hashes of the exact bytes that the machine was given."""
    rows = session.scalars(select(Served).where(Served.deployment_id == row.id).order_by(Served.id))
    return [{"at": each.at.isoformat(), "kind": each.kind, "sha256": each.sha256, "size": each.size} for each in rows]


def machine_names(session: Session, rows: Iterable[Deployment]) -> dict[int, str]:
    """The names of the machines that these deployments are of."""
    wanted = {row.machine_id for row in rows}
    found = session.execute(select(Machine.id, Machine.name).where(Machine.id.in_(wanted)))
    return {number: name for number, name in found}  # noqa: C416 - a row is a tuple, which only mypy does not know


def _iso(moment: dt.datetime | None) -> str | None:
    return moment.isoformat() if moment else None
