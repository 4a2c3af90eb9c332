"""Rehearse: the same plan, the same runner, on simulated machines in fast-forward, with faults where one wants them.

Machines, clusters and roles are copied into a database of the rehearsal's own; nothing of it reaches a real machine, a
cloud or the appliance's own rows. Steps take as long as this site has measured, or as is guessed where it has not, and
the clock jumps to the next moment at which anything is due. What comes out is what the runner did: there is no second
set of rules that could differ from the first.
"""

from __future__ import annotations

import datetime as dt
import random
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert, select
from sqlalchemy.orm import Session

from pxeapp.accounts import models as accounts  # what machines' tables point to
from pxeapp.answers.models import Role
from pxeapp.db import Base, Database
from pxeapp.errors import Conflict, FieldProblem, Invalid
from pxeapp.machines.models import Cluster, Machine
from pxeapp.provisioning.plan import Tools
from pxeapp.rollouts import control, course, service, waves, windows
from pxeapp.rollouts.forecast import Forecast, Spread
from pxeapp.rollouts.models import Rollout, RolloutEvent, RolloutMember
from pxeapp.rollouts.port import Done, Failed, Outcome, Subject, Waiting
from pxeapp.rollouts.runner import Hands, Runner
from pxeapp.rollouts.service import Preview
from pxeapp.rollouts.spec import Spec
from pxeapp.software.models import Release

