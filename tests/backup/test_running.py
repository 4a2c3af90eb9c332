"""The whole thing with real processes: backed up in the middle of its work, lost, restored elsewhere, let go on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from pxeapp.bmc.connect import FAKE_FOLDER
from pxeapp.bmc.fake import FakeBmc
from pxeapp.provisioning.steps import Step
from tests.loopback import RELEASE, LoopbackAppliance
from tests.sweep import size

pytestmark = [pytest.mark.network, pytest.mark.soak]


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def bmc(appliance: LoopbackAppliance, name: str) -> FakeBmc:
    return FakeBmc(appliance.folder / "data" / FAKE_FOLDER, name)


def commands(appliance: LoopbackAppliance, name: str) -> list[str]:
    return [each["command"] for each in bmc(appliance, name).received()]


def attempt(appliance: LoopbackAppliance, name: str) -> dict[str, Any]:
    found: dict[str, Any] = appliance.api.get(f"/deployments?machine={name}")["items"][0]
    return found


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[LoopbackAppliance]:
    """One machine waits to be seen off, one is about to netboot, one is idle."""
    found = LoopbackAppliance(tmp_path / "lost")
    try:
        found.start()
        found.add_release()
        names = ("slow", "booting", "idle")
        found.register(
            [
                {
                    "name": name, "mac": f"52:54:00:00:00:0{number}", "role": "compute", "release": RELEASE,
                    "bmc": {"type": "fake", "address": name},
                }
                for number, name in enumerate(names)
            ]
        )  # fmt: skip
        for name in names:
            bmc(found, name).set_power("on")
        bmc(found, "slow").behave("lying")  # it stays on, whatever it was told
        for name in ("slow", "booting"):
            found.api.post(f"/machines/{name}/deploy", {})
        until(lambda: "power off" in commands(found, "slow"), "slow was not told to go off")
        until(lambda: attempt(found, "booting")["step"] == Step.POWER_CYCLED, "booting was not switched on")
        yield found
    finally:
        found.stop()


def test_an_appliance_lost_in_the_middle_of_its_work_is_restored_and_moves_nothing_until_told_to(
    lost: LoopbackAppliance, tmp_path: Path
) -> None:
    source = tmp_path / "b.tar.gz"
    lost.command("backup", str(source))
    lost.stop()
    found = LoopbackAppliance(tmp_path / "found")
    assert "pxeapp resume" in found.command("restore", str(source))
    shutil.copytree(lost.folder / "data" / FAKE_FOLDER, found.folder / "data" / FAKE_FOLDER)  # the rack is the same
    before = {name: commands(found, name) for name in ("slow", "booting", "idle")}
    try:
        found.start()
        assert "only observes" in requests.get(f"{found.url}/readyz", timeout=30).json()["observing"]
        until(lambda: found.api.get("/machines/booting")["power"] == "on", "its power was not read anew")
        for path, body in (("deploy", {}), ("power", {"action": "off"})):
            refused = requests.post(
                f"{found.url}/api/v1/machines/idle/{path}",
                json=body,
                headers={"Authorization": f"Bearer {found.command('token', 'create', '--role', 'admin').strip()}"},
                timeout=30,
            )
            assert refused.status_code == 409
            assert "pxeapp resume" in refused.json()["hint"]
        script = requests.get(f"http://127.0.0.1:{found.node}/boot/ipxe?mac=52:54:00:00:00:01", timeout=30).text
        assert "/media/" not in script
        time.sleep(size(3, 60))  # workers and tickers come by
        assert {name: commands(found, name) for name in before} == before
        assert {attempt(found, name)["outcome"] for name in ("slow", "booting")} == {None}
        found.command("resume")
        found.api.post("/machines/idle/power", {"action": "off"})
        until(lambda: commands(found, "idle")[-1] == "power off", "it does not work again")
        time.sleep(size(2, 60))
        for name in ("slow", "booting"):  # nor is what was under way taken up again
            assert commands(found, name) == before[name]
        script = requests.get(f"http://127.0.0.1:{found.node}/boot/ipxe?mac=52:54:00:00:00:01", timeout=30).text
        assert "/media/" not in script
    finally:
        found.stop()
    assert "Traceback" not in found.log.read_text()
