"""Power: our BMC worker beside a bare thread pool of pyghmi calls and beside ipmitool; and what one dead BMC costs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from pxeapp import config, migrations
from pxeapp.bmc import power
from pxeapp.bmc.models import PowerAction
from pxeapp.db import Database, now
from pxeapp.machines.models import Bmc, Machine
from pxeapp.vault import open_vault
from tests.bench.cpu import Server
from tests.bench.power_load.fleet import LOGIN
from tests.bench.power_load.peers import AT_ONCE
from tests.bench.rounds import Contender, Figures, Target, Work

REAL = {"takes_s": 1.5, "reply_after_s": 0.003}  # a server's: power takes a while to show, an answer some milliseconds
AT_ONCE_BMC = {"takes_s": 0.0, "reply_after_s": 0.0}
READY_S, DONE_S = 120.0, 300.0
TOLD = ["power off", "boot network", "power on"]
JOB = (
    "Each machine is on and is netbooted: status, off, seen off, boot device network, read back, on, seen on. Every"
    " BMC's own log is read afterwards: who left one of them out, or ours that told one twice, has failed the round."
)
BMCS = "Simulated BMCs in a process of their own (IPMI 2.0, cipher suite 17):"
LIFELIKE = f"{BMCS} power takes 1.5 s to show, an answer 3 ms."
AT_ONCE_SAID = f"{BMCS} all at once. No real BMC is; it shows what the machinery itself costs."
PEERS = f"The peers work on {AT_ONCE} BMCs at once, look every 0.5 s, keep no record and make no pause."
OURS = (
    "Ours is `pxeapp bmc-worker` as shipped, on SQLite: every intent, send and observation is committed, and 2 s lie"
    " between two power commands to a BMC. The time runs from the commit of the orders to the last action's end."
)


def works(*, quick: bool) -> list[Work]:
    """Small and big racks, BMCs that follow at once, and one dead BMC among many."""
    few, many = (10, 20) if quick else (100, 500)
    return [
        _cycle(few, REAL, rounds=3, with_ipmitool=True),
        _cycle(many, REAL, rounds=1 if quick else 3, with_ipmitool=False),
        _cycle(many, AT_ONCE_BMC, rounds=1 if quick else 3, with_ipmitool=False),
        _dead(few, rounds=1 if quick else 5),
    ]


def _cycle(count: int, like: dict[str, float], *, rounds: int, with_ipmitool: bool) -> Work:
    rack = Rack(count, like)
    contenders = [Contender("pxeapp", rack.ours), Contender("pyghmi pool", lambda: rack.peer("pyghmi"))]
    if with_ipmitool:
        contenders.append(Contender("ipmitool", lambda: rack.peer("ipmitool")))
    instant = "" if like["takes_s"] else ", BMCs that follow at once"
    return Work(
        f"power-{count}{'-instant' if instant else ''}",
        f"Safe power cycle with boot device, {count} simulated BMCs{instant}",
        contenders,
        [Target("s", at_most=1.5, against="pyghmi pool", says="at most 1.5 x the time of a bare pool of pyghmi calls")],
        rounds,
        rack.standing,
        (JOB, AT_ONCE_SAID if instant else LIFELIKE, PEERS, OURS),
    )


def _dead(count: int, *, rounds: int) -> Work:
    rack = Rack(count, REAL)
    says = f"one dead BMC in {count} delays the others by at most 10 %"
    return Work(
        "power-dead",
        f"Safe power cycle, {count} simulated BMCs, one of them dead",
        [Contender("one dead", lambda: rack.ours(dead=1)), Contender("all alive", lambda: rack.ours(spare=1))],
        [Target("others done s", at_most=1.10, against="all alive", says=says)],
        rounds,
        rack.standing,
        (
            JOB,
            LIFELIKE,
            OURS,
            "The dead one stops answering just before the orders come, so that nothing knows it yet.",
        ),
    )


@dataclass
class Rack:
    """Simulated BMCs, and what is done to them."""

    count: int
    like: dict[str, float]
    ports: list[int] = field(default_factory=list)
    _ask: Callable[..., Any] = field(init=False)

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """The BMCs run, in a process of their own."""
        argv = [sys.executable, "-m", "tests.bench.power_load.fleet"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            into, out = process.stdin, process.stdout

            def ask(what: str, **given: Any) -> Any:
                into.write(json.dumps({"ask": what, **given}) + "\n")
                into.flush()
                return json.loads(out.readline())

            self._ask = ask
            self.ports = ask("more", count=self.count, like=self.like)
            try:
                yield
            finally:
                into.close()

    def ours(self, *, dead: int = 0, spare: int = 0) -> Figures:
        """Our worker with a fresh database; `dead` are silent, and `spare` as many well ones that nobody waits for."""
        self._ask("reset", like=self.like)
        with tempfile.TemporaryDirectory(prefix="pxeapp-bench-") as folder:
            appliance = Appliance(Path(folder), self.ports)
            with Server(
                [sys.executable, "-m", "pxeapp", "bmc-worker"], env=appliance.env, output=Path(folder) / "worker.log"
            ) as worker:
                wait_for(appliance.all_seen, READY_S, "the first look at every BMC")
                self._ask("sicken", count=dead, illness="silent")
                fleet_before, cpu_before = self._ask("report")["cpu_s"], worker.cpu_s()
                began, ordered = time.perf_counter(), appliance.order()
                waited_for = ordered[dead + spare :]
                wait_for(lambda: appliance.ended(waited_for), DONE_S, "every action to end")
                wall, cpu = time.perf_counter() - began, worker.cpu_s() - cpu_before
                memory = worker.memory_mib()
            appliance.check(waited_for)
            report = self._ask("report")
            self._check(report["bmcs"][dead:], exactly=True)
            appliance.database.dispose()
            if dead or spare:
                return {"others done s": wall}
            return {
                "s": wall,
                "CPU ms/BMC": cpu / self.count * 1e3,
                "BMCs' CPU ms/BMC": (report["cpu_s"] - fleet_before) / self.count * 1e3,
                "logins/BMC": sum(bmc["logins"] for bmc in report["bmcs"]) / self.count,
                "MiB": memory,
            }

    def peer(self, name: str) -> Figures:
        """A peer, in a process of its own."""
        self._ask("reset", like=self.like)
        fleet_before = self._ask("report")["cpu_s"]
        with tempfile.TemporaryDirectory() as folder, _talking(name, Path(folder)) as (server, say, hear):
            say(json.dumps(self.ports))
            hear()
            cpu_before = server.cpu_s()
            say("go")
            told = json.loads(hear())
            cpu = server.cpu_s() - cpu_before
            memory = server.memory_mib()
        report = self._ask("report")
        if told["errors"]:
            raise RuntimeError(f"{len(told['errors'])} BMCs failed, first {told['errors'][0]}")
        self._check(report["bmcs"], exactly=False)
        return {
            "s": told["wall_s"],
            "CPU ms/BMC": cpu / self.count * 1e3,
            "BMCs' CPU ms/BMC": (report["cpu_s"] - fleet_before) / self.count * 1e3,
            "logins/BMC": sum(bmc["logins"] for bmc in report["bmcs"]) / self.count,
            "MiB": memory,
        }

    @staticmethod
    def _check(bmcs: list[dict[str, Any]], *, exactly: bool) -> None:
        for bmc in bmcs:
            told = bmc["told"] if exactly else list(dict.fromkeys(bmc["told"]))
            if told != TOLD or not bmc["on"] or bmc["from"] != "network":
                raise RuntimeError(f"A BMC was left like this: {bmc}")


@contextlib.contextmanager
def _talking(name: str, folder: Path) -> Iterator[tuple[Server, Callable[[str], None], Callable[[], str]]]:
    """A measured process that is spoken to through two pipes: `Server` keeps its standard streams to itself."""
    to, back = folder / "to", folder / "back"
    os.mkfifo(to)
    os.mkfifo(back)
    argv = ["sh", "-c", f'exec "$@" <{to} >{back}', "sh", sys.executable, "-m", "tests.bench.power_load.peers", name]
    with Server(argv) as server, to.open("w") as into, back.open() as out:

        def say(line: str) -> None:
            into.write(line + "\n")
            into.flush()

        yield server, say, out.readline


class Appliance:
    """A database with machines, as the worker finds it."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PXEAPP_")},
            "PXEAPP_DATA_DIR": str(folder),
        }
        settings = config.load({key: value for key, value in self.env.items() if key.startswith("PXEAPP_")})
        password = open_vault(folder).encrypt(LOGIN["password"])
        self.database = Database(settings.database_url)
        migrations.upgrade(self.database)
        at = now()
        with self.database.write() as session:
            for number, port in enumerate(ports):
                machine = Machine(name=f"n{number}", mac=_mac(number), created_at=at, updated_at=at)
                machine.bmc = Bmc(
                    type="ipmi", address="127.0.0.1", port=port, username=LOGIN["username"],
                    password_encrypted=password, cipher_suite=17,
                )  # fmt: skip
                session.add(machine)

    def all_seen(self) -> bool:
        """Whether the worker has looked at each machine's power once."""
        with self.database.read() as session:
            return not session.scalar(select(func.count()).select_from(Machine).where(Machine.power != "on"))

    def order(self) -> list[int]:
        """Order a netboot of every machine, in one transaction; the actions' numbers in the machines' order."""
        with self.database.write() as session:
            machines = session.scalars(select(Machine.id).order_by(Machine.id)).all()
            orders = [
                power.request(session, machine_id=machine, goal="netboot", requested_by="user:bench", now=now())
                for machine in machines
            ]
            return [order.id for order in orders]

    def ended(self, actions: list[int]) -> bool:
        """Whether all of them have."""
        with self.database.read() as session:
            running = select(func.count()).where(PowerAction.id.in_(actions), PowerAction.finished_at.is_(None))
            return not session.scalar(running)

    def check(self, actions: list[int]) -> None:
        """Raise unless all ended well."""
        with self.database.read() as session:
            bad = session.scalars(
                select(PowerAction).where(PowerAction.id.in_(actions), PowerAction.outcome != power.DONE)
            )
            for action in bad:
                raise RuntimeError(f"Power action {action.id}: {action.outcome}, {action.error}")


def _mac(number: int) -> str:
    return "52:54:00:" + ":".join(f"{number:06x}"[at : at + 2] for at in (0, 2, 4))


def wait_for(there: Callable[[], bool], seconds: float, what: str) -> None:
    """Look ten times a second."""
    deadline = time.monotonic() + seconds
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)
