"""How long a rollout will take, by wave and in total, with its spread: from what this site has measured, or a guess.

Each machine's steps are drawn from what such steps took here, on machines of its role where there are enough of them;
then the wave is played through with as many at once as the limits allow. That is done many times over, always with the
same dice, and what is told is the median, the 10th and the 90th percentile. Pure.
"""

from __future__ import annotations

import datetime as dt
import heapq
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pxeapp.rollouts import windows
from pxeapp.rollouts.amounts import as_text
from pxeapp.rollouts.course import DRAIN, PATCH, REBOOT, REINSTALL, RUN, SOAK, UNDRAIN, VERIFY, steps_of
from pxeapp.rollouts.plan import Plan
from pxeapp.rollouts.spec import Spec

ENOUGH = 5  # measurements that are more than an accident
LATEST = 500  # of one kind: what was long ago says little
WHOLES = 1000  # machines that are made up of measured steps, to draw from
RUNS, DRAWS = 100, 10_000  # as often as this, but no more machines than that
MOST_WINDOWS = 400  # that are looked through for the end: a year of nights
LOW, MEDIAN, HIGH = 0.1, 0.5, 0.9
SPREAD = (1 / 3, 0.6, 1.0, 1.0, 1.6, 3.0)  # of a guess
# Seconds, by step and by what `like` says of it; the second part empty: whatever it is.
GUESSES: dict[tuple[str, str], float] = {
    (DRAIN, "none"): 2, (DRAIN, "command"): 120, (DRAIN, "openstack live-migrate"): 900,
    (DRAIN, "openstack cold-migrate"): 1200, (DRAIN, "openstack stop"): 180, (DRAIN, ""): 60,
    (PATCH, ""): 300, (RUN, ""): 300, (REINSTALL, ""): 1500, (REBOOT, ""): 360, (REBOOT, "never"): 2,
    (VERIFY, ""): 60, (UNDRAIN, "none"): 2, (UNDRAIN, ""): 60,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Took:
    """One measurement. `like`: what it must have in common with another to say something about it."""

    step: str
    like: str
    role: str | None
    seconds: float
    rollout: int = 0


def like(spec: Spec, step: str) -> str:
    """What the time of a step depends on, besides the machine."""
    if step in (DRAIN, UNDRAIN):
        return " ".join(filter(None, (spec.drain.kind, getattr(spec.drain.chosen, "instances", ""))))
    if step == REBOOT:
        return "always" if spec.action.kind == REBOOT else spec.reboot
    return spec.action.chosen.method if step == PATCH else ""


@dataclass(frozen=True, slots=True)
class Left:
    """A machine that is not through. `step`: where it is, empty while it waits; `elapsed`: seconds in that step."""

    machine_id: int
    role: str | None
    step: str = ""
    elapsed: float = 0.0


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds: in one of ten cases less than `low`, in one of ten more than `high`."""

    low: float
    median: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """For the wire, in whole seconds."""
        return {"low_s": round(self.low), "median_s": round(self.median), "high_s": round(self.high)}


@dataclass(frozen=True, slots=True)
class Basis:
    """What the time of a step rests on."""

    step: str
    role: str | None
    spread: Spread
    measured: int
    guessed: bool
    says: str

    def to_dict(self) -> dict[str, Any]:
        """For the wire."""
        return {
            "step": self.step, "role": self.role, **self.spread.to_dict(), "measured": self.measured,
            "guessed": self.guessed, "says": self.says,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class OfWave:
    """One wave: what is left of it."""

    number: int
    title: str
    left: int
    spread: Spread

    def to_dict(self) -> dict[str, Any]:
        """For the wire."""
        return {"number": self.number, "title": self.title, "left": self.left, **self.spread.to_dict()}


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is left of a rollout. `machine`: one machine of its slowest role, from drain to undrain."""

    waves: tuple[OfWave, ...]
    total: Spread
    machine: Spread
    bases: tuple[Basis, ...] = field(repr=False)
    ends_at: dt.datetime | None  # with the median, windows counted; None where windows are too few to tell
    ends_by: dt.datetime | None  # with the 90th percentile
    least: dt.timedelta | None  # from when the first may begin to a quick end, windows counted; None: too few to tell
    notes: tuple[str, ...] = ()

    @property
    def guessed(self) -> bool:
        """Whether any of it is a guess."""
        return any(each.guessed for each in self.bases)

    @property
    def typical(self) -> dt.timedelta:
        """How long a machine takes, for whoever holds it against a window: of a guess the least, so that none forbids
        what may well be possible."""
        return dt.timedelta(seconds=round(self.machine.low if self.guessed else self.machine.median))

    @property
    def says(self) -> str:
        """In one sentence, and what it rests on."""
        low, median, high = (_text(each) for each in (self.total.low, self.total.median, self.total.high))
        said = f"About {median}, {low} to {high} in eight of ten cases"
        guesses = list(dict.fromkeys(each.says for each in self.bases if each.guessed))
        if not guesses:
            return f"{said}, from what this site has measured."
        return f"{said}. This is a guess: {'; '.join(guesses[:4])}{'; and more' if len(guesses) > 4 else ''}."

    def to_dict(self) -> dict[str, Any]:
        """For the wire."""
        return {
            "says": self.says,
            "guessed": self.guessed,
            "total": self.total.to_dict(),
            "machine": self.machine.to_dict(),
            "waves": [each.to_dict() for each in self.waves],
            "steps": [each.to_dict() for each in self.bases],
            "ends_at": self.ends_at.isoformat() if self.ends_at else None,
            "ends_by": self.ends_by.isoformat() if self.ends_by else None,
            "notes": list(self.notes),
        }


def estimate(
    spec: Spec,
    plan: Plan,
    left: Mapping[int, Sequence[Left]],
    took: Sequence[Took],
    *,
    now: dt.datetime,
    rollout: int = 0,
) -> Forecast:
    """What is left of each wave: `left` by the wave's number. `took`: what was measured, the newest first.

    `rollout`: measurements of this one go before all others, so that what is done corrects what is to come.
    """
    known = _Known(spec, took, rollout)
    machines = sum(map(len, left.values()))
    runs = max(5, min(RUNS, DRAWS // max(1, machines)))
    dice = random.Random(0)  # noqa: S311 - a forecast is the same when it is asked for twice
    of_waves: dict[int, list[float]] = {}
    totals = [0.0] * runs
    for wave in plan.waves:
        rest = left.get(wave.number, ())
        if not rest:
            continue
        played = [_play(plan, rest, known, dice) for _ in range(runs)]
        of_waves[wave.number] = played
        totals = [total + each for total, each in zip(totals, played, strict=True)]
    total = _spread(totals)
    roles = dict.fromkeys(each.role for some in left.values() for each in some)
    bases = tuple(known.basis(step, role) for role in roles for step in steps_of(spec) if step != SOAK)
    machine = _slowest(bases)
    return Forecast(
        tuple(
            OfWave(wave.number, wave.title, len(left[wave.number]), _spread(of_waves[wave.number]))
            for wave in plan.waves
            if wave.number in of_waves
        ),
        total,
        machine,
        bases,
        _end(spec, now, total.median, machine.median),
        _end(spec, now, total.high, machine.high),
        _least(spec, now, total.low, machine.low),
        tuple(_notes(spec, plan, left)),
    )


class _Known:
    """What was measured, by step and role, found in the order of how much it says."""

    def __init__(self, spec: Spec, took: Sequence[Took], rollout: int) -> None:
        self.spec = spec
        self.steps = [step for step in steps_of(spec) if step != SOAK]
        self.soak = spec.order.soak.total_seconds() if SOAK in steps_of(spec) else 0.0
        self._took = took
        self._rollout = rollout
        self._wholes: dict[str | None, list[float]] = {}
        self._found: dict[tuple[str, str | None], tuple[Sequence[float], int, bool, str]] = {}

    def times(self, step: str, role: str | None) -> Sequence[float]:
        """What to draw from."""
        return self._look(step, role)[0]

    def wholes(self, role: str | None, dice: random.Random) -> Sequence[float]:
        """What whole machines of a role take, from its steps: enough of them to draw from."""
        if role not in self._wholes:
            draws = [dice.choices(self.times(step, role), k=WHOLES) for step in self.steps]
            self._wholes[role] = [sum(parts) for parts in zip(*draws, strict=True)]
        return self._wholes[role]

    def basis(self, step: str, role: str | None) -> Basis:
        """What that rests on."""
        times, measured, guessed, says = self._look(step, role)
        return Basis(step, role, _spread(times), measured, guessed, says)

    def _look(self, step: str, role: str | None) -> tuple[Sequence[float], int, bool, str]:
        if (step, role) not in self._found:
            self._found[step, role] = self._search(step, role)
        return self._found[step, role]

    def _search(self, step: str, role: str | None) -> tuple[Sequence[float], int, bool, str]:
        kind = like(self.spec, step)
        alike = [each for each in self._took if each.step == step and each.like == kind]
        same = [each for each in alike if each.role == role]
        of_role = f" of the role {role}" if role else ""
        for found, where in (
            ([each for each in same if self._rollout and each.rollout == self._rollout], f"{of_role} in this rollout"),
            (same, of_role),
            (alike, " of all roles"),
        ):
            if len(found) >= ENOUGH:
                times = self._settled(step, [each.seconds for each in found[:LATEST]])
                return times, len(times), False, f"{step}: {len(times)} machines{where}"
        guess = GUESSES.get((step, kind), GUESSES[step, ""])
        if alike:
            measured = [each.seconds for each in alike]
            times = [part * each for each in measured for part in SPREAD]
            number = len(alike)
            return self._settled(step, times), number, True, f"{step} was measured {number} times only"
        times = [part * guess for part in SPREAD]
        return self._settled(step, times), 0, True, f"{step} was never measured here, {_text(guess)} is assumed"

    def _settled(self, step: str, times: Iterable[float]) -> list[float]:
        """A machine is verified for as long as this rollout asks for, whatever others asked for."""
        least = self.spec.verify.settle.total_seconds() if step == VERIFY else 0.0
        return [max(least, each) for each in times]


def _play(plan: Plan, rest: Sequence[Left], known: _Known, dice: random.Random) -> float:
    """One course of a wave, in seconds: as slow as the strictest of its limits makes it."""
    if all(each.step == SOAK for each in rest):
        return max(0.0, *(known.soak - each.elapsed for each in rest))
    lengths = {each.machine_id: _length(each, known, dice) for each in rest if each.step not in ("", SOAK)}
    for role in {each.role for each in rest}:
        waiting = [each.machine_id for each in rest if not each.step and each.role == role]
        lengths.update(zip(waiting, dice.choices(known.wholes(role, dice), k=len(waiting)), strict=True))
    at_once = max(1, plan.max_unavailable)
    slowest = _scheduled(lengths.values(), at_once)
    for group in plan.groups:
        domains: dict[int, list[float]] = {}
        for machine in lengths.keys() & group.domain_of.keys():
            domains.setdefault(group.domain_of[machine], []).append(lengths[machine])
        if len(domains) > group.allowed:
            parts = sorted(_scheduled(each, at_once) for each in domains.values())
            slowest = max(slowest, _scheduled(parts, max(1, group.allowed)))
    return slowest + known.soak


def _length(machine: Left, known: _Known, dice: random.Random) -> float:
    """The rest of one that is in hand."""
    steps = known.steps[known.steps.index(machine.step) :]
    return max(1.0, sum(dice.choice(known.times(step, machine.role)) for step in steps) - machine.elapsed)


def _scheduled(lengths: Iterable[float], at_once: int) -> float:
    """When the last one ends if each begins as soon as a place is free."""
    ends: list[float] = []
    for length in lengths:
        if len(ends) < at_once:
            heapq.heappush(ends, length)
        else:
            heapq.heapreplace(ends, ends[0] + length)
    return max(ends, default=0.0)


def _spread(values: Sequence[float]) -> Spread:
    ranked = sorted(values) or [0.0]
    return Spread(*(ranked[min(len(ranked) - 1, int(part * len(ranked)))] for part in (LOW, MEDIAN, HIGH)))


def _slowest(bases: Sequence[Basis]) -> Spread:
    """One machine of the slowest role: its steps' medians in sum, with the spread of things that vary by themselves."""
    found = Spread(0, 0, 0)
    for role in {each.role for each in bases}:
        parts = [each.spread for each in bases if each.role == role]
        median = sum(each.median for each in parts)
        below = sum((each.median - each.low) ** 2 for each in parts) ** 0.5
        above = sum((each.high - each.median) ** 2 for each in parts) ** 0.5
        found = max(found, Spread(max(0, median - below), median, median + above), key=lambda each: each.median)
    return found


def _end(spec: Spec, now: dt.datetime, seconds: float, machine: float) -> dt.datetime | None:
    """When so much is done: of a window only as much is used as whole machines fit into."""
    rest = dt.timedelta(seconds=seconds)
    if not spec.order.windows:
        return now + rest
    one = dt.timedelta(seconds=max(1.0, machine))
    moment = now
    for _ in range(MOST_WINDOWS):
        opens = windows.opens_at(spec.order.windows, moment)
        closes = windows.closes_at(spec.order.windows, opens) if opens else None
        if opens is None or closes is None:
            return None
        if opens + rest <= closes:
            return opens + rest
        rest -= (closes - opens) // one * one
        moment = closes
    return None


def _least(spec: Spec, now: dt.datetime, seconds: float, machine: float) -> dt.timedelta | None:
    end = _end(spec, now, seconds, machine)
    begin = windows.opens_at(spec.order.windows, now) if spec.order.windows else now
    return None if end is None or begin is None else end - begin


def _notes(spec: Spec, plan: Plan, left: Mapping[int, Sequence[Left]]) -> Iterator[str]:
    if any(wave.pause and left.get(wave.number) for wave in plan.waves):
        yield "The time until a person says go on is not in it."
    if spec.order.windows:
        yield "The durations are of the work; the ends count the windows in which machines may begin."


def _text(seconds: float) -> str:
    """Two units at most: nobody wants seconds of a day."""
    whole = round(seconds)
    step = 1 if whole < 120 else 60 if whole < 86_400 else 3600
    return as_text(dt.timedelta(seconds=max(step, round(whole / step) * step)))
