"""The list of machines, with what needs somebody's attention first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pxeapp.api.context import context
from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.machines.lifecycle import FAILED, TRANSITIONAL, State
from pxeapp.machines.models import Machine, Sighting
from pxeapp.machines.selectors import Filter
from pxeapp.provisioning import steps
from pxeapp.provisioning.explain import EXPECTED
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from pxeapp.ui.blueprint import ago, bp, span

PAGE = 100
ATTENTION_SHOWN = 6
STRANGERS_SHOWN = 8
LATE = dt.timedelta(minutes=1)  # the reconciler ends what is overdue within a minute; later than that, it does not run
# The order in which states are looked at: what failed, what moves, what waits, what works.
GROUPS: tuple[frozenset[str], ...] = (FAILED, TRANSITIONAL, frozenset({State.ENROLLED, State.MANAGEABLE}))


@dataclass(frozen=True, slots=True)
class Row:
    """A machine and what is happening to it."""

    machine: Machine
    deployment: Deployment | None
    now: dt.datetime

    @property
    def running(self) -> Deployment | None:
        """The deployment that is under way."""
        return self.deployment if self.deployment is not None and self.deployment.outcome is None else None

    @property
    def done(self) -> int:
        """How many of the steps are behind it, in percent."""
        if self.running is None:
            return 0
        return round(100 * steps.rank(self.running.step) / steps.rank(Step.VERIFIED))

    @property
    def elapsed(self) -> dt.timedelta | None:
        """How long its deployment has been running."""
        return self.now - self.running.requested_at if self.running is not None else None

    @property
    def word(self) -> str:
        """The last thing that was seen of it, or what it waits for."""
        if self.machine.fault:
            return self.machine.fault
        if self.running is not None:
            if self.running.progress and self.running.step == Step.INSTALLING:
                return self.running.progress
            return f"Next: {EXPECTED[Step(self.running.step)]}"
        if self.machine.maintenance:
            return self.machine.maintenance_reason or "In maintenance."
        if self.machine.state == State.ACTIVE and self.deployment is not None and self.deployment.finished_at:
            took = span(self.deployment.finished_at - self.deployment.requested_at)
            return f"Came up {ago(self.deployment.finished_at)}, after {took}."
        return ""


@bp.get("/machines")
def machines() -> ResponseReturnValue:
    """All machines."""
    return render_template("machines.html", **_view())


@bp.get("/machines-table")
def machines_table() -> ResponseReturnValue:
    """The part of the list that changes."""
    return render_template("_machines.html", **_view())


def _view() -> dict[str, Any]:
    search, state, after = (request.args.get(name, "")[:100] for name in ("search", "state", "after"))
    moment = now()
    with context().database.read() as session:
        narrowed = Filter(search=search, state=state)
        machines, following = selectors.page(session, narrowed, after=after, limit=PAGE, whole=False)
        counts = selectors.counts(session)
        whole = not (search or state or after)
        return {
            "rows": _rows(session, machines, moment),
            "next": following,
            "states": sorted(counts.items(), key=_by_urgency),
            "total": sum(counts.values()),
            "failed": sum(number for name, number in counts.items() if name in FAILED),
            "attention": _attention(session, moment) if whole else [],
            "overdue": _overdue(session, moment),
            "strangers": _strangers(session) if whole else [],
            "search": search,
            "state": state,
            "after": after,
        }


def _rows(session: Session, machines: Sequence[Machine], moment: dt.datetime) -> list[Row]:
    """Each machine with its last deployment; two queries, however many there are."""
    wanted = (
        select(func.max(Deployment.id))
        .where(Deployment.machine_id.in_([row.id for row in machines]))
        .group_by(Deployment.machine_id)
    )
    found = session.scalars(select(Deployment).where(Deployment.id.in_(wanted)))
    latest = {row.machine_id: row for row in found}
    return [Row(row, latest.get(row.id), moment) for row in machines]


def _attention(session: Session, moment: dt.datetime) -> list[Row]:
    """What failed last; one more than is shown says that there is more."""
    failed = select(Machine).where(Machine.state.in_(FAILED)).order_by(Machine.updated_at.desc(), Machine.id)
    return _rows(session, session.scalars(failed.limit(ATTENTION_SHOWN)).all(), moment)


def _overdue(session: Session, moment: dt.datetime) -> int:
    late = select(func.count()).where(Deployment.outcome.is_(None), Deployment.step_deadline < moment - LATE)
    return session.scalar(late) or 0


def _strangers(session: Session) -> Sequence[Sighting]:
    """Machines seen on the wire that nobody registered: what was just racked stands here first."""
    found = select(Sighting).where(Sighting.machine_id.is_(None)).order_by(Sighting.last_seen.desc())
    return session.scalars(found.limit(STRANGERS_SHOWN)).all()


def _by_urgency(item: tuple[str, int]) -> tuple[int, str]:
    name, _number = item
    return next((place for place, group in enumerate(GROUPS) if name in group), len(GROUPS)), name
