"""The real BMC worker and Redfish: a power action is three commands, and a certificate is kept with the machine."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import urllib3
from sqlalchemy import select

from pxeapp import config
from pxeapp.audit import AuditRow
from pxeapp.bmc import orders
from pxeapp.bmc.models import BmcOrder
from pxeapp.bmc.redfish.driver import RedfishBmc
from pxeapp.bmc.worker import BmcWorker
from pxeapp.config import Settings
from pxeapp.db import now
from pxeapp.machines.models import Bmc
from pxeapp.vault import open_vault
from tests.bmc.rack import Site
from tests.bmc.redfish.service import PASSWORD, USER, Service, certificate, running
from tests.bmc.simulator import wait_until
from tests.ports import free_port

pytestmark = [pytest.mark.network]


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("pem"))


@pytest.fixture
def settings(site: Site) -> Settings:
    del site  # it says in the environment where everything lies
    return config.load()


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=BmcWorker(settings).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def machine(site: Site, service: Service) -> int:
    password = open_vault(site.data_dir).encrypt(PASSWORD)
    return site.machine(
        1, type="redfish", address="127.0.0.1", port=service.port, username=USER, password_encrypted=password
    )


def test_a_netboot_is_off_boot_device_and_on_each_once(site: Site, settings: Settings, pem: Path) -> None:
    with running(pem) as service:
        service.tree["/redfish/v1/Systems/437XR1138R2"]["PowerState"] = "On"
        number = machine(site, service)
        action = site.order(number, "netboot")
        with working(settings):
            wait_until(lambda: site.ended(action), seconds=60, what="the power action")
        assert (site.action(action).outcome, site.action(action).error) == ("done", "")
        with site.database.read() as session:
            kept = session.scalar(select(Bmc.certificate).where(Bmc.machine_id == number))
            told = session.scalars(select(AuditRow.action)).all()
        assert [each.partition(" ")[0] for each in service.commands] == ["reset", "patch", "reset"]
        assert service.commands[0] == "reset ForceOff"
        assert '"BootSourceOverrideTarget": "Pxe"' in service.commands[1]
        assert service.commands[2] == "reset On"
        assert kept == service.fingerprint
        assert told.count("bmc.certificate") == 1


def test_readings_are_ordered_and_kept(site: Site, settings: Settings, pem: Path) -> None:
    with running(pem) as service:
        number = machine(site, service)
        with site.database.write() as session:
            for kind in ("sensors", "sel", "identity", "boot_device"):
                orders.request(session, machine_id=number, kind=kind, requested_by="user:ada", now=now())
        with working(settings):
            wait_until(lambda: _all_ended(site), seconds=60, what="the readings")
        with site.database.read() as session:
            said = {each.kind: (each.outcome, each.error) for each in session.scalars(select(BmcOrder))}
    assert said == dict.fromkeys(("sensors", "sel", "identity", "boot_device"), ("done", ""))


def test_the_emulator_of_the_fields_own_project_is_switched(tmp_path: Path, pem: Path) -> None:
    port = free_port()
    key, crt = pem.with_name("bmc.key"), pem.with_name("bmc.crt")
    settings = tmp_path / "emulator.conf"
    settings.write_text(f"SUSHY_EMULATOR_STATE_DIR = {str(tmp_path)!r}\n")
    command = [str(Path(sys.executable).with_name("sushy-emulator")), "--fake", "-i", "127.0.0.1", "-p", str(port)]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [*command, "--ssl-certificate", str(crt), "--ssl-key", str(key), "--config", str(settings)],
            stdout=log, stderr=log,
        ) as process,
    ):  # fmt: skip
        try:
            wait_until(lambda: _answers(port), seconds=60, what="the emulator")
            found = RedfishBmc("127.0.0.1", port, "admin", "password")
            before = found.power_state()
            wanted = "off" if before == "on" else "on"
            assert found.set_power(wanted)
            wait_until(lambda: found.power_state() == wanted, seconds=30, what=wanted)
            assert found.set_boot_device("network", uefi=True)
            assert found.boot_device() == "network"
            assert found.identity().guid
        finally:
            process.kill()


def _answers(port: int) -> bool:
    with urllib3.warnings.catch_warnings():
        urllib3.warnings.simplefilter("ignore")
        try:
            return requests.get(f"https://127.0.0.1:{port}/redfish/v1/", verify=False, timeout=5).ok  # noqa: S501
        except requests.RequestException:
            return False


def _all_ended(site: Site) -> bool:
    with site.database.read() as session:
        return all(each.finished_at is not None for each in session.scalars(select(BmcOrder)))
