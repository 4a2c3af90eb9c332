"""What a rollout will do, before it does it: its waves, its limits in numbers, and why it must not be done at all.

    plan, problems = draft(spec, chosen, everyone)
    problems += too_short(spec, now=now, typical=typical)      # how long a machine takes is known with the waves only

Pure. A plan is stored with its rollout and is what the runner goes by: machines that come, go or change their role
later do not change it. What is down is never taken from it, but asked for anew each time (see budget.py).
"""

from __future__ import annotations

import datetime as dt
import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.rollouts import amounts, invariants, windows
from pxeapp.rollouts.invariants import BUILTIN, Group, Serving
from pxeapp.rollouts.spec import Spec
from pxeapp.sentences import few

CANARIES = 0  # the number of their wave
NAMED = 50  # that are told in a refusal
# Roles that nobody put in order: what others depend on comes first, as OpenStack's services want to be upgraded.
ROLES = ("controller", "network", "block", "object", "storage", "compute")
WITHOUT = "without"  # the title of the last wave, of machines that have no rack, role or value


@dataclass(frozen=True, slots=True)
class Wave:
    """Machines that are worked on before those of the next wave begin."""

    number: int
    title: str
    machines: tuple[int, ...] = field(repr=False)  # in the order in which they begin
    max_failures: int | None = None  # of this wave; one more pauses the rollout
    pause: bool = False  # after it a person says go on

    def to_dict(self) -> dict[str, Any]:
        """As it is stored and shown."""
        return {
            "number": self.number, "title": self.title, "machines": list(self.machines),
            "max_failures": self.max_failures, "pause": self.pause,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """Waves in order, and limits in numbers. `groups`: the invariants that any of its machines is under."""

    waves: tuple[Wave, ...]
    max_unavailable: int
    max_failures: int
    max_failures_per_wave: int | None  # the least of the waves', each of which has its own
    groups: tuple[Group, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    @property
    def machines(self) -> tuple[int, ...]:
        """All of them, in order."""
        return tuple(each for wave in self.waves for each in wave.machines)

    def wave(self, number: int) -> Wave:
        """The wave of this number; raises KeyError."""
        for each in self.waves:
            if each.number == number:
                return each
        raise KeyError(number)

    def to_dict(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "waves": [each.to_dict() for each in self.waves],
            "max_unavailable": self.max_unavailable,
            "max_failures": self.max_failures,
            "max_failures_per_wave": self.max_failures_per_wave,
            "groups": [each.to_dict() for each in self.groups],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Plan:
        """The same again."""
        return cls(
            tuple(Wave(**{**each, "machines": tuple(each["machines"])}) for each in said["waves"]),
            said["max_unavailable"],
            said["max_failures"],
            said["max_failures_per_wave"],
            tuple(Group.from_dict(each) for each in said["groups"]),
            tuple(said["notes"]),
        )


def refused(problems: Sequence[FieldProblem]) -> Invalid:
    """The refusal that lists them, bounded."""
    more = [FieldProblem("", f"And {len(problems) - NAMED} more.")] if len(problems) > NAMED else []
    return Invalid("This rollout cannot be; nothing was saved.", problems=[*problems[:NAMED], *more])


def draft(spec: Spec, chosen: Sequence[Serving], everyone: Sequence[Serving]) -> tuple[Plan, list[FieldProblem]]:
    """The plan for these machines, in their order, as far as it can be made; and every reason why it must not be.

    `everyone`: all machines that serve or are meant to, the chosen ones among them.
    """
    problems: list[FieldProblem] = []
    if not chosen:
        problems.append(FieldProblem("machines", "No machine is meant.", "Widen what they are chosen by."))
    canaries = _canaries(spec, chosen, problems)
    waves = _waves(spec, chosen, canaries, problems)
    order = spec.order
    total = len(chosen)
    most = amounts.may_be_down(order.max_unavailable, total)
    if most == 0:
        fix = "Write at least 1, or a percentage."
        problems.append(FieldProblem("order.max_unavailable", "With 0 no machine can ever begin.", fix))
    _check_pauses(spec, waves, problems)
    rules, wrong, notes = invariants.rules(spec.invariants, everyone)
    problems += wrong
    mine = {each.machine_id for each in chosen}
    groups = tuple(each for each in invariants.groups(rules, everyone) if not each.domain_of.keys().isdisjoint(mine))
    plan = Plan(
        waves,
        most,
        amounts.may_fail(order.max_failures, total),
        min((each.max_failures for each in waves if each.max_failures is not None), default=None),
        groups,
        (*notes, *_notes(rules, chosen)),
    )
    if most:
        problems += conflicts(plan, everyone, hold=spec.on_conflict == "hold")
    return plan, problems


def natural(name: str) -> tuple[Any, ...]:
    """Sorts c2 before c10."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d{1,18})", name))


# --- Waves ------------------------------------------------------------------------------------------------------------


def _canaries(spec: Spec, chosen: Sequence[Serving], problems: list[FieldProblem]) -> list[Serving]:
    """Those that are named; or so many, of each role in turn, that serve: a dead one would prove nothing."""
    said = spec.order.canary
    if isinstance(said, tuple):
        by_name = {each.name: each for each in chosen}
        missing = [name for name in dict.fromkeys(said) if name not in by_name]
        problems += [
            FieldProblem("order.canary", f"{name[:63]!r} is not one of its machines.", "Name one that is.")
            for name in missing
        ]
        return [by_name[name] for name in dict.fromkeys(said) if name in by_name]
    turns: dict[str | None, int] = {}
    ranked = []
    for position, each in enumerate(chosen):
        turn = turns.get(each.role, 0)
        if not each.down:
            turns[each.role] = turn + 1
            ranked.append(((turn, position), each))
    return [each for _, each in heapq.nsmallest(said, ranked, key=lambda pair: pair[0])]


def _waves(
    spec: Spec, chosen: Sequence[Serving], canaries: Sequence[Serving], problems: list[FieldProblem]
) -> tuple[Wave, ...]:
    first = {each.machine_id for each in canaries}
    rest = [each for each in chosen if each.machine_id not in first]
    by, size = spec.order.waves.by, spec.order.waves.size
    if by in ("count", "percent"):
        if spec.order.waves.first:
            fix = "Leave it out, or say by: rack, role or label:KEY."
            problems.append(FieldProblem("order.waves.first", f"It has no meaning with by: {by}.", fix))
        step = size if by == "count" else amounts.wave_size(f"{size}%", len(chosen))
        parts = [("", rest[start : start + step]) for start in range(0, len(rest), max(1, step))]
    else:
        parts = _by_value(spec, by, chosen, rest, problems)
    numbered = enumerate(parts, start=1)
    found = [(number, f"wave {number}{f': {title}' if title else ''}", part) for number, (title, part) in numbered]
    if canaries:
        found.insert(0, (CANARIES, "the canaries" if len(canaries) > 1 else "the canary", list(canaries)))
    return tuple(_wave(spec, number, title, part) for number, title, part in found)


def _wave(spec: Spec, number: int, title: str, part: Sequence[Serving]) -> Wave:
    said = spec.order.pause_after
    failures = spec.order.max_failures_per_wave
    return Wave(
        number,
        title,
        tuple(each.machine_id for each in part),
        None if failures is None else amounts.may_fail(failures, len(part)),
        "every" in said or number in said or (number == CANARIES and "canary" in said),
    )


def _by_value(
    spec: Spec, by: str, chosen: Sequence[Serving], rest: Sequence[Serving], problems: list[FieldProblem]
) -> list[tuple[str, list[Serving]]]:
    """A wave for each value: those that are said to come first, then the others, then machines without one."""
    found: dict[str, list[Serving]] = {}
    for each in rest:
        found.setdefault(_value(by, each), []).append(each)
    known = {_value(by, each) for each in chosen} - {""}
    first = tuple(dict.fromkeys(spec.order.waves.first))
    word = by.removeprefix("label:")
    for value in first:
        if value not in known:
            some = ", ".join(sorted(known, key=natural)[:NAMED]) or "none"
            problem = f"None of its machines has the {word} {value[:63]!r}."
            problems.append(FieldProblem("order.waves.first", problem, f"They have: {some}."))
    ranks = {role: number for number, role in enumerate(ROLES)} if by == "role" else {}
    others = sorted(known - set(first), key=lambda value: (ranks.get(value, len(ranks)), natural(value)))
    titles = [(value, f"{word} {value}") for value in (*first, *others)] + [("", f"{WITHOUT} a {word}")]
    return [(title, found[value]) for value, title in titles if value in found]


def _value(by: str, machine: Serving) -> str:
    if by == "rack":
        return machine.rack or ""
    if by == "role":
        return machine.role or ""
    return machine.labels.get(by.removeprefix("label:"), "")


# --- What is refused --------------------------------------------------------------------------------------------------


def _check_pauses(spec: Spec, waves: Sequence[Wave], problems: list[FieldProblem]) -> None:
    numbers = {each.number for each in waves}
    for said in spec.order.pause_after:
        if said == "canary" and CANARIES not in numbers:
            fix = "Say canary: 1, or leave it out here."
            problems.append(FieldProblem("order.pause_after", "There are no canaries to pause after.", fix))
        elif isinstance(said, int) and said not in numbers:
            last = max(numbers, default=0)
            fix = f"The last one is {last}." if last else "There are only the canaries."
            problems.append(FieldProblem("order.pause_after", f"There is no wave {said}.", fix))


def too_short(spec: Spec, *, now: dt.datetime, typical: dt.timedelta | None) -> list[FieldProblem]:
    """Windows in which no machine could ever be brought to its end."""
    if not spec.order.windows:
        return []
    longest = windows.longest(spec.order.windows, now)
    if not longest:
        return [FieldProblem("order.windows", "None of them opens within two weeks.", "Change the windows.")]
    if typical is None or typical <= longest:
        return []
    problem = f"The longest is open for {amounts.as_text(longest)}; by the forecast one machine takes {_about(typical)}"
    fix = "Make the window longer: a machine that cannot end within it does not begin."
    return [FieldProblem("order.windows", f"{problem}.", fix)]


def _about(length: dt.timedelta) -> str:
    return amounts.as_text(dt.timedelta(minutes=max(1, round(length.total_seconds() / 60))))


def conflicts(plan: Plan, everyone: Sequence[Serving], *, hold: bool) -> Iterator[FieldProblem]:
    """What this plan could break, and what could never begin as things stand: one problem for each invariant.

    Machines that are down already count: those of the rollout until it has worked on them, all others all along.
    """
    down = {each.machine_id: each for each in everyone if each.down}
    mine = set(down).intersection(plan.machines)
    yield from _stuck(plan, down, mine)
    for group in plan.groups:
        dangers = _dangers(plan, group, down.keys() & group.domain_of.keys() - mine, mine)
        never = [each for each in dangers if each.never]
        over = never or ([] if hold else [each for each in dangers if each.most > group.allowed])
        if over:
            yield _conflict(group, over, down, plan)


@dataclass(frozen=True, slots=True)
class _Danger:
    """How many domains of a group could be down at once in a wave, and whether none of it could ever begin."""

    wave: Wave
    most: int
    never: bool


def _dangers(plan: Plan, group: Group, others: set[int], mine: Set[int]) -> list[_Danger]:
    """`mine`: the rollout's own machines that are down; `others`: the group's, that come back nobody knows when."""
    found = []
    later = set(mine)
    for wave in plan.waves:
        here = later.intersection(wave.machines)
        later -= here
        up = group.domains(wave.machines) if not here else group.domains(set(wave.machines) - here)
        if not up:
            continue
        fixed = group.domains(others | later)
        # Those of this wave that are down may be through already or not: whichever is the worse.
        standing = group.domains(others | later | here)
        free = max(0, plan.max_unavailable - len(later) - len(here & group.domain_of.keys()))
        most = len(standing) + min(len(up - standing), free) if up - standing else 0
        found.append(_Danger(wave, most, bool(up - fixed) and len(fixed) >= group.allowed))
    return found


def _conflict(group: Group, over: Sequence[_Danger], down: Mapping[int, Serving], plan: Plan) -> FieldProblem:
    worst = max(over, key=lambda each: each.most)
    more = f" and {len(over) - 1} more" if len(over) > 1 else ""
    already = [down[each] for each in group.domain_of if each in down]
    said = f"; down already: {named(already)}" if already else ""
    field_name = f"invariants.{group.rule}"
    if group.allowed == 0:
        rule = next((each for each in BUILTIN if each.name == group.rule), None)
        loosened = "quorum: false, max_down: 1" if rule and rule.quorum else "max_down: 1, min_up: 0"
        fix = f"Have more of them, or take the risk and say why: {group.rule}: {{{loosened}, reason: ...}}."
        lost = "no quorum can be kept while" if rule and rule.quorum else "it could not be kept while"
        return FieldProblem(field_name, f"{group.says}{said}: {lost} one of them is worked on.", fix)
    if worst.never:
        fix = "Bring back what is down, or leave these machines out of the rollout."
        return FieldProblem(field_name, f"{group.says}{said}; so none of {worst.wave.title}{more} could begin.", fix)
    fix = "Lower order.max_unavailable, or say on_conflict: hold, so that machines wait for each other."
    if len(already) and plan.max_unavailable == 1:
        fix = "Bring back what is down, or say on_conflict: hold."
    problem = f"{group.says}{said}; this plan could take down {worst.most} at once in {worst.wave.title}{more}."
    return FieldProblem(field_name, problem, fix)


def _stuck(plan: Plan, down: Mapping[int, Serving], mine: Set[int]) -> Iterator[FieldProblem]:
    """Machines of later waves that are down use the budget up before their turn comes."""
    later = set(mine)
    for wave in plan.waves:
        later.difference_update(wave.machines)
        if len(later) >= plan.max_unavailable and not down.keys() >= set(wave.machines):
            problem = (
                f"{plan.max_unavailable} may be down and these are already: {named([down[each] for each in later])}"
            )
            fix = "Bring them back, leave them out of the rollout, or allow more."
            yield FieldProblem("order.max_unavailable", f"{problem}; so none of {wave.title} could begin.", fix)
            return


def named(machines: Iterable[Serving]) -> str:
    """c2 (its power is off), c3 (...), bounded."""
    found = sorted(machines, key=lambda each: natural(each.name))
    said = [f"{each.name} ({each.why_down})" if each.why_down else each.name for each in found]
    return few(said, 5)


# --- What a reader should know ----------------------------------------------------------------------------------------


def _notes(rules: Sequence[invariants.Rule], chosen: Sequence[Serving]) -> Iterator[str]:
    protected = {rule.role for rule in rules}
    bare = sorted({each.role for each in chosen if each.role} - protected)
    if bare and "" not in protected:
        said = ", ".join(bare[:10])
        yield f"No invariant is about the role {said}: only max_unavailable limits how many of its machines are down."
    if off := [each for each in chosen if each.down]:
        yield f"Down already, so that they count against the budget until they are through: {named(off)}."
