"""What DHCP, TFTP and HTTP saw, turned into steps of the deployment it belongs to.

The watchers only say what they saw. Here it is decided whose it is and whether it counts: a packet
that a machine sent before we had it switched on again belongs to its former life.
"""

from __future__ import annotations

import datetime as dt
from functools import cache

from sqlalchemy import bindparam, literal, or_, select
from sqlalchemy.orm import Session

from pxeapp.bmc import power
from pxeapp.bmc.models import PowerAction
from pxeapp.machines.models import Interface, Machine, Sighting
from pxeapp.prepared import Prepared, Runner
from pxeapp.provisioning import steps
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step

# Made once, since a boot storm asks them thousands of times.
_BY_BOOT_MAC = select(Machine).where(Machine.mac == bindparam("wanted"))
_BY_OTHER_MAC = select(Machine).join(Interface).where(Interface.mac == bindparam("wanted"))
_RUNNING = (
    select(Deployment)
    .where(Deployment.machine_id == bindparam("number"), Deployment.outcome.is_(None))
    .with_for_update()
)


@cache
def _behind(step: Step) -> Prepared:
    """A running attempt at an address that this step would move forward; one is enough to know."""
    earlier = steps.ORDER[: steps.rank(step)]
    return Prepared(
        select(Deployment.id)
        .where(
            Deployment.outcome.is_(None),
            Deployment.step.in_([literal(str(each)) for each in earlier]),
            or_(
                Deployment.claimed_address == bindparam("address"),
                Deployment.machine_id.in_(select(Sighting.machine_id).where(Sighting.address == bindparam("address"))),
            ),
        )
        .limit(1)
    )


def machine_by_mac(session: Session, mac: str) -> Machine | None:
    """The machine that boots from this MAC, or that has it on another of its cards."""
    found = session.scalar(_BY_BOOT_MAC, {"wanted": mac})
    return found if found is not None else session.scalar(_BY_OTHER_MAC, {"wanted": mac})


def running_of(session: Session, machine: Machine) -> Deployment | None:
    """The machine's deployment that has not ended, locked."""
    return session.scalar(_RUNNING, {"number": machine.id})


def running_at(session: Session, address: str) -> Deployment | None:
    """The running deployment of whoever has this address: by its claim, else by the last sighting."""
    claimed = session.scalar(
        select(Deployment)
        .where(Deployment.outcome.is_(None), Deployment.claimed_address == address)
        .order_by(Deployment.id.desc())
        .limit(1)
        .with_for_update()
    )
    if claimed is not None:
        return claimed
    return session.scalar(
        select(Deployment)
        .join(Sighting, Sighting.machine_id == Deployment.machine_id)
        .where(Deployment.outcome.is_(None), Sighting.address == address)
        .order_by(Sighting.last_seen.desc())
        .limit(1)
        .with_for_update(of=Deployment)
    )


def counts(session: Session, deployment: Deployment) -> bool:
    """Whether what the machine does now can be the boot that this deployment asked for."""
    if deployment.step == Step.REQUESTED:
        return False
    if deployment.step != Step.ARMED or deployment.power_action_id is None:
        return True
    return power.past_off(session.get_one(PowerAction, deployment.power_action_id))


def reached(
    session: Session,
    deployment: Deployment | None,
    step: Step,
    *,
    now: dt.datetime,
    source: str,
    message: str,
    **evidence: object,
) -> bool:
    """Advance the deployment if there is one and the evidence belongs to this boot."""
    if deployment is None or not counts(session, deployment):
        return False
    return steps.advance(session, deployment, step, now=now, source=source, message=message, **evidence)


def expecting(run: Runner, address: str, step: Step) -> bool:
    """A cheap read: would evidence of `step` from this address change anything? Saves a write lock per request."""
    return run.first(_behind(step), address=address) is not None


def kernel_fetched(session: Session, address: str, release: str, file: str, *, source: str, now: dt.datetime) -> bool:
    """A claimed machine fetched one of its release's boot files."""
    deployment = running_at(session, address)
    if deployment is None or deployment.release != release:
        return False
    return reached(
        session,
        deployment,
        Step.KERNEL_FETCHED,
        now=now,
        source=source,
        message=f"{address} fetched {release}/{file}.",
        address=address,
        file=file,
    )
