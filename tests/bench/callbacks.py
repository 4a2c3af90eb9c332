"""Installers' reports: 64 at a time on SQLite, each durable before it is answered, while somebody else writes too."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from sqlalchemy import func, select, update

from pxeapp.machines.models import Event, Machine
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from tests.bench.rounds import Contender, Figures, Target, Work, quantile, timed
from tests.bench.serving import load
from tests.bench.serving.appliance import ADDRESS, Appliance, Processes

CLIENTS = 64
REPORTS = ("started", "progress", "installed", "first_boot")
REACHED = (Step.INSTALLING, "progress", Step.INSTALLED, Step.FIRST_BOOT)
RIVAL_EVERY_S = 0.05


def works(*, quick: bool) -> list[Work]:
    """One work: each machine reports four times, one after the other."""
    found = _Callbacks(machines=100 if quick else 1000)
    return [
        Work(
            name="callbacks",
            title="Callbacks from 64 clients on SQLite, durable before they are answered",
            contenders=[Contender("pxeapp", found.run)],
            targets=[
                Target("refused or lost", at_most=0, says="no lock error, nothing refused or lost"),
                Target("callbacks/s", at_least=300, says="at least 300/s"),
            ],
            rounds=3 if quick else 5,
            prepared=found.prepared,
            notes=[
                f"{found.machines} machines report {', '.join(REPORTS)}, {CLIENTS} machines at a time, through nginx.",
                f"SQLite with synchronous=FULL; another process writes every {RIVAL_EVERY_S * 1000:.0f} ms.",
            ],
        )
    ]


class _Callbacks:
    def __init__(self, *, machines: int) -> None:
        self.machines = machines
        self._appliance: Appliance
        self._processes: Processes

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """The front and the machines' application."""
        with ExitStack() as stack:
            self._appliance = Appliance(machines=self.machines, deploying=self.machines)
            stack.callback(self._appliance.close)
            self._processes = stack.enter_context(self._appliance.node())
            yield

    def run(self) -> Figures:
        """All reports of all machines."""
        self._appliance.begin_anew(Step.ANSWER_FETCHED)
        bodies = [json.dumps({"event": event, "message": f"{event} of the bench"}).encode() for event in REPORTS]
        paths = [f"/c/{attempt.callback}/events" for attempt in self._appliance.attempts]
        said = [0] * len(paths)
        seconds: list[float] = []
        refused = 0

        def next_report(machine: int, reply: load.Reply) -> bytes | None:
            nonlocal refused
            seconds.append(reply.seconds)
            refused += reply.status != 200
            said[machine] += 1
            return load.post(paths[machine], bodies[said[machine]]) if said[machine] < len(bodies) else None

        first = [load.post(path, bodies[0]) for path in paths]
        before = self._processes.cpu_s()
        with self._rival(), timed() as wall:
            load.storm((ADDRESS, self._appliance.node_port), first, clients=CLIENTS, follow=next_report)
        used = self._processes.cpu_s() - before
        return {
            "callbacks/s": len(seconds) / wall[0],
            "CPU ms": used / len(seconds) * 1000,
            "p50 ms": quantile(seconds, 0.5) * 1000,
            "p99 ms": quantile(seconds, 0.99) * 1000,
            "refused or lost": refused + self._lost() + len(self._appliance.said_wrong()),
        }

    def _lost(self) -> int:
        """Events that are not in the timeline exactly once, and machines that are not where they said."""
        with self._appliance.database.read() as session:
            rows = session.execute(
                select(Event.kind, func.count())
                .where(Event.kind.in_(REACHED))
                .group_by(Event.kind, Event.deployment_id)
            )
            once = sum(count == 1 for _, count in rows)
            there = session.scalar(select(func.count()).where(Deployment.step == Step.FIRST_BOOT)) or 0
        return len(REACHED) * self.machines - once + self.machines - there

    @contextmanager
    def _rival(self) -> Iterator[None]:
        """Another process' writer, as the reconciler and the BMC worker are."""
        stop = threading.Event()

        def write() -> None:
            while not stop.wait(RIVAL_EVERY_S):
                with self._appliance.database.write() as session:
                    session.execute(update(Machine).where(Machine.id == 1).values(power="on"))

        rival = threading.Thread(target=write)
        rival.start()
        try:
            yield
        finally:
            stop.set()
            rival.join()
