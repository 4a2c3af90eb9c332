"""One action on many machines, in one call: what it would touch, the order, and what is done to each of them.

    radius = bulk.radius(session, selection)                      # look first: how many, and in which states
    job = bulk.order(session, action="deploy", options={"reimage": True}, selection=selection,
                     expect=radius.total, actor=actor, now=now)   # a Job; the worker does the rest, see bulk_runner.py

API and pages call the same two functions. Nothing is done to any machine in the caller's transaction: each machine is
a row of the job, worked on in a transaction of its own in which its outcome is written down, so that a crash neither
repeats nor forgets one, and one that refuses does not stop the others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import insert
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.accounts.permissions import ADMIN, OPERATOR, allows
from pxeapp.accounts.service import Actor
from pxeapp.errors import Conflict, FieldProblem, Forbidden, Invalid, NotFound
from pxeapp.jobs.models import Job, JobItem
from pxeapp.machines import selectors
from pxeapp.machines.lifecycle import State
from pxeapp.machines.selectors import Filter
from pxeapp.machines.service import BRING_VERBS
from pxeapp.machines.wire import LABEL

Action = Literal["deploy", "release", "abort", "power", "label", "maintenance", "lock", "bring", "delete"]
# Who may order each, and what it may be told; a name with a star is needed.
ACTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "deploy": (OPERATOR, ("release", "role", "reimage")),
    "release": (OPERATOR, ()),
    "abort": (OPERATOR, ()),
    "power": (OPERATOR, ("*power",)),
    "label": (OPERATOR, ("set", "remove")),
    "maintenance": (OPERATOR, ("*on", "reason")),
    "lock": (OPERATOR, ("*on",)),
    "bring": (OPERATOR, ("*verb",)),
    "delete": (ADMIN, ()),
}
CHOICES = {"power": ("on", "off", "cycle"), "verb": BRING_VERBS}
MOST = 20_000  # machines of one job
AT_ONCE = 500
NAMED = 50  # names that are told in a refusal


@dataclass(frozen=True, slots=True)
class Selection:
    """Which machines: these (by name, MAC or number), or all that a filter finds. Never both, never neither.

    `everything` must be said for a filter that narrows nothing.
    """

    machines: Sequence[str] = ()
    narrowed: Filter | None = None
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """A machine that was found."""

    id: int
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Radius:
    """How far it would reach."""

    machines: tuple[Chosen, ...] = field(repr=False)

    @property
    def total(self) -> int:
        """How many machines."""
        return len(self.machines)

    @property
    def by_state(self) -> dict[str, int]:
        """How many of them are in each state."""
        found: dict[str, int] = {}
        for each in self.machines:
            found[each.state] = found.get(each.state, 0) + 1
        return dict(sorted(found.items()))

    @property
    def active(self) -> int:
        """How many serve somebody now."""
        return self.by_state.get(State.ACTIVE, 0)


def radius(session: Session, selection: Selection) -> Radius:
    """The machines that are meant, by name; raises Invalid with every key that means none, and for no selection."""
    if selection.narrowed is not None and selection.machines:
        raise _bad("machines", "are given beside a filter.", "Give either machines or a filter.")
    if selection.machines:
        found = _by_key(session, selection.machines)
    elif selection.narrowed is not None and (selection.narrowed != Filter() or selection.everything):
        found = [Chosen(*row) for row in selectors.brief(session, selection.narrowed, limit=MOST + 1)]
    else:
        fix = 'Give machines by name, a filter, or say "everything": true beside an empty filter.'
        raise _bad("machines", "are not chosen.", fix)
    if len(found) > MOST:
        raise _bad("machines", f"are more than {MOST}.", "Narrow the filter; order it in several jobs.")
    return Radius(tuple(found))


def order(
    session: Session,
    *,
    action: str,
    options: Mapping[str, Any],
    selection: Selection,
    expect: int | None,
    actor: Actor,
    now: dt.datetime,
) -> Job:
    """Write the job down; it is worked on once the caller's transaction is committed.

    `expect` is how many machines whoever orders believes to touch: needed for a filter, and for more than one machine
    that is erased or deleted. Raises Conflict when it is another number, Forbidden where the role is too low, Invalid
    for wrong options. After any of them nothing has changed.
    """
    settled = check(action, options, actor)
    found = radius(session, selection)
    _refuse_surprise(action, found, selection, expect)
    job = Job(action=action, options=settled, requested_by=actor.label, requested_at=now, total=found.total)
    session.add(job)
    session.flush()
    rows = [{"job_id": job.id, "machine_id": each.id, "machine": each.name} for each in found.machines]
    for start in range(0, len(rows), AT_ONCE):
        session.execute(insert(JobItem), rows[start : start + AT_ONCE])
    audit.record(
        session, at=now, actor=actor.label, action=f"machines.{action}", subject=f"job {job.id}",
        machines=found.total, by_state=found.by_state, options=settled,
    )  # fmt: skip
    return job


def check(action: str, options: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
    """The options as they are kept; raises Invalid with every problem, or Forbidden."""
    if action not in ACTIONS:
        raise _bad("action", f"{action[:40]!r} is not possible for many machines.", f"Use {', '.join(ACTIONS)}.")
    least, known = ACTIONS[action]
    if not allows(actor.role, least):
        raise Forbidden(f"To {action} machines needs the role {least}; {actor.label} is {actor.role}.")
    given = {name: value for name, value in options.items() if value is not None}
    names = [name.removeprefix("*") for name in known]
    problems = [
        FieldProblem(name, f"is not an option of {action}.", f"It has: {', '.join(names) or 'none'}.")
        for name in given
        if name not in names
    ]
    problems += [
        FieldProblem(name[1:], "is missing.", "Add it.")
        for name in known
        if name.startswith("*") and name[1:] not in given
    ]
    for name, choices in CHOICES.items():
        if name in names and name in given and given[name] not in choices:
            problems.append(
                FieldProblem(name, f"{str(given[name])[:40]!r} is not possible.", f"Use {', '.join(choices)}.")
            )
    if action == "label":
        problems += _label_problems(given)
    if problems:
        raise Invalid("This cannot be ordered; nothing was changed.", problems=problems)
    return given


def _label_problems(given: Mapping[str, Any]) -> list[FieldProblem]:
    if not given.get("set") and not given.get("remove"):
        return [FieldProblem("set", "names no label.", 'Write "set": {"rack": "r12"} or "remove": ["rack"].')]
    fix = "Use letters, digits and ._/- in its name and one line of at most 255 characters as its value."
    named = {**dict.fromkeys(given.get("remove", []), ""), **given.get("set", {})}
    return [
        FieldProblem("set", f"{key[:40]!r} is not a label.", fix)
        for key, value in named.items()
        if not LABEL.fullmatch(key) or not value.isprintable() or len(value) > 255
    ]


def _refuse_surprise(action: str, found: Radius, selection: Selection, expect: int | None) -> None:
    """The blast radius is checked here, in the transaction that orders, not in somebody's browser."""
    said = f"{found.total} machine{'' if found.total == 1 else 's'}, {found.active} of them active"
    erasing = action in ("deploy", "delete") and found.total > 1
    if expect is None and (selection.narrowed is not None or erasing):
        raise _bad("expect", f"is missing; this would touch {said}.", f'Say so: "expect": {found.total}.')
    if expect is not None and expect != found.total:
        raise Conflict(
            f"This would touch {said}, not {expect}; nothing was changed.",
            hint=f'Look at them, and if they are meant, say "expect": {found.total}.',
        )
    if not found.total:
        raise Conflict("No machine is meant; nothing was changed.", hint="Widen the filter.")


