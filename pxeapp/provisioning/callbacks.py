"""What installers and freshly installed systems tell us, applied at most once and never out of order.

A table says what each event means. A repeated, late or disordered event is answered like the first
one (the installer only wants to know that it may stop asking) and changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy.orm import Session

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines import timeline
from pxeapp.machines.models import Machine
from pxeapp.provisioning import grants, lifecycle, steps, tokens
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step

MESSAGE_LIMIT = 4000  # characters kept of what a machine says; a log's tail, not a log


@dataclass(frozen=True, slots=True)
class Report:
    """One callback, as it came in and was checked."""

    event: str
    message: str
    address: str


class Received(NamedTuple):
    """What became of a report; `look`: its deployment is to be looked at by a worker now."""

    applied: bool
    deployment_id: int
    look: bool


Effect = Callable[[Session, Deployment, Report, dt.datetime], bool]


def receive(session: Session, token: str, report: Report, *, now: dt.datetime) -> Received:
    """Take a report by its token; raises UnknownToken. The caller commits before answering."""
    deployment_id = tokens.redeem(session, token, tokens.CALLBACK, now=now)
    deployment = steps.locked(session, deployment_id)
    if deployment is None:
        raise tokens.UnknownToken
    applied = apply(session, deployment, report, now=now)
    return Received(applied, deployment_id, look=deployment.outcome is None and deployment.due_at <= now)


def apply(session: Session, deployment: Deployment, report: Report, *, now: dt.datetime) -> bool:
    """Apply one report; True if it changed something. The caller holds the row and commits before answering."""
    effect = EFFECTS.get(report.event)
    if effect is None:
        fix = f"Use one of {', '.join(EFFECTS)}."
        raise Invalid(
            f"{report.event[:40]!r} is not an event.", problems=[FieldProblem("event", "is not known.", fix)], hint=fix
        )
    if deployment.outcome is not None:
        return False
    return effect(session, deployment, report, now)


def _started(session: Session, deployment: Deployment, report: Report, now: dt.datetime) -> bool:
    return steps.advance(
        session,
        deployment,
        Step.INSTALLING,
        now=now,
        source="callback",
        message=report.message or "The installer started.",
        address=report.address,
    )


def _progress(session: Session, deployment: Deployment, report: Report, now: dt.datetime) -> bool:
    if steps.rank(deployment.step) >= steps.rank(Step.INSTALLED):
        return False
    if not _started(session, deployment, Report("started", "", report.address), now):
        # Each word from the installer starts its patience anew; a silent one runs out of it.
        deployment.step_deadline = min(now + steps.WAITS[Step.INSTALLING].allowance, deployment.deadline)
    if report.message and report.message != deployment.progress:
        deployment.progress = report.message
        _note(session, deployment, "progress", report, now)
    return True


def _installed(session: Session, deployment: Deployment, report: Report, now: dt.datetime) -> bool:
    advanced = steps.advance(
        session,
        deployment,
        Step.INSTALLED,
        now=now,
        source="callback",
        message=report.message or "The installer finished.",
        address=report.address,
    )
    if advanced:
        grants.disarm(session, deployment)
    return advanced


def _failed(session: Session, deployment: Deployment, report: Report, now: dt.datetime) -> bool:
    if steps.rank(deployment.step) >= steps.rank(Step.INSTALLED):
        _note(session, deployment, "failed", report, now)
        return False
    lifecycle.fail(
        session,
        session.get_one(Machine, deployment.machine_id),
        deployment,
        code="installer_failed",
        reason=f"The installer reported a failure: {report.message or 'it gave no reason.'}",
        now=now,
    )
    return True


def _first_boot(session: Session, deployment: Deployment, report: Report, now: dt.datetime) -> bool:
    advanced = steps.advance(
        session,
        deployment,
        Step.FIRST_BOOT,
        now=now,
        source="callback",
        message=report.message or "It called in from its own disk.",
        address=report.address,
    )
    if advanced:
        # The "installed" report may have been lost for ever; a system that runs from its disk needs no installer.
        grants.disarm(session, deployment)
    return advanced


def _note(session: Session, deployment: Deployment, kind: str, report: Report, now: dt.datetime) -> None:
    timeline.note(
        session,
        machine_id=deployment.machine_id,
        deployment_id=deployment.id,
        at=now,
        source="callback",
        kind=kind,
        message=report.message,
        address=report.address,
    )


EFFECTS: dict[str, Effect] = {
    "started": _started,
    "progress": _progress,
    "installed": _installed,
    "failed": _failed,
    "first_boot": _first_boot,
}
