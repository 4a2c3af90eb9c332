"""What the pages show of a rollout: its waves, its budget, its machines and where each of them is."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pxeapp.rollouts.forecast import Spread
from pxeapp.rollouts.models import Rollout, RolloutMember, RolloutStep
from pxeapp.rollouts.plan import Plan, Wave
from pxeapp.rollouts.waves import PAUSE_POINT
from pxeapp.ui.language import N_, _, said

SETTLED = ("done", "skipped", "aborted")
OVER = ("done", "failed", "aborted")  # states of a rollout that do not change any more
WIDE = 1000  # of the bar

By = Mapping[int, Mapping[str, int]]  # how many machines, by wave and state


@dataclass(frozen=True, slots=True)
class WaveLine:
    """One wave: how many of its machines are through, and its part of the bar."""

    number: int
    title: str
    total: int
    states: Mapping[str, int]
    x: float
    width: float
    look: str  # past, now, stopped, next: classes of the style sheet
    word: str
    pause: bool

    @property
    def settled(self) -> int:
        """Those that are through."""
        return sum(self.states.get(each, 0) for each in SETTLED)

    @property
    def failed(self) -> int:
        """Those that a person has to look at."""
        return self.states.get("failed", 0)

    @property
    def done_width(self) -> float:
        """Of the bar."""
        return self._width(self.settled)

    @property
    def failed_width(self) -> float:
        """Of the bar."""
        return self._width(self.failed)

    @property
    def running_width(self) -> float:
        """Of the bar."""
        return self._width(self.states.get("running", 0))

    def _width(self, number: int) -> float:
        return round(self.width * number / max(1, self.total), 2)


@dataclass(frozen=True, slots=True)
class Line:
    """One rollout in the list."""

    rollout: Rollout
    action: str
    waves: Sequence[WaveLine]

    @property
    def total(self) -> int:
        """All of its machines."""
        return sum(each.total for each in self.waves)

    @property
    def settled(self) -> int:
        """Those that are through."""
        return sum(each.settled for each in self.waves)

    @property
    def failed(self) -> int:
        """Those that a person has to look at."""
        return sum(each.failed for each in self.waves)

    @property
    def word(self) -> str:
        """Why it stands, or what it waits for."""
        return word(self.rollout)


@dataclass(frozen=True, slots=True)
class SpanOf:
    """A span of a forecast: in eight of ten cases it is between `low` and `high`."""

    low: dt.timedelta
    expected: dt.timedelta
    high: dt.timedelta

    @classmethod
    def of(cls, spread: Spread) -> SpanOf:
        """In whole seconds."""
        return cls(*(dt.timedelta(seconds=round(each)) for each in (spread.low, spread.median, spread.high)))


@dataclass(frozen=True, slots=True)
class MemberLine:
    """One machine of a rollout."""

    row: RolloutMember
    steps: Sequence[str]
    of: str  # the state of its rollout
    step_since: dt.datetime | None = None

    def __getattr__(self, name: str) -> Any:
        """Whatever the row has."""
        return getattr(self.row, name)

    @property
    def word(self) -> str:
        """Why it failed, or what it does."""
        return self.row.reason if self.row.state == "failed" and self.row.reason else self.row.says

    @property
    def reached(self) -> int:
        """How many steps are behind it."""
        if self.row.state == "done":
            return len(self.steps)
        return self.steps.index(self.row.step) if self.row.step in self.steps else 0

    @property
    def verbs(self) -> list[tuple[str, str, str]]:
        """What somebody may do with it, what that is called, and what is asked before."""
        open_to = () if self.of in (*OVER, "aborting") else tuple(VERBS.items())
        return [(verb, *WORDS[verb]) for verb, states in open_to if self.row.state in states]


# What can be done with a machine of a rollout, and in which states of it.
VERBS: dict[str, tuple[str, ...]] = {"retry": ("failed",), "skip": ("waiting", "failed"), "undrain": ("failed",)}
WORDS = {
    "retry": (N_("retry"), ""),
    "skip": (N_("skip"), N_("It is left out of this rollout for good.")),
    "undrain": (N_("put back as it is"), N_("What failed is not tried again: it serves as it is.")),
}


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of a machine's course. `look` is a class of the style sheet: reached, now, failed, open."""

    name: str
    look: str = "open"
    row: RolloutStep | None = None
    log: str = ""

    @property
    def tries(self) -> int:
        """Which try it is."""
        return self.row.tries if self.row is not None else 0

    @property
    def took(self) -> dt.timedelta | None:
        """How long it took; None while it runs."""
        return self.row.finished_at - self.row.started_at if self.row and self.row.finished_at else None

    @property
    def evidence(self) -> str:
        """What it rests on, on one line."""
        found = self.row.evidence if self.row is not None else {}
        return "  ".join(f"{name}={_plain(value)}" for name, value in found.items() if value not in (None, "", [], {}))


