"""Rollouts: what runs and what waits for a person, one of them live, and one machine of it with every step."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import yaml
from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session, undefer

from pxeapp.accounts.permissions import OPERATOR, allows, verdict
from pxeapp.api.context import actor, context
from pxeapp.api.paging import row_number
from pxeapp.db import now
from pxeapp.provisioning import breaker
from pxeapp.rollouts import course, looking, service
from pxeapp.rollouts.models import Rollout, RolloutStep
from pxeapp.rollouts.plan import Plan
from pxeapp.rollouts.spec import Spec
from pxeapp.ui import rollout_view as view
from pxeapp.ui.blueprint import bp
from pxeapp.ui.rollout_view import Line, MemberLine

PAGE = 50
MEMBERS = 100  # machines of a wave on one page
IN_HAND = 12
EVENTS = 60


@bp.get("/rollouts")
def rollouts() -> ResponseReturnValue:
    """All of them, the newest first."""
    return render_template("rollouts.html", **_list())


@bp.get("/rollouts/part")
def rollouts_part() -> ResponseReturnValue:
    """The part of the page that changes."""
    return render_template("_rollouts.html", **_list())


@bp.get("/rollouts/<int:number>")
def rollout_page(number: int) -> ResponseReturnValue:
    """One of them."""
    return page(number)


@bp.get("/rollouts/<int:number>/part")
def rollout_part(number: int) -> ResponseReturnValue:
    """The part of the page that changes: nearly all of it."""
    with context().database.read() as session:
        return render_template("_rollout.html", **_view(session, number))


@bp.get("/rollouts/<int:number>/machines/<key>")
def rollout_member(number: int, key: str) -> ResponseReturnValue:
    """One machine of it, step by step."""
    with context().database.read() as session:
        return render_template("rollout_member.html", **_member(session, number, key))


@bp.get("/rollouts/<int:number>/machines/<key>/part")
def rollout_member_part(number: int, key: str) -> ResponseReturnValue:
    """The part of the page that changes."""
    with context().database.read() as session:
        return render_template("_rollout_member.html", **_member(session, number, key))


def page(number: int, *, problem: str = "") -> str:
    """The whole page; after something that was refused, with the reason."""
    with context().database.read() as session:
        seen = _view(session, number)
        text = yaml.safe_dump(seen["rollout"].spec, allow_unicode=True, sort_keys=False, width=100)
        return render_template("rollout.html", problem=problem, text=text, **seen)


def lines(session: Session, rows: Sequence[Rollout]) -> list[Line]:
    """Rollouts as lists show them."""
    by = looking.by_wave(session, rows)
    return [
        Line(row, Spec.model_validate(row.spec).action.kind, view.waves(row, Plan.from_dict(row.plan), by[row.id]))
        for row in rows
    ]


def _list() -> dict[str, Any]:
    state = request.args.get("state", "")
    state = state if state in looking.STATES else ""
    before = row_number(request.args.get("before", ""))
    with context().database.read() as session:
        found = select(Rollout).order_by(Rollout.id.desc()).limit(PAGE + 1)
        if state:
            found = found.where(Rollout.state == state)
        if before:
            found = found.where(Rollout.id < before)
        rows = session.scalars(found).all()
        counted = select(Rollout.state, func.count()).group_by(Rollout.state)
        number = {row[0]: row[1] for row in session.execute(counted)}
        return {
            "state": state,
            "before": before,
            "lines": lines(session, rows[:PAGE]),
            "next": rows[PAGE - 1].id if len(rows) > PAGE else None,
            "counts": [(each, number[each]) for each in looking.STATES if number.get(each)],
            "may": _may(),
            "stopped": breaker.holds(session),
            "may_reset": not verdict(actor(), "ui.reset_breaker", "POST"),
        }


def _view(session: Session, number: int) -> dict[str, Any]:
    moment = now()
    row = service.get(session, number)
    plan, spec = Plan.from_dict(row.plan), Spec.model_validate(row.spec)
    by = looking.by_wave(session, [row])[row.id]
    waves = view.waves(row, plan, by)
    counts = looking.counts(by)
    said = request.args.get("wave", "")
    wanted = row_number(said) if said else row.wave
    shown = next((each for each in waves if each.number == wanted), waves[0])
    start = row_number(request.args.get("after", ""))
    members = service.members(session, row, start, MEMBERS + 1, wave=shown.number)
    hands = looking.in_hand(session, row, limit=IN_HAND)
    steps = course.steps_of(spec)
    return {
        "rollout": row,
        "spec": spec,
        "waves": waves,
        "shown": shown,
        "wave_said": said or None,
        "after": start,
        "moment": moment,
        "counts": counts,
        "total": len(plan.machines),
        "settled": sum(each.settled for each in waves),
        "word": view.word(row),
        "needs_person": view.needs_person(row, by),
        "forecast": _forecast(session, row, moment),
        "limits": looking.budget(session, plan),
        "whom": view.whom,
        "hands": _lines_of(session, row, hands, steps),
        "hands_total": counts["running"] + counts["failed"],
        "steps": steps,
        "members": _lines_of(session, row, members[:MEMBERS], steps),
        "next": members[MEMBERS - 1].id if len(members) > MEMBERS else None,
        "events": looking.latest(session, row, limit=EVENTS),
        "controls": view.controls(row),
        "wave_verbs": view.wave_verbs(row, shown),
        "may": _may(),
    }


def _forecast(session: Session, row: Rollout, moment: dt.datetime) -> dict[str, Any] | None:
    """What is left, while anything is."""
    if row.state in view.OVER:
        return None
    found = service.forecast(session, row, now=moment)
    return {"ends": found.ends_at if row.started_at else None, "says": found.says}


def _lines_of(session: Session, row: Rollout, members: Any, steps: Sequence[str]) -> list[MemberLine]:
    running = looking.under_way(session, members)
    return [
        MemberLine(each, steps, row.state, running[each.id].started_at if each.id in running else None)
        for each in members
    ]


def _member(session: Session, number: int, key: str) -> dict[str, Any]:
    row = service.get(session, number)
    member = service.member(session, row, key)
    tries = session.scalars(
        select(RolloutStep)
        .where(RolloutStep.member_id == member.id)
        .options(undefer(RolloutStep.log))
        .order_by(RolloutStep.id)
    ).all()
    steps = course.steps_of(Spec.model_validate(row.spec))
    return {
        "rollout": row,
        "member": member,
        "line": _lines_of(session, row, [member], steps)[0],
        "course": view.course_of(steps, tries),
        "moment": now(),
        "may": _may(),
    }


def _may() -> bool:
    return allows(actor().role, OPERATOR)
