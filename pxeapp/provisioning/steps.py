"""The steps of a deployment as a table: their order, how long each may take, and what it means when it does not end.

A step is reached by evidence only, and only forwards: a later piece of evidence implies the steps
before it (a machine that fetches a kernel has evidently had DHCP, whoever answered it).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from pxeapp.machines import timeline
from pxeapp.provisioning.models import Deployment


class Step(StrEnum):
    """Where a deployment stands; the order of definition is the order of events."""

    REQUESTED = "requested"
    ARMED = "armed"
    POWER_CYCLED = "power_cycled"
    DHCP_SEEN = "dhcp_seen"
    NBP_FETCHED = "nbp_fetched"
    KERNEL_FETCHED = "kernel_fetched"
    ANSWER_FETCHED = "answer_fetched"
    INSTALLING = "installing"
    INSTALLED = "installed"
    FIRST_BOOT = "first_boot"
    VERIFIED = "verified"


ORDER = tuple(Step)
_RANK = {step: rank for rank, step in enumerate(ORDER)}


@dataclass(frozen=True, slots=True)
class Wait:
    """What happens after a step: how long we wait for the next one, and how its absence is called."""

    allowance: dt.timedelta
    stall_code: str
    stalled: str  # the sentence's second half: "... but <stalled>"


MINUTE = dt.timedelta(minutes=1)

WAITS: dict[Step, Wait] = {
    Step.REQUESTED: Wait(2 * MINUTE, "not_started", "no worker picked it up"),
    Step.ARMED: Wait(30 * MINUTE, "power_unconfirmed", "the power cycle was not confirmed"),
    # A server with much memory needs ten minutes of self-test before its first packet.
    Step.POWER_CYCLED: Wait(15 * MINUTE, "no_dhcp", "no DHCP request of its boot MAC was seen"),
    Step.DHCP_SEEN: Wait(5 * MINUTE, "no_loader", "it fetched no boot loader"),
    Step.NBP_FETCHED: Wait(5 * MINUTE, "no_kernel", "it fetched no kernel"),
    # Hundreds of megabytes of initrd over a slow link, then the installer's own start-up.
    Step.KERNEL_FETCHED: Wait(20 * MINUTE, "no_answer", "it never asked for its answer file"),
    Step.ANSWER_FETCHED: Wait(15 * MINUTE, "installer_silent", "the installer never reported that it started"),
    # Counted from the installer's last word: each progress callback starts it anew.
    Step.INSTALLING: Wait(60 * MINUTE, "installer_silent", "the installer went silent"),
    Step.INSTALLED: Wait(30 * MINUTE, "no_first_boot", "the installed system never called in"),
    Step.FIRST_BOOT: Wait(2 * MINUTE, "not_verified", "it was not verified"),
}
WHOLE_ATTEMPT = dt.timedelta(hours=4)


def rank(step: str) -> int:
    """The position of a step in the order of events."""
    return _RANK[Step(step)]


def percent(step: str) -> int:
    """How many of the steps are behind an attempt that is at this one."""
    return round(100 * rank(step) / rank(Step.VERIFIED))


# Made once: SQLAlchemy takes longer to put such a statement together than SQLite does to answer it.
_LOCKED = select(Deployment).where(Deployment.id == bindparam("number")).with_for_update()


def locked(session: Session, deployment_id: int) -> Deployment | None:
    """The deployment, locked until the end of the transaction (SQLite's write lock is already held)."""
    return session.scalar(_LOCKED, {"number": deployment_id})


def deadline_of(step: Step, whole: dt.datetime, *, now: dt.datetime) -> dt.datetime:
    """Until when the next step may take, within the whole attempt's deadline."""
    return min(now + WAITS[step].allowance, whole) if step in WAITS else whole


def entry(step: Step, *, now: dt.datetime, source: str, message: str, evidence: Mapping[str, object]) -> dict[str, Any]:
    """One step in the deployment's list of them."""
    return {"step": str(step), "at": now.isoformat(), "source": source, "message": message, "evidence": dict(evidence)}


def advance(
    session: Session,
    deployment: Deployment,
    step: Step,
    *,
    now: dt.datetime,
    source: str,
    message: str,
    **evidence: object,
) -> bool:
    """Move forward to `step` on the strength of evidence; False when the deployment is over or already there.

    Idempotent and monotone. The caller holds the row (`locked`) in a write transaction.
    """
    if deployment.outcome is not None or rank(step) <= rank(deployment.step):
        return False
    deployment.step = step
    deployment.step_since = now
    deployment.step_deadline = deadline_of(step, deployment.deadline, now=now)
    deployment.due_at = now
    deployment.steps = [*deployment.steps, entry(step, now=now, source=source, message=message, evidence=evidence)]
    note(session, deployment, now=now, source=source, kind=str(step), message=message, **evidence)
    return True


def note(
    session: Session,
    deployment: Deployment,
    *,
    now: dt.datetime,
    source: str,
    kind: str,
    message: str,
    **evidence: object,
) -> None:
    """A line in the timeline of the attempt's machine."""
    timeline.note(
        session,
        machine_id=deployment.machine_id,
        deployment_id=deployment.id,
        at=now,
        source=source,
        kind=kind,
        message=message,
        **evidence,
    )
