"""Which machines serve at this moment, from the rows: what plans are made from, and what budgets are held to.

A machine serves when it is active, not in maintenance, not seen switched off, and in no rollout's hands. One that was
never deployed, or that was taken out of use, is not meant to serve and counts nowhere; one that is deployed for the
first time carries nothing yet, one that is deployed again does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from pxeapp.accounts import scope
from pxeapp.answers.models import Role
from pxeapp.db import one_at_a_time
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Cluster, Machine
from pxeapp.provisioning.lifecycle import SUCCEEDED
from pxeapp.provisioning.models import DeploymentRecord
from pxeapp.rollouts.budget import Standing
from pxeapp.rollouts.course import SERVES
from pxeapp.rollouts.invariants import Serving
from pxeapp.rollouts.models import Rollout, RolloutMember
from pxeapp.rollouts.plan import Plan

ZONE = "availability_zone"
A_ZONE = "nova"  # where nobody says one, as the role's own default is
MEANT = (
    State.ACTIVE, State.DRAINING, State.DRAIN_FAILED, State.SERVICING, State.SERVICE_FAILED, State.RESCUING,
    State.RESCUE, State.RESCUE_FAILED,
)  # fmt: skip
AGAIN = (State.DEPLOYING, State.DEPLOY_FAILED)
ANOTHERS = "a machine of another project"
AT_ONCE = 1000
_UP = and_(Machine.state == State.ACTIVE, Machine.maintenance.is_(False), Machine.power != "off")
_IN_HAND = and_(RolloutMember.state == "running", RolloutMember.step.not_in(SERVES))


def everyone(session: Session) -> list[Serving]:
    """Every machine of the appliance that serves or is meant to, by name.

    All of them, also for one who may see some only: three controllers are three. Those of others have no name then.
    """
    projects = scope.present()
    with scope.lifted():
        hands = _hands(session)
        said = _zones(session)
        rows = session.execute(
            select(
                Machine.id, Machine.name, Machine.project, Machine.role, Machine.cluster, Machine.rack, Machine.labels,
                Machine.vars[ZONE].as_string(), Machine.state, Machine.maintenance, Machine.maintenance_reason,
                Machine.power,
            )
            .where(or_(Machine.state.in_(MEANT), and_(Machine.state.in_(AGAIN), _served_before())))
            .order_by(Machine.name)
        )  # fmt: skip
        found = []
        for number, name, project, role, cluster, rack, labels, zone, *state in rows:
            why = _why(hands.get(number, ""), *state)
            theirs = projects is None or project in projects
            zone = zone or said["cluster"].get(cluster) or said["role"].get(role) or A_ZONE
            found.append(
                Serving(
                    number, name if theirs else ANOTHERS, role, cluster, rack, labels or {}, zone,
                    bool(why), why if theirs else "",
                )
            )  # fmt: skip
    return found


def read(session: Session, rollout: Rollout, plan: Plan, *, wave: int) -> Standing:
    """How it stands for a decision. Until the caller's transaction ends no other rollout decides anything."""
    one_at_a_time(session, "rollouts")
    members = session.execute(
        select(RolloutMember.machine_id, RolloutMember.machine, RolloutMember.state)
        .where(
            RolloutMember.rollout_id == rollout.id,
            or_(
                and_(RolloutMember.state == "waiting", RolloutMember.wave <= wave),
                RolloutMember.state == "skipped",
            ),
        )
        .order_by(RolloutMember.wave, RolloutMember.position)
    ).all()
    return Standing(
        down=down(session, {*plan.machines, *(each for group in plan.groups for each in group.domain_of)}),
        waiting={number: name for number, name, state in members if state == "waiting"},
        excused=frozenset(number for number, _, state in members if state == "skipped"),
    )


def down(session: Session, numbers: Collection[int]) -> dict[int, str]:
    """Those of these that do not serve, each as "c2 (its power is off)"; also one that is not there any more."""
    projects = scope.present()
    with scope.lifted():
        serving = select(Machine.id).where(_UP)
        if len(numbers) <= AT_ONCE:  # else one look at all of them is quicker than many at some
            serving = serving.where(Machine.id.in_(numbers))
        up = set(session.scalars(serving))
        hands = _hands(session)
        found = {number: f"machine {number} (it is not there any more)" for number in numbers if number not in up}
        found.update(dict.fromkeys(hands.keys() & set(numbers), ""))
        for some in _parts(sorted(found)):
            rows: Iterable[Any] = session.execute(
                select(
                    Machine.id, Machine.name, Machine.project, Machine.state, Machine.maintenance,
                    Machine.maintenance_reason, Machine.power,
                ).where(Machine.id.in_(some))
            )  # fmt: skip
            for number, name, project, *state in rows:
                theirs = projects is None or project in projects
                found[number] = f"{name} ({_why(hands.get(number, ''), *state)})" if theirs else ANOTHERS
        return dict(sorted(found.items()))


def _hands(session: Session) -> dict[int, str]:
    """Machines that rollouts work on, with what they do to each."""
    rows = session.execute(
        select(RolloutMember.machine_id, RolloutMember.step, RolloutMember.rollout_id).where(_IN_HAND)
    )
    return {machine: f"{step} in rollout {rollout}" for machine, step, rollout in rows}


def _why(hand: str, state: str, maintenance: bool, reason: str, power: str) -> str:  # noqa: FBT001 - a row's columns
    """Why a machine is down; empty where it is not."""
    if hand:
        return hand
    if state != State.ACTIVE:
        return f"it is {state}"
    if maintenance:
        return f"in maintenance: {reason}" if reason else "in maintenance"
    return "its power is off" if power == "off" else ""


def _served_before() -> Any:
    record = select(DeploymentRecord.id).where(
        DeploymentRecord.machine_id == Machine.id, DeploymentRecord.outcome == SUCCEEDED
    )
    return record.exists()


def _zones(session: Session) -> Mapping[str, Mapping[str | None, str]]:
    """The availability zone that a cluster or a role says."""
    found: dict[str, dict[str | None, str]] = {}
    for kind, table in (("cluster", Cluster), ("role", Role)):
        rows: Iterable[Any] = session.execute(select(table.name, table.vars[ZONE].as_string()))
        found[kind] = {name: zone for name, zone in rows if zone}
    return found


def _parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), AT_ONCE):
        yield numbers[start : start + AT_ONCE]
