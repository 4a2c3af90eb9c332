"""An appliance with one machine, node1: fake BMC and simulated machine; real database, reconciler and HTTP."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from werkzeug.test import Client

from pxeapp import config
from pxeapp.answers import roles
from pxeapp.bmc.connect import FAKE_FOLDER, Connector
from pxeapp.bmc.fake import FakeBmc
from pxeapp.bmc.hands import Carrier
from pxeapp.bmc.power import PowerTimings
from pxeapp.db import now as present
from pxeapp.machines import selectors
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Bmc, Machine
from pxeapp.provisioning import lifecycle
from pxeapp.provisioning.checking import Checker
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.netboot import Provisioner
from pxeapp.provisioning.node_app import create_node_app
from pxeapp.provisioning.queue import Queue
from pxeapp.provisioning.reconciler import Reconciler
from pxeapp.provisioning.steps import Step
from pxeapp.software import adding
from pxeapp.software.releases import Description
from pxeapp.wiring import create_provisioner
from tests.migrated import migrate
from tests.provisioning.simulated import SimulatedMachine

MAC = "52:54:00:00:00:01"
NO_GAP = PowerTimings(poll=dt.timedelta(0), gap=dt.timedelta(0))  # the gap is proved in tests/bmc


@dataclass
class Rack:
    """One machine and everything that works on it."""

    provisioner: Provisioner
    client: Client
    bmc: FakeBmc
    carrier: Carrier
    reconciler: Reconciler

    @cached_property
    def checker(self) -> Checker:
        return Checker(self.provisioner.settings, self.provisioner.vault, self.provisioner.templates)

    def deploy(self, **more: object) -> int:
        with self.provisioner.database.write() as session:
            machine = selectors.get(session, "node1", lock=True)
            said: dict[str, object] = {"release": "rocky-9", "role": "compute", **more}
            deployment = lifecycle.deploy(
                session, machine, rehearsal=self.checker.unrehearsed(), requested_by="user:ada", now=present(), **said
            )  # type: ignore[arg-type]
            return deployment.id

    def work(self, deployment_id: int) -> None:
        """What the worker and the BMC worker do until nothing is due any more; time passes as it must."""
        later = present()
        for _ in range(60):
            self.reconciler.look(deployment_id, now=later)
            for hand in self.carrier.claim(limit=5):
                while self.carrier.step(hand):
                    pass
            if self.step(deployment_id) != Step.ARMED:
                break
            later += dt.timedelta(seconds=2)
        self.reconciler.look(deployment_id, now=later + dt.timedelta(seconds=1))

    def look(self, deployment_id: int, *, after: dt.timedelta = dt.timedelta(seconds=1)) -> None:
        self.reconciler.look(deployment_id, now=present() + after)

    def deployment(self, deployment_id: int) -> Deployment:
        with self.provisioner.database.read() as session:
            return session.get_one(Deployment, deployment_id)

    def step(self, deployment_id: int) -> str:
        return self.deployment(deployment_id).step

    def machine(self) -> Machine:
        with self.provisioner.database.read() as session:
            return selectors.get(session, "node1")

    def simulated(self, address: str = "10.77.0.11") -> SimulatedMachine:
        return SimulatedMachine(self.client, MAC, address)


@pytest.fixture
def rack_database_url() -> str:
    """SQLite in the data directory; test_postgresql.py says otherwise."""
    return ""


@pytest.fixture
def rack(tmp_path: Path, rack_database_url: str) -> Iterator[Rack]:
    """A rack for one test."""
    with built(tmp_path, rack_database_url) as found:
        yield found


@contextlib.contextmanager
def built(tmp_path: Path, rack_database_url: str = "", *, node_url: str = "http://10.77.0.1:8081") -> Iterator[Rack]:
    """A rack whose files are in this folder."""
    settings = config.load(
        {
            "PXEAPP_DATA_DIR": str(tmp_path / "data"),
            "PXEAPP_NODE_URL": node_url,
            "PXEAPP_DATABASE_URL": rack_database_url,
        }
    )
    provisioner = create_provisioner(settings)
    migrate(provisioner.database)
    files = tmp_path / "files"
    files.mkdir()
    (files / "vmlinuz").write_bytes(b"kernel" * 1000)
    (files / "initrd.img").write_bytes(b"initrd" * 1000)
    with provisioner.database.write() as session:
        roles.ensure_builtin(session, now=present())
        machine = Machine(name="node1", mac=MAC, state=State.ENROLLED, created_at=present(), updated_at=present())
        machine.bmc = Bmc(type="fake", address="node1")
        session.add(machine)
    adding.from_directory(
        provisioner.database,
        settings,
        Description(
            name="rocky-9",
            family="rocky",
            version="9",
            installer="kickstart",
            install_url="{node_url}/repo/rocky/9/BaseOS/x86_64/os",
        ),
        files,
        kernel="vmlinuz",
        initrd="initrd.img",
        actor="user:ada",
        now=present(),
    )
    bmc = FakeBmc(settings.data_dir / FAKE_FOLDER, "node1")
    bmc.set_power("on")
    app = create_node_app(provisioner, Queue(settings.queue_url), behind_front=False)
    yield Rack(
        provisioner,
        Client(app),
        bmc,
        Carrier(provisioner.database, Connector(settings, provisioner.vault), "bmc:1", present, NO_GAP),
        Reconciler(provisioner.database, provisioner.vault, "worker:1"),
    )
    provisioner.database.dispose()
