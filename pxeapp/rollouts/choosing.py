"""Which machines a rollout means, and which of them cannot be rolled over: every reason, by field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.accounts import scope
from pxeapp.db import one_at_a_time
from pxeapp.errors import FieldProblem, Invalid, NotFound
from pxeapp.machines import selectors
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.machines.selectors import Filter
from pxeapp.rollouts.models import Rollout, RolloutMember
from pxeapp.rollouts.plan import NAMED, natural
from pxeapp.rollouts.spec import Machines
from pxeapp.sentences import few

MOST = 20_000  # machines of one rollout
AT_ONCE = 1000
OPEN = ("running", "paused", "aborting")  # a rollout that has machines in its hands, or may take them
SAID = 20  # names in one sentence


def chosen(session: Session, said: Machines) -> tuple[list[int], list[FieldProblem]]:
    """Their numbers, those that are named in the order in which they are; and what is wrong with what was said."""
    problems: list[FieldProblem] = []
    named = _named(session, said.names, problems)
    narrowed = said.filter()
    if narrowed == Filter():
        return named, problems
    try:
        found = selectors.brief(session, narrowed, limit=MOST + 1)
    except Invalid as error:
        wrong = error.problems or (FieldProblem("q", error.sentence, error.hint),)
        return named, [*problems, *(FieldProblem(f"machines.{each.field}", each.problem, each.fix) for each in wrong)]
    if len(found) > MOST:
        problems.append(FieldProblem("machines", f"They are more than {MOST}.", "Narrow them; use several rollouts."))
        found = found[:MOST]
    if said.names:
        numbers = {number for number, _, _ in found}
        return [number for number in named if number in numbers], problems
    return [number for number, _, _ in sorted(found, key=lambda row: natural(row[1]))], problems


def _named(session: Session, names: Sequence[str], problems: list[FieldProblem]) -> list[int]:
    """Most are said by name; those are found together. All that exist nowhere are told."""
    by_name: dict[str, int] = {}
    for start in range(0, len(names), AT_ONCE):
        some = selectors.named(session, names[start : start + AT_ONCE])
        by_name.update({name: number for number, name, _ in some})
    found: dict[int, None] = {}
    for name in names:
        try:
            found[by_name[name] if name in by_name else selectors.get(session, name).id] = None
        except NotFound as error:
            problems.append(FieldProblem("machines.names", error.sentence, "Take it out, or write it as it is."))
            if len(problems) > NAMED:  # each costs queries
                break
    return list(found)


def unfit(session: Session, numbers: Sequence[int]) -> tuple[set[int], list[FieldProblem]]:
    """Those that are not in service, or that nobody may touch, and one problem for each reason."""
    reasons: dict[str, list[str]] = {}
    found = set()
    columns = (Machine.name, Machine.state, Machine.locked, Machine.maintenance, Machine.maintenance_reason)
    for number, name, state, locked, maintenance, reason in _rows(session, numbers, Machine.id, *columns):
        if state == State.ACTIVE and not maintenance and not locked:
            continue
        found.add(number)
        if state != State.ACTIVE:
            reasons.setdefault("state", []).append(f"{name} ({state})")
        elif maintenance:
            reasons.setdefault("maintenance", []).append(f"{name} ({reason})" if reason else name)
        if locked:
            reasons.setdefault("locked", []).append(name)
    return found, [
        FieldProblem("machines", f"{why}: {_listed(reasons[key])}.", fix)
        for key, (why, fix) in UNFIT.items()
        if key in reasons
    ]


UNFIT = {
    "state": ("Only active machines can be rolled over, and these are not", "Leave them out: add state=active to q."),
    "maintenance": ("These are in maintenance", "End it, or leave them out: add maintenance=no to q."),
    "locked": ("These are locked, on purpose", "Unlock them, or leave them out: add locked=no to q."),
}


def shared(session: Session, numbers: Sequence[int], *, besides: int | None = None) -> list[FieldProblem]:
    """Other rollouts that have any of these machines: two would each take the other's machine out of service.

    `besides`: the one that is about to start; until the transaction ends no other one starts.
    """
    if besides is not None:
        one_at_a_time(session, "rollouts")
    taken: dict[tuple[int, str, str], list[str]] = {}
    with scope.lifted():  # whoever else has them, it may be somebody whose rollouts are not seen here
        for start in range(0, len(numbers), AT_ONCE):
            rows = session.execute(
                select(Rollout.id, Rollout.name, Rollout.state, RolloutMember.machine)
                .join(RolloutMember, RolloutMember.rollout_id == Rollout.id)
                .where(Rollout.state.in_(OPEN), RolloutMember.machine_id.in_(numbers[start : start + AT_ONCE]))
            )
            for number, name, state, machine in rows:
                if number != besides:
                    taken.setdefault((number, name, state), []).append(machine)
    return [
        FieldProblem(
            "machines",
            f"Rollout {number} ({name}) is {state} and has {_listed(machines)}.",
            "Let it end, abort it, or leave these machines out.",
        )
        for (number, name, state), machines in sorted(taken.items())
    ]


def about(session: Session, numbers: Sequence[int]) -> Mapping[int, Any]:
    """Name, role, release and cluster of each: what a rollout keeps of them."""
    rows = _rows(session, numbers, Machine.id, Machine.name, Machine.role, Machine.release, Machine.cluster)
    return {row.id: row for row in rows}


def _rows(session: Session, numbers: Sequence[int], *columns: Any) -> Iterable[Any]:
    for start in range(0, len(numbers), AT_ONCE):
        some = numbers[start : start + AT_ONCE]
        yield from session.execute(select(*columns).where(Machine.id.in_(some)).order_by(Machine.name))


def _listed(names: Sequence[str]) -> str:
    return few(sorted(names, key=natural), SAID)
