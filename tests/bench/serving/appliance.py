"""The appliance that is measured: rows of machines whose deployments wait for their answer file, and its processes."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import delete, insert, update

from pxeapp import config
from pxeapp.accounts import service
from pxeapp.db import Database, now
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Disk, Event, Interface, Machine, Network
from pxeapp.processes.serve import prepare
from pxeapp.provisioning import grants, steps, tokens
from pxeapp.provisioning.models import Deployment, NodeToken, Served
from pxeapp.provisioning.steps import Step
from pxeapp.software import adding
from pxeapp.software.releases import Description
from pxeapp.vault import open_vault
from tests.bench import cpu
from tests.ports import free_ports

START_S = 60.0
PASSWORD = "a long password of the bench"
ADDRESS = "127.0.0.1"
RELEASE, ROLE = "rocky-9", "compute"
VARS = {
    "timezone": "Europe/Rome",
    "ssh_authorized_keys": ["ssh-ed25519 " + "A" * 68 + " ada@example.org"],
    "root_password_hash": "$6$abcdefgh$" + "a" * 86,
}


class Attempt(NamedTuple):
    """A machine's deployment and the tokens that it was given."""

    id: int
    machine_id: int
    config: str
    callback: str


class Appliance:
    """Its data and settings; `node()` and `whole()` run its processes over them."""

    def __init__(self, *, machines: int, deploying: int = 0, initrd_mb: int = 1, **more: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pxeapp-bench-"))
        self.node_port, self.web_port = free_ports(2)
        password = self._folder / "password"
        password.write_text(f"{PASSWORD}\n")
        self.environ = {
            "PXEAPP_DATA_DIR": str(self._folder / "data"),
            "PXEAPP_NODE_LISTEN": f"{ADDRESS}:{self.node_port}",
            "PXEAPP_NODE_URL": f"http://{ADDRESS}:{self.node_port}",
            "PXEAPP_HTTP_LISTEN": f"{ADDRESS}:{self.web_port}",
            "PXEAPP_TFTP_LISTEN": f"{ADDRESS}:{free_ports(1)[0]}",
            "PXEAPP_ADMIN_PASSWORD_FILE": str(password),
            **{f"PXEAPP_{name.upper()}": value for name, value in more.items()},
        }
        self.settings = config.load(self.environ)
        prepare(self.settings)
        self.database = Database(self.settings.database_url)
        self._vault = open_vault(self.settings.data_dir)
        self._add_release(initrd_mb)
        self._add_machines(machines, deploying)
        self.attempts = self._deploy(deploying)

    @property
    def log(self) -> Path:
        """What its processes say."""
        return self._folder / "log"

    def close(self) -> None:
        """Throw it all away."""
        self.database.dispose()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextlib.contextmanager
    def node(self) -> Iterator[Processes]:
        """The front (nginx) and the machines' application, as `pxeapp serve` starts them."""
        with self._started("node") as node, self._started("front") as front:
            wait_for(self.node_port, "/healthz")
            yield Processes([node, front])

    @contextlib.contextmanager
    def whole(self) -> Iterator[Processes]:
        """All of `pxeapp serve`."""
        with self._started("serve") as server:
            wait_for(self.node_port, "/healthz")
            wait_for(self.web_port, "/healthz")
            yield Processes([server])

    @contextlib.contextmanager
    def web(self) -> Iterator[Processes]:
        """The operators' application alone."""
        with self._started("web") as web:
            wait_for(self.web_port, "/healthz")
            yield Processes([web])

    def begin_anew(self, step: Step = Step.KERNEL_FETCHED) -> None:
        """Every deployment as if its machine had just come to this step; for the next round."""
        at = now()
        kept = [step for step in Step if steps.rank(step) <= steps.rank(Step.KERNEL_FETCHED)]
        said = [
            steps.entry(each, now=at, source="http", message=f"10.77.0.11: {each}.", evidence={"address": ADDRESS})
            for each in kept
        ]
        with self.database.write() as session:
            session.execute(delete(Event))
            session.execute(delete(Served))
            session.execute(delete(NodeToken))
            session.execute(
                update(Deployment).values(
                    step=step, step_since=at, step_deadline=at + dt.timedelta(hours=1), due_at=at, steps=said,
                    deadline=at + steps.WHOLE_ATTEMPT, outcome=None, grant=grants.CLAIMED, claimed_address=ADDRESS,
                    claimed_at=at, progress="",
                )
            )  # fmt: skip
            rows = []
            for attempt in self.attempts:
                for scope, token, uses in (
                    (tokens.CONFIG, attempt.config, tokens.CONFIG_FETCHES), (tokens.CALLBACK, attempt.callback, None)
                ):  # fmt: skip
                    row = {"token_hash": tokens.hashed(token), "deployment_id": attempt.id, "scope": scope}
                    rows.append({**row, "uses_left": uses, "expires_at": at + dt.timedelta(minutes=55)})
            session.execute(insert(NodeToken), rows)

    def operators_token(self) -> str:
        """For the API and the pages."""
        with self.database.write() as session:
            _, secret = service.create_token(session, name="bench", role="viewer", actor="user:bench", now=now())
            return secret

    def said_wrong(self) -> list[str]:
        """What its processes said that nobody wants to read."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if "Traceback" in line or "locked" in line or "ERROR" in line]

    @contextlib.contextmanager
    def _started(self, command: str) -> Iterator[cpu.Server]:
        with cpu.Server(
            [sys.executable, "-m", "pxeapp", command],
            env={**os.environ, **self.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
            output=self.log,
        ) as server:
            yield server

    def _add_release(self, initrd_mb: int) -> None:
        files = self._folder / "files"
        files.mkdir()
        (files / "vmlinuz").write_bytes(os.urandom(1024))
        (files / "initrd.img").write_bytes(os.urandom(1024 * 1024) * initrd_mb)
        adding.from_directory(
            self.database,
            self.settings,
            Description(
                name=RELEASE,
                family="rocky",
                version="9",
                installer="kickstart",
                install_url="{node_url}/repo/rocky/9/BaseOS/x86_64/os",
            ),
            files,
            kernel="vmlinuz",
            initrd="initrd.img",
            actor="user:bench",
            now=now(),
        )

    def _add_machines(self, count: int, deploying: int) -> None:
        at = now()
        with self.database.write() as session:
            session.add(
                Network(
                    name="rack", cidr="10.77.0.0/16", gateway="10.77.0.1", dns=["10.77.0.1"], ntp=["10.77.0.1"],
                    domain="rack.example.org",
                )
            )  # fmt: skip
            session.flush()
            states = (State.ACTIVE, State.AVAILABLE, State.ENROLLED, State.DEPLOY_FAILED)
            session.execute(
                insert(Machine),
                [
                    {
                        "id": number, "name": f"node{number:05d}", "mac": _mac("52", number),
                        "serial": f"SN{number:07d}",
                        "state": State.DEPLOYING if number <= deploying else states[number % 4],
                        "power": "on", "role": ROLE, "release": RELEASE, "vars": VARS,
                        "labels": {"rack": f"r{number % 97:02d}", "row": f"{number % 7}"}, "created_at": at,
                        "updated_at": at,
                    }
                    for number in range(1, count + 1)
                ],
            )  # fmt: skip
            cards = []
            for number in range(1, count + 1):
                for name, start, offset in (("eno1", "52", 256), ("eno2", "56", 20_000)):
                    address = f"10.77.{(number + offset) >> 8}.{(number + offset) & 255}"
                    card = {"machine_id": number, "mac": _mac(start, number), "name": name}
                    cards.append({**card, "network": "rack", "address": address})
            session.execute(insert(Interface), cards)
            disks = (("system", "pci-0000:00:1f.2-ata-1"), ("data", "pci-0000:00:1f.2-ata-2"))
            session.execute(
                insert(Disk),
                [
                    {"machine_id": number, "purpose": purpose, "path": f"disk/by-path/{path}"}
                    for number in range(1, count + 1)
                    for purpose, path in disks
                ],
            )

    def _deploy(self, count: int) -> list[Attempt]:
        at = now()
        found = []
        with self.database.write() as session:
            for number in range(1, count + 1):
                row = Deployment(
                    machine_id=number, attempt=1, release=RELEASE, role=ROLE, requested_by="user:bench",
                    requested_at=at, step=Step.KERNEL_FETCHED, step_since=at, step_deadline=at + dt.timedelta(hours=1),
                    deadline=at + steps.WHOLE_ATTEMPT, due_at=at,
                )  # fmt: skip
                session.add(row)
                session.flush()
                config_token, callback = (tokens.derive(self._vault, row, scope) for scope in ("config", "callback"))
                found.append(Attempt(row.id, number, config_token, callback))
        return found


class Processes:
    """What runs, as one: the CPU of all, and the sockets to talk to."""

    def __init__(self, servers: Sequence[cpu.Server]) -> None:
        self._servers = servers

    def cpu_s(self) -> float:
        """CPU seconds of all of them."""
        return sum(server.cpu_s() for server in self._servers)

    def memory_mib(self) -> float:
        """Their resident memory."""
        return sum(server.memory_mib() for server in self._servers)


def _mac(start: str, number: int) -> str:
    return f"{start}:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def wait_for(port: int, path: str) -> None:
    """Until somebody answers there with 200; raises TimeoutError."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(ADDRESS, port, timeout=5)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"Nobody answered at {ADDRESS}:{port}{path} within {START_S:.0f} s.")
