"""What a machine is at right now: the step of its running attempt, and what it says of it; until when, and what to do.

While a freshly installed system sets up its role, that is the activity: each of its steps is reported as it begins.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.machines.models import Machine
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step

ROLE_LOG = "/var/log/pxeapp-role.log"
INSTALLER_LOGS = "the deployment's logs, which the installer sends when it fails"
AT_ONCE = 500  # machines in one query


@dataclass(frozen=True, slots=True)
class Activity:
    """One sentence, since when and until when it may go on, where to read more, and how to try again."""

    what: str
    since: dt.datetime
    deadline: dt.datetime
    log: str = ""
    retry: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For the wire."""
        return {
            "what": self.what,
            "since": self.since.isoformat(),
            "deadline": self.deadline.isoformat(),
            "log": self.log,
            "retry": self.retry,
        }


def sets_up(deployment: Deployment) -> bool:
    """Whether the installed system is at the checklist of its role: it runs from its own disk and has said so."""
    return deployment.outcome is None and deployment.step == Step.INSTALLED and bool(deployment.progress)


def last_word(deployment: Deployment) -> str:
    """What an attempt said last of the step that it is at: why it waits for its turn, or how far its installer is."""
    speaks = deployment.step in (Step.REQUESTED, Step.INSTALLING, Step.INSTALLED)
    return deployment.progress if speaks and deployment.outcome is None else ""


def of(deployment: Deployment | None) -> Activity | None:
    """What the machine of this attempt is at; None when the attempt is over."""
    if deployment is None or deployment.outcome is not None:
        return None
    about = (deployment.step_since, deployment.step_deadline)
    if sets_up(deployment):
        return Activity(
            f"Sets up its role {deployment.role}: {deployment.progress}",
            *about,
            log=f"{ROLE_LOG} on the machine",
            retry="Each step is tried again by itself; on the machine: systemctl restart pxeapp-role",
        )
    if deployment.step == Step.INSTALLING:
        said = f": {deployment.progress}" if deployment.progress else ""
        return Activity(f"Installs {deployment.release}{said}", *about, log=INSTALLER_LOGS)
    if deployment.step == Step.REQUESTED and deployment.progress:
        return Activity(deployment.progress, *about)
    return Activity(SAID[Step(deployment.step)], *about)


def of_machines(session: Session, machines: Iterable[Machine]) -> dict[int, Activity]:
    """By the machine's number, of those that have a running attempt."""
    numbers = [machine.id for machine in machines]
    found = {}
    for start in range(0, len(numbers), AT_ONCE):
        some = numbers[start : start + AT_ONCE]
        running = select(Deployment).where(Deployment.machine_id.in_(some), Deployment.outcome.is_(None))
        for deployment in session.scalars(running):
            if (activity := of(deployment)) is not None:
                found[deployment.machine_id] = activity
    return found


# What is waited for is said by explain; this is what is happening.
SAID: dict[Step, str] = {
    Step.REQUESTED: "Waits for a worker",
    Step.ARMED: "Is being power-cycled",
    Step.POWER_CYCLED: "Starts: its firmware's self-test",
    Step.DHCP_SEEN: "Netboots: it has an address",
    Step.NBP_FETCHED: "Netboots: it has a boot loader",
    Step.KERNEL_FETCHED: "Starts its installer",
    Step.ANSWER_FETCHED: "Its installer reads its answers",
    Step.INSTALLING: "Installs",
    Step.INSTALLED: "Restarts from its own disk",
    Step.FIRST_BOOT: "Is being verified",
    Step.VERIFIED: "Is done",
}
