"""Simulated machines against a whole real appliance: TFTP, nginx, HTTP, IPMI, queue, database; no firmware, no disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pxeapp.lab.fleet.fleet import Fleet
from pxeapp.lab.fleet.machine import Pace
from tests.lab.playing import playing
from tests.loopback import PXEAPP, RELEASE, LoopbackAppliance, installing_appliance

pytestmark = [pytest.mark.network, pytest.mark.nginx, pytest.mark.timeout(300)]
QUICK = Pace(self_test_s=0.3, start_s=0.2, install_s=1.0, words=2, reboot_s=0.3)
PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackAppliance]:
    folder = tmp_path_factory.mktemp("fleet")
    with installing_appliance(folder, installs_at_once="5", starts_per_minute="600") as running:
        yield running


def deployed(appliance: LoopbackAppliance, names: list[str], **more: object) -> dict[str, dict[str, Any]]:
    """Order them all, wait for the ends; the rows by machine."""
    numbers = {
        name: appliance.api.post(f"/machines/{name}/deploy", {"release": RELEASE, "role": "base", **more})["id"]
        for name in names
    }
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        rows = {name: appliance.api.get(f"/deployments/{number}") for name, number in numbers.items()}
        if all(row["outcome"] for row in rows.values()):
            break
        time.sleep(0.5)
    return rows


def test_a_fleet_becomes_active_in_its_turn_and_each_bmc_heard_each_command_once(appliance: LoopbackAppliance) -> None:
    fleet = Fleet(14, appliance.seen_by_machines, pace=QUICK, bmc_takes_s=0.2)
    fleet.machines[3].fault = "installer_fails"
    appliance.register(fleet.machines_file())
    with playing(fleet):
        rows = deployed(appliance, [machine.name for machine in fleet.machines])
        failed = rows.pop(fleet.machines[3].name)
        troubles = {machine.name: machine.troubles for machine in fleet.machines if machine.troubles}
        assert {name: row["reason"] for name, row in rows.items() if row["outcome"] != "succeeded"} == {}, troubles
        assert failed["outcome"] == "failed"
        assert "The simulated disk is broken." in failed["reason"]
        assert troubles == {}
    for machine in fleet.machines:
        assert machine.bmc.commands() == ["boot network", "power on"], machine.name
    waited = [name for name in rows if "queued" in kinds(appliance, name)]
    assert len(waited) >= 5, "five may install at once, so most had to wait for their turn"
    assert all(row["admitted_at"] for row in rows.values())


def kinds(appliance: LoopbackAppliance, name: str) -> list[str]:
    return [event["kind"] for event in appliance.api.get(f"/machines/{name}/events?limit=500")["items"]]


def test_the_command_plays_machines_that_can_be_registered_from_its_file(
    appliance: LoopbackAppliance, tmp_path: Path
) -> None:
    file = tmp_path / "fleet.json"
    process = subprocess.Popen(
        [*PXEAPP, "rack", "fleet", "--machines", "2", "--node-url", appliance.environment["PXEAPP_NODE_URL"],
         "--tftp", f"127.0.0.1:{appliance.tftp}", "--install-seconds", "1", "--file", str(file)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    said: list[str] = []
    try:
        assert process.stdout is not None
        assert "Register them" in process.stdout.readline()
        reader = threading.Thread(target=lambda: said.extend(process.stdout or ()))
        reader.start()
        # Under the names of the fleet before: their BMCs have moved, and so does the record.
        appliance.register(json.loads(file.read_text()))
        rows = deployed(appliance, ["sim00001", "sim00002"], reimage=True)
        assert {row["outcome"] for row in rows.values()} == {"succeeded"}
        deadline = time.monotonic() + 30
        while "2 running\n" not in said and time.monotonic() < deadline:
            time.sleep(0.2)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
    reader.join(10)
    process.stdout.close()
    assert said[0] == "2 off\n"
    assert "2 running\n" in said
    assert code == 0