assert accounts  # noqa: S101 - imported so that the tables' keys lead somewhere
STUCK = "stuck"  # it would wait for ever, until somebody mends, retries or skips what has failed
KINDS = ("fails", "hangs", "slow")
SLOWER = 10
AT_ONCE = 500
MOST_ROUNDS = 200_000
IN_VAIN = 5  # looks with nothing in hand, windows passed over: nothing that would change this comes by itself
FAULT = re.compile(
    r"(?P<machine>[A-Za-z0-9._*-]{1,63}):(?P<step>[a-z]+)=(?P<kind>[a-z]+)(?:@(?P<share>\d{1,3})%)?"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong: on one machine or, with *, on a share of all; at which step; and how."""

    machine: str
    step: str
    kind: str
    share: int = 100

    @classmethod
    def parse(cls, said: str, spec: Spec) -> Fault:
        """NODE:STEP=fails|hangs|slow, or *:STEP=fails@5%; raises Invalid."""
        found = FAULT.fullmatch(said)
        steps = course.steps_of(spec)
        if found is None or found["kind"] not in KINDS or found["step"] not in steps:
            fix = f"Write MACHINE:STEP=KIND, with a step of {', '.join(steps)} and a kind of {', '.join(KINDS)}."
            raise Invalid(
                "This is no fault that can be rehearsed.", problems=[FieldProblem("fault", f"{said[:80]!r}", fix)]
            )
        return cls(found["machine"], found["step"], found["kind"], min(100, int(found["share"] or 100)))

    def hits(self, subject: Subject, dice: random.Random) -> bool:
        """Whether it happens to this machine at this step; at its first try only, unless it hangs."""
        here = self.step == subject.step and self.machine in ("*", subject.machine)
        return here and subject.tries == 1 and dice.random() * 100 < self.share


@dataclass
class Clock:
    """A clock that jumps."""

    now: dt.datetime

    def __call__(self) -> dt.datetime:
        """The moment that it is in the rehearsal."""
        return self.now


@dataclass(frozen=True)
class Simulated:
    """A step that only takes its time, and fails or hangs where a fault says so. The same dice for the same seed."""

    times: Mapping[tuple[str, str | None], Spread]
    faults: Sequence[Fault] = ()
    seed: int = 0

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        """Wait once for as long as it takes, then end."""
        dice = random.Random(f"{self.seed} {subject.member_id} {subject.step} {subject.tries}")  # noqa: S311 - a game
        fault = next((fault for fault in self.faults if fault.hits(subject, dice)), None)
        if fault is not None and fault.kind == "hangs":
            return Waiting("It hangs.", {"since": now.isoformat()}, course.allowance(subject.spec, subject.step))
        if "until" not in memory:
            length = self._length(subject, dice) * (SLOWER if fault is not None and fault.kind == "slow" else 1)
            return Waiting("It takes its time.", {"until": (now + length).isoformat()}, length)
        if now < (until := dt.datetime.fromisoformat(memory["until"])):
            return Waiting("It takes its time.", memory, until - now)
        if fault is not None and fault.kind == "fails":
            return Failed("rehearsed", f"{subject.step} was made to fail.")
        return Done("Done, in the rehearsal.", memory={"reboot_needed": True})

    def _length(self, subject: Subject, dice: random.Random) -> dt.timedelta:
        if subject.step == course.SOAK:
            return subject.spec.order.soak
        spread = self.times.get((subject.step, subject.role)) or Spread(1, 10, 60)
        low, high = min(spread.low, spread.median), max(spread.median, spread.high)
        return dt.timedelta(seconds=round(dice.triangular(low, high + 0.001, spread.median), 1))


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What happened in it. `worst`: the most machines of the rollout that were down at one moment."""

    state: str
    says: str
    began_at: dt.datetime
    took: dt.timedelta
    worst: int
    allowed: int
    ended: Mapping[str, int]
    waves: tuple[Mapping[str, Any], ...]
    course: tuple[Mapping[str, Any], ...] = field(repr=False)
    forecast: Forecast = field(repr=False, kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """For --json and the wire."""
        return {
            "state": self.state, "says": self.says, "took_s": int(self.took.total_seconds()), "worst_down": self.worst,
            "max_unavailable": self.allowed, "ended": dict(self.ended), "waves": [dict(each) for each in self.waves],
            "course": [dict(each) for each in self.course], "forecast": self.forecast.to_dict(),
        }  # fmt: skip


def rehearse(
    database: Database, spec: Spec, *, tools: Tools, faults: Sequence[Fault] = (), seed: int = 0, now: dt.datetime,
    go_on: bool = False,
) -> Rehearsal:  # fmt: skip
    """Play it through; refuses what a preview refuses. `go_on`: resume whenever it pauses, as a bold person would.

    Pause points are passed in any case, for that is what they are there for.
    """
    with database.read() as session:
        found = service.preview(session, spec, tools=tools, now=now)
        rows = _copied(session)
    with tempfile.TemporaryDirectory(prefix="pxeapp-rehearsal-") as folder:
        stage = Database(f"sqlite:///{Path(folder) / 'rehearsal.db'}")
        try:
            number = _set(stage, spec, rows, tools, now)
            clock = Clock(now)
            times = {(each.step, each.role): each.spread for each in found.forecast.bases}
            step = Simulated(times, faults, seed)
            runner = Runner(Hands(stage, dict.fromkeys(course.steps_of(spec), step), clock), "rehearsal")
            play(stage, runner, clock, number, go_on=go_on)
            with stage.read() as session:
                return _told(session, service.get(session, number), found, now)
        finally:
            stage.dispose()


def play(database: Database, runner: Runner, clock: Clock, number: int, *, go_on: bool = False) -> None:
    """Until it has ended, waits for a person, or waits for what never comes, from one due moment to the next."""
    in_vain = 0  # looks at the rollout since something was last in hand
    for _ in range(MOST_ROUNDS):
        rollouts, members = runner.due()
        for each in rollouts:
            runner.look(each)
        for each in members:
            runner.work(each)
        if rollouts or members:
            continue
        with database.write() as session:
            rollout = service.get(session, number)
            if rollout.state not in (waves.RUNNING, waves.PAUSED, waves.ABORTING):
                return
            busy = select(RolloutMember.due_at).where(
                RolloutMember.rollout_id == number, RolloutMember.state == waves.IN_HAND
            )
            due = [*session.scalars(busy)]
            if rollout.state == waves.PAUSED and not due:
                if not (go_on or rollout.reason_code == waves.PAUSE_POINT):
                    return
                control.resume(session, rollout, actor="rehearsal", now=clock.now)
                continue
            in_vain = 0 if due else in_vain + 1
            if in_vain > IN_VAIN:
                return
            following = min([*due, rollout.due_at])
            if in_vain > 1 and (said := Spec.model_validate(rollout.spec).order.windows):
                following = _opens(said, clock.now) or following
            clock.now = max(clock.now + dt.timedelta(milliseconds=1), following)
            rollout.due_at = min(rollout.due_at, clock.now)
    raise Conflict("The rehearsal did not come to an end.", hint="Rehearse fewer machines, or with fewer faults.")


def _opens(said: Sequence[windows.Window], now: dt.datetime) -> dt.datetime | None:
    """The opening after the present one."""
    return windows.opens_at(said, windows.closes_at(said, now) or now)


def _copied(session: Session) -> dict[Table, list[dict[str, Any]]]:
    tables = [_table(each) for each in (Cluster, Role, Release, Machine)]
    return {table: [dict(row) for row in session.execute(select(table)).mappings()] for table in tables}


def _table(model: type[Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101 - each of ours is one
    return table


def _set(
    stage: Database, spec: Spec, rows: Mapping[Table, Sequence[dict[str, Any]]], tools: Tools, now: dt.datetime
) -> int:
    """The stage, and the rollout on it, started."""
    Base.metadata.create_all(stage.engine)
    with stage.write() as session:
        for table, found in rows.items():
            for start in range(0, len(found), AT_ONCE):
                session.execute(insert(table), found[start : start + AT_ONCE])
    with stage.write() as session:
        row = service.create(session, spec, tools=tools, actor="rehearsal", now=now)
        control.start(session, row, actor="rehearsal", now=now)
        return row.id


def _told(session: Session, rollout: Rollout, found: Preview, began_at: dt.datetime) -> Rehearsal:
    events = session.scalars(select(RolloutEvent).order_by(RolloutEvent.id)).all()
    last = events[-1].at if events else began_at
    ended: dict[str, int] = {}
    for state in session.scalars(select(RolloutMember.state)):
        ended[state] = ended.get(state, 0) + 1
    at = {"running": "still at work", "waiting": "never begun"}
    return Rehearsal(
        STUCK if rollout.state == waves.RUNNING else rollout.state,
        rollout.says, began_at, last - began_at, _worst(events), found.plan.max_unavailable,
        {at.get(state, state): number for state, number in sorted(ended.items())},
        tuple(_waves(events, found, began_at)),
        tuple(
            {"at_s": int((each.at - began_at).total_seconds()), "kind": each.kind, "message": each.message}
            for each in events
            if each.kind != "step"
        ),
        forecast=found.forecast,
    )  # fmt: skip


def _worst(events: Sequence[RolloutEvent]) -> int:
    down: set[int | None] = set()
    worst = 0
    for each in events:
        if each.kind == "begin":
            down.add(each.member_id)
        elif each.kind in ("serves", "done", "aborted") and each.member_id is not None:
            down.discard(each.member_id)
        worst = max(worst, len(down))
    return worst


def _waves(events: Sequence[RolloutEvent], found: Preview, began_at: dt.datetime) -> Iterator[Mapping[str, Any]]:
    for wave in found.plan.waves:
        mine = [each for each in events if each.evidence.get("wave") == wave.number and each.member_id is not None]
        begun = [each.at for each in mine if each.kind == "begin"]
        through = [each.at for each in mine if each.kind in ("done", "aborted", "fail")]
        yield {
            "number": wave.number, "title": wave.title, "machines": len(wave.machines),
            "begins_s": int((min(begun) - began_at).total_seconds()) if begun else None,
            "ends_s": int((max(through) - began_at).total_seconds()) if through else None,
            "failed": sum(each.kind == "fail" for each in mine),
        }  # fmt: skip
