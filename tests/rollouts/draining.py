"""A machine that is drained in a test: its row, a rollout about it, a cloud over HTTP, and a runner of looks."""

from __future__ import annotations

import copy
import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

from netaddr import IPNetwork
from sqlalchemy import select

from pxeapp.clouds import service
from pxeapp.clouds.directory import Clouds
from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.machines.models import Machine
from pxeapp.nodes.jobs import Job
from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts.port import Done, Failed, Outcome, Subject, Waiting
from pxeapp.rollouts.spec import Spec
from pxeapp.rollouts.steps.before import Before
from pxeapp.rollouts.steps.drain import Drain, Undrain
from pxeapp.rollouts.steps.swift import Swift
from pxeapp.vault import Vault
from tests.clouds.fake_cloud import PASSWORD, FakeCloud

T0 = dt.datetime(2026, 11, 26, 3, 0, tzinfo=dt.UTC)
LOOPBACK = (IPNetwork("127.0.0.0/8"),)
VAULT = Vault(b"k" * 32)


@dataclass
class Ran:
    """What a command left."""

    exit_code: int
    output: str = ""


@dataclass
class Bench:
    """Machines that can be looked into in a test: what they answer is written here; what was run is kept."""

    boot_ids: dict[int, str] = field(default_factory=dict)
    answers: dict[str, list[Ran]] = field(default_factory=dict)
    jobs: dict[str, list[Job]] = field(default_factory=dict)  # what each look at a job of this command says
    started: list[tuple[str, str]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    away: PxeError | None = None

    def reaches(self, machine_id: int) -> bool:
        return machine_id in self.boot_ids

    def boot_id(self, machine_id: int) -> str:
        if self.away is not None:
            raise self.away
        return self.boot_ids[machine_id]

    def run(self, machine_id: int, command: str, timeout_s: float) -> Ran:
        if self.away is not None:
            raise self.away
        said = self.answers.get(command, [Ran(0)])
        return said.pop(0) if len(said) > 1 else said[0]

    def start_job(self, machine_id: int, name: str, script: str) -> None:
        if name not in [each for each, _ in self.started]:
            self.started.append((name, script))

    def job(self, machine_id: int, name: str, offset: int) -> Job:
        script = next((script for each, script in self.started if each == name), None)
        if script is None:
            return Job("absent", None, "", offset)
        said = self.jobs[script]
        return said.pop(0) if len(said) > 1 else said[0]

    def stop_job(self, machine_id: int, name: str) -> None:
        self.stopped.append(name)


@dataclass
class Course:
    """Looks of the two steps at one machine, with a clock that goes on as the step asks for it."""

    database: Database
    cloud: FakeCloud | None
    bench: Bench
    drain_says: dict[str, Any]
    machine_id: int
    role: str | None = "compute"
    rollout: int = 7
    tries: int = 1
    gates: tuple[dict[str, Any], ...] = ()
    now: dt.datetime = T0
    memory: dict[str, Any] = field(default_factory=dict)
    earlier: dict[str, Any] = field(default_factory=dict)
    log: str = ""
    says: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clouds = Clouds(self.database, VAULT, LOOPBACK)

    def look(self, step: str = "drain") -> Outcome:
        """One look, by a process that remembers nothing but what was written down as JSON."""
        subject = self.subject(step)
        memory = json.loads(json.dumps(self.memory))
        swift = Swift(self.database, Nodes(self.database, VAULT))
        steps = {
            "drain": Drain(Before(self.database, self.bench), self.clouds, self.bench, swift),
            "undrain": Undrain(self.clouds, self.bench, swift),
        }
        found = steps[step].look(subject, memory, now=self.now)
        self.memory = dict(found.memory)
        self.log += found.log
        self.says.append(found.says)
        if isinstance(found, Waiting):
            self.now += max(found.again, dt.timedelta(seconds=1))
        return found

    def subject(self, step: str) -> Subject:
        said = {
            "name": "test", "machines": {"names": ["node1"]}, "action": {"reboot": {}}, "drain": self.drain_says,
            "verify": {"gates": list(self.gates)},
        }  # fmt: skip
        return Subject(
            rollout_id=self.rollout, member_id=3, machine_id=self.machine_id, machine="node1", role=self.role,
            release=None, cluster="prod", spec=Spec.model_validate(said), step=step, tries=self.tries, began_at=T0,
            earlier=copy.deepcopy(self.earlier),
        )  # fmt: skip

    def run(self, step: str = "drain", *, looks: int = 60) -> Done | Failed:
        """Look until it is over."""
        self.memory = {}
        for _ in range(looks):
            found = self.look(step)
            if not isinstance(found, Waiting):
                self.earlier[step] = dict(found.memory)
                return found
        raise AssertionError(f"It still waits after {looks} looks: {self.says[-3:]}")


def course(database: Database, cloud: FakeCloud, said: dict[str, Any] | None = None, **more: Any) -> Course:
    """A machine node1 that is drained by the cloud `prod`."""
    machine_id = add_machine(database)
    with database.write() as session:
        service.create(
            session, VAULT,
            {"name": "prod", "auth_url": f"{cloud.url}/identity/v3", "username": "admin", "project": "admin",
             "secret": PASSWORD},
            actor="user:ada", now=T0,
        )  # fmt: skip
    return Course(database, cloud, Bench(), {"openstack": {"cloud": "prod", **(said or {})}}, machine_id, **more)


def add_machine(database: Database) -> int:
    with database.write() as session:
        session.add(Machine(name="node1", mac="52:54:00:00:00:01", created_at=T0, updated_at=T0))
        session.flush()
        return session.scalars(select(Machine.id)).one()
