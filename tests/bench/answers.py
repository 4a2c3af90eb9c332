"""Answer files by token over HTTP, through the real front and node processes, beside Cobbler's rendering."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from pxeapp.machines.models import Event
from pxeapp.provisioning.models import Deployment, Served
from pxeapp.provisioning.steps import Step
from tests.bench.peers import cobbler
from tests.bench.peers.cobbler import Cobbler
from tests.bench.rounds import Contender, Figures, Target, Work, quantile, timed
from tests.bench.serving import load
from tests.bench.serving.appliance import ADDRESS, Appliance, Processes

CLIENTS = 64
FOLDER = Path(".run/bench").absolute()


def works(*, quick: bool) -> list[Work]:
    """One work: each machine's first fetch, which checks the token, renders, and commits evidence and hash."""
    found = _Answers(machines=200 if quick else 2000, systems=20 if quick else 200)
    return [
        Work(
            name="answers",
            title="Answer file by token over HTTP: token check, event, render of a real role, committed",
            contenders=[Contender("pxeapp", found.ours), Contender("Cobbler", found.theirs)],
            targets=[
                Target("CPU ms", at_most=0.6, says="at most 0.6 ms of server CPU each"),
                Target("answers/s", at_least=15, against="Cobbler", says="at least 15 x Cobbler's rate"),
            ],
            rounds=3 if quick else 5,
            prepared=found.prepared,
            notes=[
                f"{found.machines} machines fetch their kickstart once each, {CLIENTS} at a time, through nginx.",
                "Each on a connection of its own; the bytes received are compared with the hash on record.",
                f"Cobbler {cobbler.VERSION}: its sample.ks (6 kB) by XMLRPC, 8 clients; it records nothing.",
            ],
        )
    ]


class _Answers:
    def __init__(self, *, machines: int, systems: int) -> None:
        self.machines = machines
        self._systems = systems
        self._appliance: Appliance | None = None
        self._processes: Processes | None = None
        self._cobbler: Cobbler | None = None
        self._why_not = ""

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Both run the whole time; the one that is not asked is idle."""
        with ExitStack() as stack:
            self._appliance = Appliance(machines=self.machines, deploying=self.machines)
            stack.callback(self._appliance.close)
            self._processes = stack.enter_context(self._appliance.node())
            try:
                self._cobbler = Cobbler(FOLDER, self._systems)
                stack.callback(self._cobbler.stop)
            except cobbler.Absent as error:
                self._why_not = str(error)
            yield

    def ours(self) -> Figures:
        """Every machine fetches its answer file for the first time."""
        assert self._appliance is not None
        assert self._processes is not None
        self._appliance.begin_anew()
        requests = [load.get(f"/a/{attempt.config}/kickstart") for attempt in self._appliance.attempts]
        before = self._processes.cpu_s()
        with timed() as wall:
            replies = load.storm((ADDRESS, self._appliance.node_port), requests, clients=CLIENTS)
        used = self._processes.cpu_s() - before
        self._check(replies)
        return {
            "CPU ms": used / len(replies) * 1000,
            "answers/s": len(replies) / wall[0],
            "p99 ms": quantile([reply.seconds for reply in replies], 0.99) * 1000,
            "kB": len(replies[0].body) / 1000,
        }

    def _check(self, replies: list[load.Reply]) -> None:
        """Each got its own, its hash is on record, and its step and its event are there."""
        assert self._appliance is not None
        wrong = [reply.status for reply in replies if reply.status != 200]
        assert not wrong, f"{len(wrong)} of {len(replies)} were refused, the first with {wrong[0]}"
        got = [hashlib.sha256(reply.body).hexdigest() for reply in replies]
        with self._appliance.database.read() as session:
            rows = session.execute(select(Served.deployment_id, Served.sha256)).all()
            reached = select(func.count()).where(Deployment.step == Step.ANSWER_FETCHED)
            noted = select(func.count()).select_from(Event).where(Event.kind == Step.ANSWER_FETCHED)
            assert session.scalar(reached) == session.scalar(noted) == len(replies)
        recorded = {row.deployment_id: row.sha256 for row in rows}
        assert [recorded[attempt.id] for attempt in self._appliance.attempts] == got

    def theirs(self) -> Figures:
        """Each system's kickstart once, by XMLRPC."""
        if self._cobbler is None:
            raise cobbler.Absent(self._why_not)
        here = threading.local()

        def render(name: str) -> tuple[float, int]:
            remote: Any = getattr(here, "remote", None)
            if remote is None:
                remote = here.remote = cobbler.client()
            began = time.perf_counter()
            text = remote.generate_autoinstall("", name)
            assert name in text or len(text) > 3000, text[:200]
            return time.perf_counter() - began, len(text)

        before = self._cobbler.server.cpu_s()
        with timed() as wall, ThreadPoolExecutor(8) as pool:
            done = list(pool.map(render, self._cobbler.names))
        used = self._cobbler.server.cpu_s() - before
        return {
            "CPU ms": used / len(done) * 1000,
            "answers/s": len(done) / wall[0],
            "p99 ms": quantile([seconds for seconds, _ in done], 0.99) * 1000,
            "kB": done[0][1] / 1000,
        }