@dataclass(frozen=True, slots=True)
class Button:
    """Something that can be done with a rollout now. `asks`: what is said before; empty: it is done at once."""

    verb: str
    label: str
    asks: str = ""
    grave: bool = False
    typed: bool = False
    reason: bool = False
    wave: int | None = None


START = Button(
    "start",
    N_("Start it"),
    N_("Machines are taken out of service, one after the other, within its limits."),
    typed=True,
)
PAUSE = Button("pause", N_("Pause"), N_("Nothing more begins; what is in hand is brought to its end."), reason=True)
RESUME = Button("resume", N_("Resume"))
GO_ON = Button("continue", N_("Go on with the next wave"))
ABORT = Button(
    "abort", N_("Abort it"),
    N_("Nothing more begins, and what is in hand is brought to a safe end. It cannot go on afterwards."),
    grave=True, reason=True,
)  # fmt: skip
CANCEL = Button("abort", N_("Drop this plan"), N_("It is not started any more."), grave=True)


def controls(rollout: Rollout) -> list[Button]:
    """What can be done with it now."""
    if rollout.state == "planned":
        return [START, CANCEL]
    if rollout.state == "running":
        return [PAUSE, ABORT]
    if rollout.state == "paused":
        waits = rollout.reason_code == PAUSE_POINT
        return [replace(GO_ON, wave=rollout.wave) if waits else RESUME, ABORT]
    return []


def wave_verbs(rollout: Rollout, wave: WaveLine) -> list[tuple[str, str, str]]:
    """What can be done with all of a wave: verb, label, and what is asked before."""
    if rollout.state in (*OVER, "aborting"):
        return []
    found = []
    if wave.failed:
        found.append(("retry", N_("Retry all that failed"), N_("Each begins again with the step that failed.")))
    if wave.failed or wave.states.get("waiting"):
        found.append(("skip", N_("Skip the wave"), N_("All of it that waits or has failed is left out.")))
    return found


def word(rollout: Rollout) -> str:
    """Why it stands, or what it waits for."""
    if rollout.state == "planned":
        return N_("Planned: nothing has begun.")
    return rollout.reason if rollout.reason and rollout.state != "running" else rollout.says


def waves(rollout: Rollout, plan: Plan, by: By) -> list[WaveLine]:
    """Its waves in their order, with how far each is."""
    total = sum(len(wave.machines) for wave in plan.waves) or 1
    found = []
    x = 0.0
    for wave in plan.waves:
        states = by.get(wave.number, {})
        width = round(WIDE * len(wave.machines) / total, 2)
        look, word_of = _look(rollout, wave, states)
        number = sum(states.values()) or len(wave.machines)  # one that begins anew moves to the present wave
        shown = title(wave.title)
        found.append(WaveLine(wave.number, shown, number, states, x, width, look, word_of, wave.pause))
        x = round(x + width, 2)
    return found


def title(written: str) -> str:
    """A wave's title in the visitor's language: what distinguishes it stays as it is."""
    found = re.fullmatch(r"wave (\d+)(?:: (.*))?", written, re.DOTALL)
    if found is None:
        return said(written)
    number, rest = found.groups()
    return _("wave %(number)s: %(title)s", number=number, title=rest) if rest else _("wave %(number)s", number=number)


def _look(rollout: Rollout, wave: Wave, states: Mapping[str, int]) -> tuple[str, str]:
    settled = sum(states.get(each, 0) for each in SETTLED)
    through = settled >= (sum(states.values()) or len(wave.machines))
    if rollout.state == "planned" or (wave.number > rollout.wave and not settled):
        return "next", N_("has not begun")
    if wave.number < rollout.wave or rollout.state in OVER:
        return ("past", N_("through")) if through else ("stopped", N_("not all are through"))
    if rollout.state == "paused":
        return "stopped", N_("paused")
    if through and rollout.soak_until is not None:
        return "now", N_("is watched")
    return "now", N_("under way")


def course_of(steps: Sequence[str], tries: Sequence[RolloutStep]) -> list[StepLine]:
    """Each step with its tries, and those that are still to come."""
    found = []
    for name in steps:
        rows = [each for each in tries if each.step == name]
        found += [StepLine(name, _looks(each), each, each.log.decode(errors="replace")) for each in rows]
        if not rows:
            found.append(StepLine(name))
    return found


def _looks(row: RolloutStep) -> str:
    if row.outcome is None:
        return "now"
    return "reached" if row.outcome == "done" else "failed"


def whom(who: Sequence[str]) -> list[tuple[str, str]]:
    """Names with why; what is no name of a machine has no link."""
    return [(name, why.removesuffix(")")) for name, _, why in (each.partition(" (") for each in who)]


def needs_person(rollout: Rollout, by: By) -> bool:
    """Whether it goes on only when somebody does something."""
    failed = any(states.get("failed") for states in by.values())
    return rollout.state in ("paused", "failed") or (rollout.state not in OVER and failed)


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
