"""Machines that serve, a rollout over them, and an observer who knows the rules and nothing of how they are kept."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from pxeapp import config
from pxeapp.db import Database
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Cluster, Machine
from pxeapp.provisioning.plan import Tools
from pxeapp.rollouts import control, course, service
from pxeapp.rollouts.forecast import Spread
from pxeapp.rollouts.models import Rollout, RolloutEvent, RolloutMember, RolloutStep
from pxeapp.rollouts.rehearse import Clock, Fault, Simulated
from pxeapp.rollouts.runner import Hands, Runner
from pxeapp.rollouts.spec import Spec
from pxeapp.templates import Templates
from pxeapp.vault import open_vault

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
SECOND, MINUTE, HOUR = dt.timedelta(seconds=1), dt.timedelta(minutes=1), dt.timedelta(hours=1)
ACTOR = "user:ada"
QUICK = {(step, "gpu"): Spread(5, 20, 40) for step in ("drain", "reboot", "verify", "undrain")}


def spec(**more: Any) -> Spec:
    """A reboot of the cluster `a`, carefully."""
    said: dict[str, Any] = {"name": "x", "machines": {"cluster": "a"}, "action": {"reboot": {}}, **more}
    return Spec.model_validate(said)


@dataclass
class Stage:
    """One appliance with machines, and the rollouts on it."""

    database: Database
    tools: Tools
    clock: Clock = field(default_factory=lambda: Clock(T0))

    @classmethod
    def of(cls, database: Database, folder: Path) -> Stage:
        settings = config.load({"PXEAPP_DATA_DIR": str(folder / "data")})
        return cls(database, Tools(settings, open_vault(folder), Templates(folder / "templates")))

    def machines(self, number: int, *, role: str = "gpu", cluster: str = "a", racks: int = 4) -> list[str]:
        """So many that serve, named by their role; unless it is another, one that no built-in invariant is about."""
        names = [f"{role}-{n:04d}" for n in range(number)]
        with self.database.write() as session:
            if session.scalar(select(Cluster).where(Cluster.name == cluster)) is None:
                session.add(Cluster(name=cluster, created_at=T0, updated_at=T0))
                session.flush()
            before = len(session.scalars(select(Machine.id)).all())
            for place, name in enumerate(names, before):
                session.add(
                    Machine(
                        name=name, mac=f"52:54:00:{place >> 16:02x}:{place >> 8 & 255:02x}:{place & 255:02x}",
                        state=State.ACTIVE, role=role, cluster=cluster, location={"rack": f"r{place % racks}"},
                        power="on", created_at=T0, updated_at=T0,
                    )
                )  # fmt: skip
        return names

    def rollout(self, said: Spec, *, start: bool = True) -> int:
        with self.database.write() as session:
            row = service.create(session, said, tools=self.tools, actor=ACTOR, now=self.clock.now)
            if start:
                control.start(session, row, actor=ACTOR, now=self.clock.now)
            return row.id

    def runner(
        self, *faults: Fault, steps: Mapping[str, Any] | None = None, owner: str = "a",
        times: Mapping[tuple[str, str | None], Spread] = QUICK,
    ) -> Runner:  # fmt: skip
        simulated = dict.fromkeys((*course.STEPS["patch"], course.RUN, course.REINSTALL), Simulated(times, faults))
        return Runner(Hands(self.database, {**simulated, **(steps or {})}, self.clock), owner)

    def say(self, number: int, verb: Callable[..., object], **more: Any) -> None:
        """What a person says to it now."""
        with self.database.write() as session:
            verb(session, service.get(session, number, lock=True), actor=ACTOR, now=self.clock.now, **more)

    def row(self, number: int) -> Rollout:
        with self.database.read() as session:
            return service.get(session, number)

    def states(self, number: int) -> dict[str, str]:
        with self.database.read() as session:
            rows = select(RolloutMember.machine, RolloutMember.state).where(RolloutMember.rollout_id == number)
            return dict(session.execute(rows).all())

    def member(self, number: int, machine: str) -> RolloutMember:
        with self.database.read() as session:
            return service.member(session, service.get(session, number), machine)

    def machine(self, name: str) -> Machine:
        with self.database.read() as session:
            return session.scalars(select(Machine).where(Machine.name == name)).one()

    def set(self, name: str, **values: Any) -> None:
        with self.database.write() as session:
            row = session.scalars(select(Machine).where(Machine.name == name)).one()
            for key, value in values.items():
                setattr(row, key, value)

    def steps(self, number: int, machine: str) -> list[tuple[str, str | None]]:
        with self.database.read() as session:
            member = service.member(session, service.get(session, number), machine)
            rows = session.scalars(
                select(RolloutStep).where(RolloutStep.member_id == member.id).order_by(RolloutStep.id)
            )
            return [(row.step, row.outcome) for row in rows]

    def events(self, number: int) -> Sequence[RolloutEvent]:
        with self.database.read() as session:
            return session.scalars(
                select(RolloutEvent).where(RolloutEvent.rollout_id == number).order_by(RolloutEvent.id)
            ).all()

    def once(self, runner: Runner) -> int:
        """One round over all that is due; returns how many looks there were."""
        rollouts, members = runner.due()
        return sum([runner.look(each) for each in rollouts]) + sum([runner.work(each) for each in members])

    def until(self, runner: Runner, holds: Callable[[], bool], *, within: dt.timedelta = 12 * HOUR) -> None:
        """Let time pass, from moment to moment at which something is due."""
        end = self.clock.now + within
        while not holds():
            assert self.clock.now < end, "it does not come to that"
            if not self.once(runner):
                self.clock.now = max(self.clock.now + SECOND, min(self.next_due(), end))

    def next_due(self) -> dt.datetime:
        with self.database.read() as session:
            rows = [
                *session.scalars(select(Rollout.due_at).where(Rollout.state.in_(("running", "paused", "aborting")))),
                *session.scalars(select(RolloutMember.due_at).where(RolloutMember.state == "running")),
            ]
        return min(rows, default=self.clock.now + HOUR)

    def ends(self, runner: Runner, number: int, *, in_state: str = "done") -> Rollout:
        self.until(runner, lambda: self.row(number).state not in ("running", "aborting"))
        row = self.row(number)
        assert row.state == in_state, row.says
        return row


@dataclass
class Observer:
    """Reads the course of a rollout, line by line, and says how many machines were down at each moment."""

    stage: Stage
    number: int

    def down(self) -> list[set[str]]:
        """After each line."""
        found: list[set[str]] = []
        now: set[str] = set()
        for each in self.stage.events(self.number):
            machine = each.evidence.get("machine")
            if each.kind == "begin":
                assert machine not in now, f"{machine} begins twice"
                now.add(machine)
            elif machine and each.kind in ("serves", "done", "aborted"):
                now.discard(machine)
            found.append(set(now))
        return found

    def worst(self) -> int:
        return max(map(len, self.down()), default=0)

    def order(self) -> list[tuple[int, str]]:
        """Wave and name of each machine, in the order in which they began."""
        return [
            (each.evidence["wave"], each.evidence["machine"])
            for each in self.stage.events(self.number)
            if each.kind == "begin"
        ]


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Deadly:
    """A step whose process is killed at some of its looks, before what was found is written down."""

    step: Simulated
    dice: random.Random
    share: float

    def look(self, subject: Any, memory: Mapping[str, Any], *, now: dt.datetime) -> Any:
        found = self.step.look(subject, memory, now=now)
        if self.dice.random() < self.share:
            raise Killed
        return found
