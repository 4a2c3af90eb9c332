"""What installers and freshly installed systems tell us, applied at most once and never out of order.

A table says what each event means. A repeated, late or disordered event is answered like the first
one (the installer only wants to know that it may stop asking) and changes nothing.

Forty racks report at once: the attempt is read without a lock, what follows is decided from what was read, and it is
committed, together with everybody else's, only if the attempt still stands where it was seen.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import Text, bindparam, cast, select
from sqlalchemy.orm import Session

from pxeapp.commits import Change, GroupCommit, Overtaken
from pxeapp.db import Database
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines.models import Machine
from pxeapp.nodes import pins
from pxeapp.prepared import Prepared, reading
from pxeapp.provisioning import changes, lifecycle, steps, tokens
from pxeapp.provisioning.models import Deployment, NodeToken
from pxeapp.provisioning.steps import Step

MESSAGE_LIMIT = 4000  # characters kept of what a machine says; a log's tail, not a log
TRIES = 20  # a machine that reports from twenty places at once is answered "try again"


@dataclass(frozen=True, slots=True)
class Report:
    """One callback, as it came in and was checked."""

    event: str
    message: str
    address: str
    host_keys: tuple[str, ...] = ()  # by which its ssh is known from now on, in their one spelling


class Standing(NamedTuple):
    """The attempt that a token belongs to, as far as reports depend on it. `steps` is the JSON's text."""

    id: int
    machine_id: int
    step: str
    outcome: str | None
    deadline: dt.datetime
    due_at: dt.datetime
    steps: str
    progress: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What a report means for the attempt. The default: nothing, it is known already."""

    forward: dict[str, Any] | None = None  # the step that it proves, as it is kept in the list of steps
    patient: bool = False  # the installer's patience begins anew
    words: str | None = None  # its last words, if they are new; none any more where it begins with something else
    disarms: bool = False
    host_keys: tuple[str, ...] = ()  # that take the place of those that were known
    noted: str = ""  # kind of the line in the timeline that says so, where no step does
    fails: str = ""  # the reason for which the attempt ends
    code: str = "installer_failed"  # and how that is called
    applied: bool = True


class Received(NamedTuple):
    """What became of a report; `look`: its deployment is to be looked at by a worker now."""

    applied: bool
    deployment_id: int
    look: bool


NOTHING = Effect(applied=False)

_STANDING = Prepared(
    select(
        NodeToken.token_hash, NodeToken.scope, NodeToken.expires_at,
        Deployment.id, Deployment.machine_id, Deployment.step, Deployment.outcome, Deployment.deadline,
        Deployment.due_at, cast(Deployment.steps, Text), Deployment.progress,
    )
    .join(Deployment, Deployment.id == NodeToken.deployment_id)
    .where(NodeToken.token_hash == bindparam("wanted"))
)  # fmt: skip


def standing(database: Database, token: str, *, now: dt.datetime) -> Standing:
    """The attempt that may report with this token; raises UnknownToken. Done before a body is read."""
    wanted = tokens.hashed(token)
    with reading(database) as run:
        row = run.first(_STANDING, wanted=wanted)
    if row is None:
        raise tokens.UnknownToken
    found, scope, expires_at, *rest = row
    tokens.refuse_unless(found, scope, expires_at, wanted=wanted, scope=tokens.CALLBACK, now=now)
    return Standing(*rest)


def receive(
    database: Database,
    commits: GroupCommit,
    token: str,
    report: Report,
    *,
    now: dt.datetime,
    seen: Standing | None = None,
) -> Received:
    """Take a report by its token, committed when this returns; raises UnknownToken, or Invalid for an unknown event."""
    for _ in range(TRIES):
        found = seen or standing(database, token, now=now)
        effect = decide(found, report, now=now)
        try:
            return _commit(commits, found, report, effect, now)
        except Overtaken:
            seen = None
    raise Overtaken("Other reports of this machine were quicker.", hint="Send it again.")


def decide(found: Standing, report: Report, *, now: dt.datetime) -> Effect:
    """Pure: what a report means for an attempt that stands like this."""
    effect = EFFECTS.get(report.event)
    if effect is None:
        fix = f"Use one of {', '.join(EFFECTS)}."
        raise Invalid(
            f"{report.event[:40]!r} is not an event.", problems=[FieldProblem("event", "is not known.", fix)], hint=fix
        )
    return NOTHING if found.outcome is not None else effect(found, report, now)


def _started(found: Standing, report: Report, now: dt.datetime) -> Effect:
    return _forward(found, Step.INSTALLING, report.message or "The installer started.", report, now)


def _progress(found: Standing, report: Report, now: dt.datetime) -> Effect:
    if steps.rank(found.step) >= steps.rank(Step.INSTALLED):
        return NOTHING
    words = report.message if report.message not in ("", found.progress) else None
    noted = "progress" if words else ""
    if steps.rank(found.step) < steps.rank(Step.INSTALLING):
        begun = _forward(found, Step.INSTALLING, "The installer started.", report, now)
        return Effect(forward=begun.forward, words=words, noted=noted)
    # Each word from the installer starts its patience anew; a silent one runs out of it.
    return Effect(patient=True, words=words, noted=noted)


def _installed(found: Standing, report: Report, now: dt.datetime) -> Effect:
    done = _forward(found, Step.INSTALLED, report.message or "The installer finished.", report, now, disarms=True)
    return replace(done, words="") if done.applied and found.progress else done


def _failed(found: Standing, report: Report, _now: dt.datetime) -> Effect:
    if steps.rank(found.step) >= steps.rank(Step.INSTALLED):
        return Effect(noted="failed", applied=False)
    return Effect(fails=f"The installer reported a failure: {report.message or 'it gave no reason.'}")


def _first_boot(found: Standing, report: Report, now: dt.datetime) -> Effect:
    # The "installed" report may have been lost for ever; a system that runs from its disk needs no installer.
    said = report.message or "It called in from its own disk."
    done = _forward(found, Step.FIRST_BOOT, said, report, now, disarms=True)
    # Only with the step itself, which is reached once: a token that leaked later replaces no keys.
    return replace(done, host_keys=report.host_keys) if done.applied else done


def _setting_up(found: Standing, report: Report, now: dt.datetime) -> Effect:
    """The role's checklist in the installed system: as the installer's progress, one step later."""
    if steps.rank(found.step) >= steps.rank(Step.FIRST_BOOT):
        return NOTHING
    words = report.message if report.message != found.progress else None
    noted = "setting_up" if words else ""
    if steps.rank(found.step) < steps.rank(Step.INSTALLED):
        begun = _forward(found, Step.INSTALLED, "It runs from its own disk.", report, now, disarms=True)
        return Effect(forward=begun.forward, words=words, disarms=True, noted=noted)
    return Effect(patient=True, words=words, noted=noted)


def _setup_failed(found: Standing, report: Report, _now: dt.datetime) -> Effect:
    if steps.rank(found.step) >= steps.rank(Step.FIRST_BOOT):
        return Effect(noted="setup_failed", applied=False)
    said = report.message or "it gave no reason."
    return Effect(fails=f"It is installed, but its role could not be set up: {said}", code="setup_failed")


EFFECTS: dict[str, Callable[[Standing, Report, dt.datetime], Effect]] = {
    "started": _started,
    "progress": _progress,
    "installed": _installed,
    "failed": _failed,
    "setting_up": _setting_up,
    "setup_failed": _setup_failed,
    "first_boot": _first_boot,
}


def _forward(
    found: Standing, step: Step, message: str, report: Report, now: dt.datetime, *, disarms: bool = False
) -> Effect:
    if steps.rank(step) <= steps.rank(found.step):
        return NOTHING
    entry = steps.entry(step, now=now, source="callback", message=message, evidence={"address": report.address})
    return Effect(forward=entry, disarms=disarms)


def _commit(commits: GroupCommit, found: Standing, report: Report, effect: Effect, now: dt.datetime) -> Received:
    if effect.fails:
        commits.write(lambda session: _fail(session, found, effect, now))
    elif made := _changes(found, report, effect, now):
        commits.change(*made)
    look = effect.applied and not effect.fails and (effect.forward is not None or found.due_at <= now)
    return Received(effect.applied, found.id, look)


def _changes(found: Standing, report: Report, effect: Effect, now: dt.datetime) -> list[Change]:
    made: list[Change] = []
    if effect.forward is not None:
        made += changes.reached(found, effect.forward, now=now)
    if effect.patient:
        made.append(changes.heard(found, now=now))
    if effect.words is not None:
        made.append(changes.said(found, effect.words))
    if effect.disarms:
        made += changes.disarmed(found)
    if effect.host_keys:
        made.append(pins.reported(found.machine_id, list(effect.host_keys), report.address, now=now))
    if effect.noted:
        about = {"address": report.address}
        made.append(
            changes.noted(found, now=now, source="callback", kind=effect.noted, message=report.message, evidence=about)
        )
    return made


def _fail(session: Session, found: Standing, effect: Effect, now: dt.datetime) -> None:
    deployment = steps.locked(session, found.id)
    if deployment is None or deployment.outcome is not None or deployment.step != found.step:
        raise Overtaken("Another report was quicker.", hint="Send it again.")
    machine = session.get_one(Machine, deployment.machine_id)
    lifecycle.fail(session, machine, deployment, code=effect.code, reason=effect.fails, now=now)
