"""The first page: what needs somebody first, what is under way, what there is, and what happened last."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, selectinload

from pxeapp.api.context import context
from pxeapp.bmc.polling import SICK
from pxeapp.db import now
from pxeapp.machines import adopting
from pxeapp.machines.lifecycle import FAILED, TRANSITIONAL, State
from pxeapp.machines.models import Event, Machine
from pxeapp.provisioning import breaker, explain, steps
from pxeapp.provisioning.models import Deployment
from pxeapp.rollouts import looking
from pxeapp.ui import rollout_view
from pxeapp.ui.blueprint import bp
from pxeapp.ui.rollouts import lines

SHOWN = 8  # of each list; more of it is a link away
EVENTS_SHOWN = 15
LATE = dt.timedelta(minutes=1)  # the reconciler ends what is overdue within a minute; later than that, it does not run
# The order in which states are looked at: what failed, what moves, what waits, what works.
GROUPS: tuple[frozenset[str], ...] = (FAILED, TRANSITIONAL, frozenset({State.ENROLLED, State.MANAGEABLE}))


@dataclass(frozen=True, slots=True)
class Flight:
    """A deployment that is under way."""

    machine: Machine
    deployment: Deployment
    moment: dt.datetime

    @property
    def done(self) -> int:
        """How many of the steps are behind it, in percent."""
        return steps.percent(self.deployment.step)

    @property
    def late(self) -> bool:
        """Nobody ended it when its time was up: the worker does not run."""
        return self.deployment.step_deadline < self.moment - LATE

    @property
    def word(self) -> str:
        """What it said last, or what it waits for."""
        return explain.word(self.deployment)


@dataclass(slots=True)
class Capacity:
    """The machines of one role, by what can be done with them."""

    role: str | None
    ready: int = 0
    active: int = 0
    moving: int = 0
    failed: int = 0
    other: int = 0
    states: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.states.values())

    def count(self, state: str, number: int) -> None:
        """Add machines in a state."""
        self.states[state] = self.states.get(state, 0) + number
        if state in FAILED:
            self.failed += number
        elif state in TRANSITIONAL:
            self.moving += number
        elif state == State.ACTIVE:
            self.active += number
        elif state == State.AVAILABLE:
            self.ready += number
        else:
            self.other += number


@bp.get("/")
def index() -> ResponseReturnValue:
    """The page."""
    return render_template("overview.html", **_view())


@bp.get("/overview")
def overview_part() -> ResponseReturnValue:
    """The part of it that changes: all of it."""
    return render_template("_overview.html", **_view())


def _view() -> dict[str, Any]:
    moment = now()
    with context().database.read() as session:
        capacity = _capacity(session)
        states: dict[str, int] = {}
        for each in capacity:
            for state, number in each.states.items():
                states[state] = states.get(state, 0) + number
        rollouts = looking.present(session, now=moment, limit=SHOWN)
        by = looking.by_wave(session, rollouts)
        stopped = [each for each in rollouts if rollout_view.needs_person(each, by[each.id])]
        failed_total = sum(number for state, number in states.items() if state in FAILED)
        silent = SICK & Machine.bmc.has() & Machine.state.not_in({*FAILED, State.RETIRED})
        silent_total = _count(session, select(func.count()).select_from(Machine).where(silent))
        return {
            "total": sum(states.values()),
            "states": sorted(states.items(), key=_by_urgency),
            "capacity": capacity,
            "failed": _machines(session, Machine.state.in_(FAILED)) if failed_total else [],
            "failed_total": failed_total,
            "silent": _machines(session, silent) if silent_total else [],
            "silent_total": silent_total,
            "breaker": breaker.holds(session),
            "stopped": lines(session, stopped),
            "rolling": lines(session, [each for each in rollouts if each not in stopped]),
            "flights": _flights(session, moment),
            "flights_total": _count(session, select(func.count()).where(Deployment.outcome.is_(None))),
            "overdue": _count(
                session,
                select(func.count()).where(Deployment.outcome.is_(None), Deployment.step_deadline < moment - LATE),
            ),
            "strangers": adopting.latest(session, limit=SHOWN),
            "strangers_total": adopting.count(session),
            "events": _events(session),
        }


def _capacity(session: Session) -> list[Capacity]:
    """By role, the largest first; machines without one come last."""
    found: dict[str | None, Capacity] = {}
    counted = select(Machine.role, Machine.state, func.count()).group_by(Machine.role, Machine.state)
    for role, state, number in session.execute(counted):
        found.setdefault(role, Capacity(role)).count(state, number)
    return sorted(found.values(), key=lambda each: (each.role is None, -each.total, each.role or ""))


def _machines(session: Session, which: ColumnElement[bool]) -> Sequence[Machine]:
    found = (
        select(Machine).where(which).options(selectinload(Machine.bmc)).order_by(Machine.updated_at.desc(), Machine.id)
    )
    return session.scalars(found.limit(SHOWN)).all()


def _count(session: Session, query: Any) -> int:
    return session.scalar(query) or 0


def _flights(session: Session, moment: dt.datetime) -> list[Flight]:
    """What has been on its way for longest stands first: it is the likeliest to need somebody."""
    found = (
        select(Machine, Deployment)
        .join(Deployment, Deployment.machine_id == Machine.id)
        .where(Deployment.outcome.is_(None))
        .order_by(Deployment.step_deadline, Deployment.id)
    )
    return [Flight(machine, row, moment) for machine, row in session.execute(found.limit(SHOWN))]


def _events(session: Session) -> list[tuple[Event, str]]:
    """The last lines of all timelines, each with its machine's name."""
    found = select(Event, Machine.name).join(Machine, Machine.id == Event.machine_id).order_by(Event.id.desc())
    return [(event, name) for event, name in session.execute(found.limit(EVENTS_SHOWN))]


def _by_urgency(item: tuple[str, int]) -> tuple[int, str]:
    name, _number = item
    return next((place for place, group in enumerate(GROUPS) if name in group), len(GROUPS)), name
