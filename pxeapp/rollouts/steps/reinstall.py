"""Reinstall: a deployment is ordered, once, and what becomes of it is what becomes of the step."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.db import Database
from pxeapp.errors import Conflict
from pxeapp.machines import service
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.provisioning import breaker, explain, lifecycle
from pxeapp.provisioning.checking import Checker
from pxeapp.provisioning.models import Deployment
from pxeapp.rollouts import changed
from pxeapp.rollouts.models import Rollout
from pxeapp.rollouts.port import Done, Failed, Outcome, Subject, Waiting

OFTEN, SELDOM = dt.timedelta(seconds=5), dt.timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Reinstall:
    """Orders deployments as an operator would, through the same checks, queue and limits."""

    database: Database
    checker: Checker
    hint: Callable[[int], object]  # wakes the reconciler for a deployment

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        """Order it if it is not ordered yet, else see how far it is."""
        number = memory.get("deployment")
        if number is None:
            with self.database.read() as session:
                number = _ordered(session, subject)
        if number is None:
            return self._order(subject, now=now)
        with self.database.read() as session:
            deployment = session.get(Deployment, number)
            return _standing(deployment, number)

    def _order(self, subject: Subject, *, now: dt.datetime) -> Outcome:
        with self.database.read() as session:
            if why := breaker.holds(session):
                return Waiting(f"It waits: {why}.", again=SELDOM)
            rollout = session.get(Rollout, subject.rollout_id)
            edition = changed.edition(rollout) if rollout is not None else None
        said = subject.spec.action.chosen
        release, role = said.release or subject.release, said.role or subject.role
        rehearsal = self.checker.rehearse(self.database, subject.machine, release=release, role=role, edition=edition)
        with self.database.write() as session:
            machine = session.get(Machine, subject.machine_id, with_for_update={"of": Machine})
            if machine is None:
                raise Conflict(f"{subject.machine} is not there any more.")
            if (number := _ordered(session, subject)) is None:
                # One transaction: nobody else can take the machine between the two states.
                if machine.state == State.SERVICING:
                    service.claim(session, machine, "done", now=now)
                number = lifecycle.deploy(
                    session, machine, release=release, role=role, rehearsal=rehearsal, reimage=True,
                    requested_by=_by(subject), now=now,
                ).id  # fmt: skip
        self.hint(number)
        return Waiting(f"Deployment {number} was ordered.", {"deployment": number}, OFTEN)


def _by(subject: Subject) -> str:
    """Who ordered it: the same for each look of one try, so that an order is found again after a crash."""
    return f"system:rollout {subject.rollout_id}, try {subject.tries}"


def _ordered(session: Session, subject: Subject) -> int | None:
    return session.scalar(
        select(Deployment.id)
        .where(Deployment.machine_id == subject.machine_id, Deployment.requested_by == _by(subject))
        .order_by(Deployment.id.desc())
        .limit(1)
    )


def _standing(deployment: Deployment | None, number: int) -> Outcome:
    if deployment is None:
        return Failed("deployment_gone", f"Deployment {number} is not there any more.")
    memory = {"deployment": number}
    if deployment.outcome is None:
        return Waiting(f"{deployment.step}: {explain.word(deployment)}", memory, SELDOM)
    evidence = {"deployment": number, "outcome": deployment.outcome}
    if deployment.outcome == lifecycle.SUCCEEDED:
        return Done(f"Deployment {number} of {deployment.release} succeeded.", evidence, memory)
    hint = f"`pxeapp machine explain` says why; see deployment {number}."
    return Failed(deployment.reason_code or deployment.outcome, deployment.reason, hint, evidence, memory)
