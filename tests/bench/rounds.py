"""Rounds in alternation, and what they say: medians, spreads, ratios, targets.

A `Work` names its contenders, ours first; each round runs every contender once, in an order that rotates, so that a
machine whose speed drifts treats them alike. A ratio is the median of the ratios within the rounds.
"""

from __future__ import annotations

import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

Figures = Mapping[str, float]  # name with its unit, for example "CPU ms/MB"


@dataclass(frozen=True)
class Contender:
    """One of those that do the same work; `run` does it once and returns the figures of that round."""

    name: str
    run: Callable[[], Figures]


@dataclass(frozen=True)
class Target:
    """What is to be reached: `figure` of ours, as it is or divided by that of `against`."""

    figure: str
    at_most: float | None = None
    at_least: float | None = None
    against: str = ""  # a contender's name; "*" is the best of the peers in this figure; empty: the figure itself
    of: str = ""  # whose figure; empty: the first contender's
    says: str = ""  # the target in words, for the table


@dataclass(frozen=True)
class Work:
    """Something that is measured. `prepared` holds whatever all rounds share."""

    name: str
    title: str
    contenders: Sequence[Contender]
    targets: Sequence[Target] = ()
    rounds: int = 5
    prepared: Callable[[], AbstractContextManager[Any]] = nullcontext
    notes: Sequence[str] = ()  # what a reader must know to believe it: sizes, options, what is the bottleneck


@dataclass
class Result:
    """All rounds of one work."""

    work: Work
    rounds: list[dict[str, Figures]] = field(default_factory=list)  # one per round: contender -> its figures
    failures: list[str] = field(default_factory=list)

    def values(self, contender: str, figure: str) -> list[float]:
        """One figure of one contender, round by round."""
        return [done[contender][figure] for done in self.rounds if figure in done.get(contender, {})]

    def median(self, contender: str, figure: str) -> float | None:
        """Its median; None where it never finished."""
        values = self.values(contender, figure)
        return statistics.median(values) if values else None

    def ratio(self, ours: str, theirs: str, figure: str) -> float | None:
        """The median of ours divided by theirs, within the rounds that both finished."""
        pairs = [
            done[ours][figure] / done[theirs][figure]
            for done in self.rounds
            if figure in done.get(ours, {}) and done.get(theirs, {}).get(figure)
        ]
        return statistics.median(pairs) if pairs else None

    def reached(self, target: Target) -> tuple[float | None, bool | None]:
        """The measured value of a target, and whether it is reached; None where it could not be measured."""
        ours = target.of or self.work.contenders[0].name
        value = self._value(target, ours)
        if value is None:
            return None, None
        low = target.at_least is None or value >= target.at_least
        high = target.at_most is None or value <= target.at_most
        return value, low and high

    def _value(self, target: Target, ours: str) -> float | None:
        if not target.against:
            return self.median(ours, target.figure)
        names = [target.against]
        if target.against == "*":
            names = [contender.name for contender in self.work.contenders if contender.name != ours]
        ratios = [ratio for name in names if (ratio := self.ratio(ours, name, target.figure)) is not None]
        if not ratios:
            return None
        return max(ratios) if target.at_most is not None else min(ratios)


def measure(work: Work, *, rounds: int | None = None, say: Callable[[str], None] = print) -> Result:
    """Run all rounds; a contender that fails in a round has no figures in it, and the failure is on record."""
    result = Result(work)
    with work.prepared():
        for number in range(rounds or work.rounds):
            done: dict[str, Figures] = {}
            shift = number % len(work.contenders)
            for contender in [*work.contenders[shift:], *work.contenders[:shift]]:
                began = time.monotonic()
                try:
                    done[contender.name] = contender.run()
                except Exception as error:  # noqa: BLE001 - a peer that dies is a result, and ours that dies is one, too
                    said = f"round {number + 1}: {contender.name}: {type(error).__name__}: {error}"
                    result.failures.append(said)
                    say(f"  {said}")
                    if contender is work.contenders[0]:
                        say(traceback.format_exc())
                    continue
                figures = ", ".join(f"{name} {shown(value)}" for name, value in done[contender.name].items())
                say(f"  round {number + 1}  {contender.name:<14} {time.monotonic() - began:6.1f} s  {figures}")
            result.rounds.append(done)
    return result


@contextmanager
def timed() -> Iterator[list[float]]:
    """Wall seconds of a block, in the list's one element afterwards."""
    holder = [0.0]
    began = time.perf_counter()
    yield holder
    holder[0] = time.perf_counter() - began


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def shown(value: float) -> str:
    """Three significant digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
