"""Rollouts as the API shows them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from pxeapp.rollouts.invariants import Group
from pxeapp.rollouts.models import Rollout, RolloutEvent, RolloutMember, RolloutStep
from pxeapp.rollouts.plan import Plan, Wave
from pxeapp.rollouts.service import Preview


def rollout(row: Rollout, counts: Mapping[str, int], *, plan: bool = False) -> dict[str, Any]:
    """One rollout; with its text and plan where these are asked for, which may be long."""
    found = {
        "id": row.id,
        "name": row.name,
        "state": row.state,
        "says": row.says,
        "reason": row.reason,
        "reason_code": row.reason_code,
        "wave": row.wave,
        "soak_until": _moment(row.soak_until),
        "passed": [each for each in row.passed if "wave" in each],  # pause points that somebody has said yes to
        "total": sum(counts.values()),
        "counts": dict(counts),
        "created_by": row.created_by,
        "created_at": _moment(row.created_at),
        "started_at": _moment(row.started_at),
        "deadline": _moment(row.deadline),
        "finished_at": _moment(row.finished_at),
        "version": row.version,
    }
    return {**found, "spec": row.spec, "plan": _plan(Plan.from_dict(row.plan))} if plan else found


def member(row: RolloutMember) -> dict[str, Any]:
    """One machine of a rollout."""
    return {
        "id": row.id,
        "machine": row.machine,
        "machine_id": row.machine_id,
        "role": row.role,
        "release": row.release,
        "cluster": row.cluster,
        "wave": row.wave,
        "position": row.position,
        "state": row.state,
        "step": row.step,
        "says": row.says,
        "reason": row.reason,
        "reason_code": row.reason_code,
        "hint": row.hint,
        "asked": row.asked,
        "started_at": _moment(row.started_at),
        "step_deadline": _moment(row.step_deadline),
        "finished_at": _moment(row.finished_at),
    }


def step(row: RolloutStep) -> dict[str, Any]:
    """One try of a step; its log is asked for by itself."""
    return {
        "id": row.id,
        "step": row.step,
        "tries": row.tries,
        "started_at": _moment(row.started_at),
        "finished_at": _moment(row.finished_at),
        "outcome": row.outcome,
        "code": row.code,
        "says": row.says,
        "evidence": row.evidence,
    }


def event(row: RolloutEvent) -> dict[str, Any]:
    """One line of a rollout's course."""
    return {
        "id": row.id, "at": _moment(row.at), "kind": row.kind, "message": row.message, "member_id": row.member_id,
        "evidence": row.evidence,
    }  # fmt: skip


def preview(found: Preview) -> dict[str, Any]:
    """What a rollout would do."""
    names = {number: each.name for number, each in found.machines.items()}
    return {
        "total": len(found.machines),
        "plan": _plan(found.plan, names),
        "forecast": found.forecast.to_dict(),
        "findings": list(found.findings),
    }


def _plan(plan: Plan, names: Mapping[int, str] | None = None) -> dict[str, Any]:
    return {
        "waves": [_wave(each, names) for each in plan.waves],
        "max_unavailable": plan.max_unavailable,
        "max_failures": plan.max_failures,
        "max_failures_per_wave": plan.max_failures_per_wave,
        "groups": [_group(each) for each in plan.groups],
        "notes": list(plan.notes),
    }


def _wave(wave: Wave, names: Mapping[int, str] | None) -> dict[str, Any]:
    """Which machines it has is told by name before there is a rollout, and by its members afterwards."""
    found = {
        "number": wave.number, "title": wave.title, "total": len(wave.machines), "max_failures": wave.max_failures,
        "pause": wave.pause,
    }  # fmt: skip
    return {**found, "names": [names[each] for each in wave.machines]} if names is not None else found


def _group(group: Group) -> dict[str, Any]:
    return {
        "invariant": group.rule, "name": group.name, "allowed": group.allowed, "total": group.total,
        "machines": len(group.domain_of), "says": group.says,
    }  # fmt: skip


def _moment(at: dt.datetime | None) -> str | None:
    return at.isoformat() if at else None
