"""What the runner asks of a step on one machine: one look at a time, each short, each repeatable.

A step is a function of what is there: it looks, does at most what is still missing, and says whether it waits, is done
or has failed. It keeps what it must remember in `memory`, which is written down after the look. After a crash the same
look comes again with the memory of before, on any host: so an effect is looked for before it is made (an order that
carries a name of ours, a job that runs on the machine already), and no look rests on what a process remembers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pxeapp.rollouts.spec import Spec

LOOK_S = 45.0  # within which a look returns; every remote call in it has a timeout below that
AGAIN = dt.timedelta(seconds=5)
KEPT_LOG = 256 * 1024  # bytes of a step's log that are kept: the last ones


@dataclass(frozen=True, slots=True)
class Subject:
    """The machine that a step is about, as it was when the rollout was started, and what was found out before."""

    rollout_id: int
    member_id: int
    machine_id: int
    machine: str
    role: str | None
    release: str | None
    cluster: str | None
    spec: Spec
    step: str
    tries: int  # 1, and one more for each time that somebody said "retry"
    began_at: dt.datetime  # this try of this step
    earlier: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # memory of the steps before, by step

    @property
    def token(self) -> str:
        """What an effect is named by so that it is found again: the same for each look of a try."""
        return f"pxeapp-rollout-{self.rollout_id}-{self.member_id}-{self.step}-{self.tries}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not yet: what it waits for, and what the next look must know."""

    says: str
    memory: Mapping[str, Any] = field(default_factory=dict)
    again: dt.timedelta = AGAIN
    log: str = ""  # new lines


@dataclass(frozen=True, slots=True)
class Done:
    """It is reached, and by what one sees that."""

    says: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)
    log: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot be reached: a code for the statistics, a sentence, and what to try."""

    code: str
    says: str
    hint: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)
    log: str = ""


Outcome = Waiting | Done | Failed


class Step(Protocol):
    """One step of the work on a machine. Raises PxeError with `retryable` for what may pass by itself."""

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        """See how far it is, do what is missing; returns within LOOK_S."""
        ...


class Gates(Protocol):
    """Looks at what must hold before a machine serves again; changes nothing."""

    def check(self, subject: Subject, *, now: dt.datetime) -> list[Finding]:
        """One finding for each gate, in the order of the spec; returns within LOOK_S."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """What a gate saw."""

    gate: str
    holds: bool
    says: str
