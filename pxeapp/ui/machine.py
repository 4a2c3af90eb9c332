"""One machine: where it stands, why, its steps with evidence and durations, and what it was given."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.api.context import context
from pxeapp.db import now
from pxeapp.errors import NotFound
from pxeapp.machines import selectors
from pxeapp.machines.disks import in_words
from pxeapp.machines.models import Event, Machine
from pxeapp.provisioning import explain, steps
from pxeapp.provisioning.lifecycle import SUCCEEDED
from pxeapp.provisioning.models import Deployment, Served
from pxeapp.provisioning.steps import Step
from pxeapp.ui.blueprint import bp

EVENTS_SHOWN = 200
ATTEMPTS_SHOWN = 10
STOP_POLLING = 286  # htmx's own status: take this, and ask no more
# Said on the page in these words.
STEP_WORDS = {
    Step.ARMED: "Armed",
    Step.POWER_CYCLED: "Power cycled",
    Step.DHCP_SEEN: "DHCP seen",
    Step.NBP_FETCHED: "Boot loader fetched",
    Step.KERNEL_FETCHED: "Kernel fetched",
    Step.ANSWER_FETCHED: "Answer file fetched",
    Step.INSTALLING: "Installing",
    Step.INSTALLED: "Installed",
    Step.FIRST_BOOT: "Booted from its disk",
    Step.VERIFIED: "Verified",
}


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of the attempt. `look` is a class of the style sheet: reached, implied, now, failed, open."""

    step: Step
    look: str
    at: dt.datetime | None = None
    took: dt.timedelta | None = None
    message: str = ""
    source: str = ""

    @property
    def words(self) -> str:
        """Its name on the page."""
        return STEP_WORDS[self.step]


@dataclass(frozen=True, slots=True)
class EventLine:
    """One line of the timeline, and how long after the one before it."""

    event: Event
    after: dt.timedelta | None

    @property
    def evidence(self) -> str:
        """What it rests on, on one line."""
        pairs = [(name, value) for name, value in self.event.evidence.items() if value not in (None, "", [], {})]
        return "  ".join(f"{name}={_plain(value)}" for name, value in pairs)


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@bp.get("/machines/<key>")
def machine_page(key: str) -> ResponseReturnValue:
    """The page."""
    return render_template("machine.html", **_view(key))


@bp.get("/machines/<key>/timeline")
def machine_timeline(key: str) -> ResponseReturnValue:
    """The part of it that changes."""
    try:
        return render_template("_machine.html", **_view(key))
    except NotFound:
        return render_template("_gone.html", key=key), STOP_POLLING


def _view(key: str) -> dict[str, Any]:
    moment = now()
    with context().database.read() as session:
        row: Machine = selectors.get(session, key)
        attempts = _attempts(session, row)
        deployment = attempts[0] if attempts else None
        return {
            "machine": row,
            "bmc": row.bmc,
            "interfaces": row.interfaces,
            "disks": [(disk.known, in_words(disk.known)) for disk in row.disks],
            "deployment": deployment,
            "earlier": attempts[1:],
            "steps": _steps(deployment, moment) if deployment else [],
            "total": (deployment.finished_at or moment) - deployment.requested_at if deployment else None,
            "allowance": deployment.step_deadline - deployment.step_since if deployment else None,
            "why": explain.explain(session, row, moment),
            "given": _given(session, deployment) if deployment else [],
            "events": _events(session, row),
        }


def _attempts(session: Session, row: Machine) -> Sequence[Deployment]:
    latest = select(Deployment).where(Deployment.machine_id == row.id).order_by(Deployment.id.desc())
    return session.scalars(latest.limit(ATTEMPTS_SHOWN)).all()


def _given(session: Session, deployment: Deployment) -> Sequence[Served]:
    return session.scalars(select(Served).where(Served.deployment_id == deployment.id).order_by(Served.id)).all()


def _steps(deployment: Deployment, moment: dt.datetime) -> list[StepLine]:
    """Every step of an attempt; what a later piece of evidence implies is told apart from what was seen itself."""
    reached = {entry["step"]: entry for entry in deployment.steps}
    before = deployment.requested_at
    lines = []
    for step in STEP_WORDS:
        entry = reached.get(step)
        if entry is not None:
            at = dt.datetime.fromisoformat(entry["at"])
            lines.append(StepLine(step, "reached", at, at - before, entry["message"], entry["source"]))
            before = at
        elif steps.rank(step) < steps.rank(deployment.step):
            lines.append(StepLine(step, "implied"))
        elif deployment.outcome != SUCCEEDED and not any(line.look in ("now", "failed") for line in lines):
            look = "now" if deployment.outcome is None else "failed"
            waited = (deployment.finished_at or moment) - before
            lines.append(StepLine(step, look, None, waited, explain.EXPECTED[Step(deployment.step)]))
        else:
            lines.append(StepLine(step, "open"))
    return lines


def _events(session: Session, row: Machine) -> list[EventLine]:
    """The newest first, each with the time since the one before it."""
    found = select(Event).where(Event.machine_id == row.id).order_by(Event.id.desc()).limit(EVENTS_SHOWN + 1)
    events = session.scalars(found).all()
    pairs = zip_longest(events, events[1:])
    return [EventLine(event, event.at - before.at if before else None) for event, before in pairs][:EVENTS_SHOWN]
