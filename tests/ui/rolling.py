"""A cluster that serves, and the real runner over it with steps that end as a test says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pxeapp.db import Database, now
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Cluster, Machine
from pxeapp.provisioning.plan import Tools
from pxeapp.rollouts import control, course, service, text
from pxeapp.rollouts.port import Done, Failed, Outcome, Subject, Waiting
from pxeapp.rollouts.runner import Hands, Runner

PLAN = """\
name: reboot-the-rack
description: A kernel that needs a restart
machines: {cluster: roll}
action: reboot
order:
  canary: 1
  waves: {by: count, size: 4}
  max_unavailable: 2
  max_failures: 1
  soak: 0s
  pause_after: [canary]
on_conflict: hold
verify:
  gates: [ssh, services]
"""


def fill(database: Database, *, machines: int = 9) -> None:
    """Controllers and compute nodes of the cluster roll, all of them active."""
    with database.write() as session:
        session.add(Cluster(name="roll", description="", created_at=now(), updated_at=now()))
        session.flush()
        for number in range(1, machines + 1):
            role = "controller" if number <= 3 else "compute"
            session.add(
                Machine(
                    name=f"roll-{number:02}", mac=f"52:54:00:00:77:{number:02x}", state=State.ACTIVE, power="on",
                    role=role, cluster="roll", location={"rack": f"q{number % 3}"}, created_at=now(), updated_at=now(),
                )
            )  # fmt: skip


def begin(database: Database, tools: Tools) -> Rolling:
    """The plan, started, with one machine that failed and one that hangs."""
    with database.write() as session:
        row = service.create(session, text.read(PLAN).spec, tools=tools, actor="user:admin", now=now())
        row.passed = [{"wave": 0}]
        control.start(session, row, actor="user:admin", now=now())
    rolling = Rolling(database)
    rolling.script.breaks.add(("roll-04", "verify"))
    rolling.script.hangs.add(("roll-02", "drain"))
    rolling.turn(12)
    return rolling


@dataclass
class Script:
    """A step for all names of steps: done at once, unless a machine hangs or breaks in it."""

    hangs: set[tuple[str, str]] = field(default_factory=set)  # machine, step
    breaks: set[tuple[str, str]] = field(default_factory=set)

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        """As said."""
        del memory, now
        place = (subject.machine, subject.step)
        if place in self.breaks:
            return Failed(
                "no_answer", "It does not answer on ssh.", "Look at its console.", {"asked": 3}, log="ssh: no\n"
            )
        if place in self.hangs:
            return Waiting("3 instances are still on it.", again=dt.timedelta(), log="3 left\n")
        return Done(f"{subject.step} is over.", {"seen": subject.step}, log=f"{subject.step}: fine\n")


@dataclass
class Rolling:
    """The runner, looked with by hand; its clock jumps past whatever a row waits for."""

    database: Database
    script: Script = field(default_factory=Script)
    ahead: dt.timedelta = dt.timedelta()

    def __post_init__(self) -> None:
        steps = dict.fromkeys({step for some in course.STEPS.values() for step in some}, self.script)
        self.runner = Runner(Hands(self.database, steps, self._clock), "test")

    def _clock(self) -> dt.datetime:
        return now() + self.ahead

    def turn(self, times: int = 1) -> None:
        """Look at everything that is due, so often."""
        for _ in range(times):
            self.ahead += dt.timedelta(seconds=31)
            rollouts, members = self.runner.due()
            for number in rollouts:
                self.runner.look(number)
            for number in members:
                self.runner.work(number)
