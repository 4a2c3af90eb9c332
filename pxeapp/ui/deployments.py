"""Deployments: what is in flight and how far, and how the others ended; one is aborted or tried again from here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from pxeapp.accounts.permissions import OPERATOR, allows
from pxeapp.answers.models import Role
from pxeapp.api.context import actor, context
from pxeapp.api.paging import row_number
from pxeapp.db import now
from pxeapp.errors import NotFound
from pxeapp.machines import selectors
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.provisioning import explain, lifecycle, steps
from pxeapp.provisioning.lifecycle import ABORTED, FAILED, SUCCEEDED
from pxeapp.provisioning.models import Deployment
from pxeapp.software.models import Release
from pxeapp.ui.blueprint import bp
from pxeapp.ui.language import said

PAGE = 100
RUNNING, FINISHED = "running", "finished"
OUTCOMES = (RUNNING, FINISHED, SUCCEEDED, FAILED, ABORTED)
FIELDS = ("outcome", "release", "role", "machine")


@dataclass(frozen=True, slots=True)
class Line:
    """One attempt, its machine, and whether it is the machine's last."""

    deployment: Deployment
    machine: Machine
    last: bool
    moment: dt.datetime

    @property
    def running(self) -> bool:
        """Whether it is in flight."""
        return self.deployment.outcome is None

    @property
    def done(self) -> int:
        """How many of the steps are behind it, in percent."""
        return steps.percent(self.deployment.step)

    @property
    def took(self) -> dt.timedelta:
        """How long it ran, or has been running."""
        return (self.deployment.finished_at or self.moment) - self.deployment.requested_at

    @property
    def word(self) -> str:
        """What it said last or waits for, or how it ended."""
        return said(explain.word(self.deployment) if self.running else self.deployment.reason)

    @property
    def again(self) -> bool:
        """Whether it can be tried again: it did not succeed, and nothing was begun since."""
        return self.last and self.machine.state == State.DEPLOY_FAILED


@bp.get("/deployments")
def deployments() -> ResponseReturnValue:
    """All of them, the newest first."""
    with context().database.read() as session:
        around = {
            "releases": session.scalars(select(Release.name).order_by(Release.name)).all(),
            "roles": session.scalars(select(Role.name).order_by(Role.name)).all(),
        }
    return render_template("deployments.html", **_view(), **around)


@bp.get("/deployments/part")
def deployments_part() -> ResponseReturnValue:
    """The part of the page that changes."""
    return render_template("_deployments.html", **_view())


@bp.post("/deployments/<int:number>/abort")
def abort_deployment(number: int) -> ResponseReturnValue:
    """End one at whatever step it is."""
    with context().database.write() as session:
        _deployment, machine = _get(session, number)
        lifecycle.abort(session, machine, requested_by=actor().label, now=now())
    return _back()


@bp.post("/deployments/<int:number>/retry")
def retry_deployment(number: int) -> ResponseReturnValue:
    """The same release and role again, as a new attempt."""
    own = context()
    with own.database.read() as session:
        deployment, machine = _get(session, number)
        key, release, role = machine.name, deployment.release, deployment.role
    rehearsal = own.checker.rehearse(own.database, key, release=release, role=role)
    with own.database.write() as session:
        machine = selectors.get(session, key, lock=True)
        made = lifecycle.deploy(
            session, machine, release=release, role=role, rehearsal=rehearsal, requested_by=actor().label, now=now()
        )
        begun = made.id
    own.queue.hint(begun)
    return _back()


def _get(session: Session, number: int) -> tuple[Deployment, Machine]:
    """An attempt and its machine, which is locked; raises NotFound."""
    deployment = session.get(Deployment, number)
    if deployment is None:
        raise NotFound(f"There is no deployment {number}.")
    machine = session.scalar(select(Machine).where(Machine.id == deployment.machine_id).with_for_update(of=Machine))
    if machine is None:  # of a project that is not theirs
        raise NotFound(f"There is no deployment {number}.")
    return deployment, machine


def _view() -> dict[str, Any]:
    values = {name: request.args.get(name, "").replace("\0", "")[:63] for name in FIELDS}
    before = row_number(request.args.get("before", ""))
    with context().database.read() as session:
        both = select(Deployment, Machine).join(Machine, Machine.id == Deployment.machine_id)
        found = both.where(*_conditions(values))
        if before:
            found = found.where(Deployment.id < before)
        rows = session.execute(found.order_by(Deployment.id.desc()).limit(PAGE + 1)).all()
        shown = [(deployment, machine) for deployment, machine in rows[:PAGE]]
        lasts = _lasts(session, [machine.id for _deployment, machine in shown])
        moment = now()
        counts = select(Deployment.outcome, func.count()).join(Machine, Machine.id == Deployment.machine_id)
        ended = session.execute(counts.group_by(Deployment.outcome))
        by_outcome = {outcome or RUNNING: number for outcome, number in ended}
    address = {name: value for name, value in values.items() if value}
    return {
        **values,
        "before": before,
        "lines": [Line(each, machine, each.id in lasts, moment) for each, machine in shown],
        "next": rows[PAGE - 1][0].id if len(rows) > PAGE else None,
        "counts": [(name, by_outcome.get(name, 0)) for name in OUTCOMES if name != FINISHED],
        "address": address,
        "may": allows(actor().role, OPERATOR),
    }


def _conditions(values: dict[str, str]) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    outcome = values["outcome"]
    if outcome in (RUNNING, FINISHED):
        found.append(Deployment.outcome.is_(None) if outcome == RUNNING else Deployment.outcome.is_not(None))
    elif outcome in OUTCOMES:
        found.append(Deployment.outcome == outcome)
    found += [getattr(Deployment, name) == values[name] for name in ("release", "role") if values[name]]
    if values["machine"]:
        found.append(Machine.name.contains(values["machine"], autoescape=True))
    return found


def _lasts(session: Session, machines: Sequence[int]) -> set[int]:
    """The last attempt of each of these machines."""
    found = select(func.max(Deployment.id)).where(Deployment.machine_id.in_(machines)).group_by(Deployment.machine_id)
    return set(session.scalars(found))


def _back() -> ResponseReturnValue:
    """To the list that the button stood on."""
    kept: dict[str, Any] = {name: value for name in FIELDS if (value := request.form.get(name, ""))}
    return redirect(url_for("ui.deployments", **kept), 303)