def _by_key(session: Session, keys: Sequence[str]) -> list[Chosen]:
    if len(keys) > MOST:
        raise _bad("machines", f"are more than {MOST}.", "Order it in several jobs.")
    found: dict[int, Chosen] = {}
    missing = []
    names = _by_name(session, keys)
    for key in keys:
        try:
            each = names.get(key) or _one(session, key)
            found[each.id] = each
        except NotFound as error:
            missing.append(FieldProblem("machines", error.sentence, error.hint))
            if len(missing) == NAMED:
                break
    if missing:
        raise Invalid("Not all of these machines exist; nothing was changed.", problems=missing)
    return sorted(found.values(), key=lambda each: each.name)


def _one(session: Session, key: str) -> Chosen:
    row = selectors.get(session, key)
    return Chosen(row.id, row.name, row.state)


def _by_name(session: Session, keys: Sequence[str]) -> dict[str, Chosen]:
    """Most are said by name; those are found together."""
    found = {}
    for start in range(0, len(keys), AT_ONCE):
        for each in selectors.named(session, keys[start : start + AT_ONCE]):
            found[each[1]] = Chosen(*each)
    return found


def _bad(name: str, problem: str, fix: str) -> Invalid:
    return Invalid("This cannot be ordered; nothing was changed.", problems=[FieldProblem(name, problem, fix)])
