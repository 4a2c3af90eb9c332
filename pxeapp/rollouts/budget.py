"""Who may begin now: the rule that is kept at every instant, whatever the plan said when it was made.

Pure, and asked anew each time with what is down at that moment, for whatever reason: machines of this rollout that
are worked on, of other rollouts, those that operators took out, those that are dead. A machine may begin if after that
no more than `max_unavailable` of the rollout's machines are down, and in no group of an invariant more domains than it
allows. A limit may be reached and not exceeded. Where it is exceeded already, for a machine died meanwhile, nothing
begins that would add to it; a machine that is down already adds nothing, so that it may begin.
"""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from pxeapp.rollouts import amounts, windows
from pxeapp.rollouts.invariants import Group
from pxeapp.rollouts.plan import Plan
from pxeapp.rollouts.windows import Window
from pxeapp.sentences import few

NAMED = 5  # machines in one sentence
UNAVAILABLE, INVARIANT, WINDOW = "unavailable", "invariant", "window"


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands. `down` and `waiting` are by the machine's number.

    `down`: each machine that does not serve, with its name and why, as "c2 (its power is off)"; those that this or
    another rollout works on are among them. `waiting`: names of the machines of waves up to the present one that have
    not begun, in their order. `excused`: machines that a person said to skip: dead or not, `max_unavailable` does not
    wait for them.
    """

    down: Mapping[int, str]
    waiting: Mapping[int, str]
    excused: Set[int] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Decision:
    """`begin`: these machines, in this order. `says`: why no more of those that wait; empty where none is left."""

    begin: tuple[int, ...] = ()
    says: str = ""
    code: str = ""  # unavailable, invariant, window
    look_at: dt.datetime | None = None  # when it may be otherwise by the clock alone
    down: int = 0  # machines of the rollout that count, those that begin now among them


def next_ones(
    plan: Plan,
    standing: Standing,
    *,
    now: dt.datetime,
    windows: Sequence[Window] = (),
    typical: dt.timedelta | None = None,
    at_most: int | None = None,
) -> Decision:
    """Which of the waiting machines may begin now.

    One that an invariant holds back does not hold back those behind it. `typical`: how long one machine takes by the
    forecast; one that would not be through when the window closes does not begin. `at_most`: no more at once, for
    reasons of the caller's own.
    """
    mine = set(plan.machines) - standing.excused
    down = mine & standing.down.keys()
    if not standing.waiting:
        return Decision(down=len(down))
    if closed := _closed(windows, now, typical):
        return Decision(says=closed.says, code=WINDOW, look_at=closed.look_at, down=len(down))
    counting = _Counting(plan, standing, down)
    begin: list[int] = []
    held: int | None = None  # the first of them
    for machine, name in standing.waiting.items():
        if at_most is not None and len(begin) >= at_most:
            break
        if counting.may(machine):
            counting.take(machine, name)
            begin.append(machine)
        elif held is None:
            held = machine
    code, says = counting.why_not(held, standing.waiting[held]) if held is not None else ("", "")
    return Decision(tuple(begin), says, code, down=len(counting.down))


class _Counting:
    """What is down, with those that begin now added one by one."""

    def __init__(self, plan: Plan, standing: Standing, down: set[int]) -> None:
        self.plan = plan
        self.down = down  # of the rollout
        self.said = dict(standing.down)
        self.excused = standing.excused
        waiting = set(standing.waiting)
        if len(down) >= plan.max_unavailable:  # others cannot begin anyway
            waiting &= standing.down.keys()
        # Only groups of those that may begin matter; each knows its domains that are down, and who is under it.
        self.under: dict[int, list[int]] = {}
        self.gone: dict[int, set[int]] = {}
        for number, group in enumerate(plan.groups):
            if concerned := group.domain_of.keys() & waiting:
                self.gone[number] = group.domains(standing.down.keys())
                for machine in concerned:
                    self.under.setdefault(machine, []).append(number)

    def may(self, machine: int) -> bool:
        """Whether it may begin."""
        return not self._full(machine) and self._held_by(machine) is None

    def why_not(self, machine: int, name: str) -> tuple[str, str]:
        """A code and a sentence for one that may not."""
        group = None if self._full(machine) else self._held_by(machine)
        if group is None:
            limit = self.plan.max_unavailable
            return UNAVAILABLE, f"{name} waits: {limit} may be down, and {self._are(self.down)}."
        gone = group.domain_of.keys() & self.said.keys()
        return (
            INVARIANT,
            f"{name} waits: {group.says}; {f'{self._are(gone)} down' if gone else 'with it one would be'}.",
        )

    def _full(self, machine: int) -> bool:
        counts = machine not in self.down and machine not in self.excused
        return counts and len(self.down) >= self.plan.max_unavailable

    def _held_by(self, machine: int) -> Group | None:
        for number in self.under.get(machine, ()):
            group, gone = self.plan.groups[number], self.gone[number]
            if group.domain_of[machine] not in gone and len(gone) >= group.allowed:
                return group
        return None

    def take(self, machine: int, name: str) -> None:
        """It begins, so that it is down from now on."""
        for number in self.under.get(machine, ()):
            self.gone[number].add(self.plan.groups[number].domain_of[machine])
        self.said.setdefault(machine, f"{name} (begins now)")
        if machine not in self.excused:
            self.down.add(machine)

    def _are(self, machines: Set[int]) -> str:
        """c2 (its power is off) is; bounded."""
        said = [self.said[each] for each in heapq.nsmallest(NAMED, machines)]
        return f"{few(said, NAMED, of=len(machines))} {'is' if len(machines) == 1 else 'are'}"


def _closed(said: Sequence[Window], now: dt.datetime, typical: dt.timedelta | None) -> Decision | None:
    """Why nothing begins by the clock."""
    if not said:
        return None
    closes = windows.closes_at(said, now)
    if closes is None:
        opens = windows.opens_at(said, now)
        when = f"the next opens at {_moment(opens)}" if opens else "none opens within two weeks"
        return Decision(says=f"It waits for its window: {when}.", look_at=opens)
    if typical is None or now + typical <= closes:
        return None
    opens = windows.opens_at(said, closes)
    length = amounts.as_text(dt.timedelta(minutes=max(1, round(typical.total_seconds() / 60))))
    says = f"The window closes at {_moment(closes)}, and by the forecast a machine takes {length}"
    return Decision(says=f"{says}; the next opens at {_moment(opens)}." if opens else f"{says}.", look_at=opens)


def _moment(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
