"""The main job over real firmware, DHCP, TFTP, HTTP and IPMI, while every process of the appliance is killed once.

Two machines, BIOS and UEFI, go from cold metal to `active`. Whatever dies, no power command is sent twice, the data
disk is not touched, and both call in from their own disks.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pxeapp.lab.appliance import STANDIN, Appliance
from pxeapp.lab.client import Api
from pxeapp.lab.images.build import StandIn
from pxeapp.lab.rack import Rack
from pxeapp.lab.spec import build
from tests.lab import needs, parts

pytestmark = [*needs.APPLIANCE, pytest.mark.timeout(1200)]

MACHINES = (
    {
        "name": "bios1",
        "firmware": "bios",
        "role": "storage",
        "release": STANDIN,
        "network_first": True,
        "data_disks": 1,
    },
    {"name": "uefi1", "firmware": "uefi", "nic_rom": "firmware", "role": "compute", "release": STANDIN},
)
# The step of a machine -> the process that is killed when it gets there. Together: every process, each in the middle
# of what it is for.
KILLS = {
    ("bios1", "armed"): "bmc-worker",
    ("uefi1", "power_cycled"): "dhcp",
    ("bios1", "dhcp_seen"): "front",
    ("uefi1", "armed"): "tftp",  # not while it sends: what it had not yet written down would be seen by HTTP instead
    ("bios1", "kernel_fetched"): "node",
    ("uefi1", "kernel_fetched"): "worker",
    ("bios1", "installing"): "web",
    ("uefi1", "installing"): "serve",
}
STEPS = ["armed", "power_cycled", "dhcp_seen", "nbp_fetched", "kernel_fetched", "answer_fetched", "installing"]
STEPS += ["installed", "first_boot", "verified"]
PATIENCE_S = 900.0
MARK = b"this data disk belongs to Cinder" * 16


@pytest.fixture(scope="module")
def appliance(standin: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("appliance")
    rack = Rack.up(build({"name": "e2e", "network": "10.76.0.0/24", "machines": list(MACHINES)}), folder / "rack")
    try:
        running = Appliance(rack, folder)
        running.start()
        running.add_standin(standin)
        running.register_rack(running.api("admin"))
        yield running
    finally:
        rack.down()


@pytest.fixture(scope="module")
def api(appliance: Appliance) -> Api:
    return appliance.api("operator")


class Killer:
    """Kills each part once, when its moment has come, and starts `serve` again as a service manager would."""

    def __init__(self, appliance: Appliance) -> None:
        self.appliance = appliance
        self.left = dict(KILLS)
        self.killed: list[str] = []

    def look(self, name: str, step: str) -> None:
        """Kill what is due at this step, or at one that was passed unseen because its witness was dead."""
        if step not in STEPS:
            return
        passed = STEPS[: STEPS.index(step) + 1]
        for moment in [moment for moment in self.left if moment[0] == name and moment[1] in passed]:
            self._kill(self.left.pop(moment))

    def _kill(self, part: str) -> None:
        for pid in parts.pids(self.appliance.folder / "data", part):
            os.kill(pid, signal.SIGKILL)
            self.killed.append(part)
        if part == "serve":
            self.appliance.serve()


def ask(api: Api, path: str) -> Any:
    """GET, with patience while the web process is dead."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return api.get(path)
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def test_both_machines_become_active_although_every_process_dies(appliance: Appliance, api: Api) -> None:
    data_disk = appliance.rack.places(appliance.rack.spec.machine("bios1")).data_disk(1)
    with data_disk.open("r+b") as disk:
        disk.write(MARK)
    deployments = {name: api.post(f"/machines/{name}/deploy", {})["id"] for name in ("bios1", "uefi1")}
    killer = Killer(appliance)
    rows: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for name, number in deployments.items():
            rows[name] = ask(api, f"/deployments/{number}")
            killer.look(name, rows[name]["step"])
        if all(row["outcome"] for row in rows.values()):
            break
        time.sleep(0.3)
    for name, row in rows.items():
        console = appliance.rack.places(appliance.rack.spec.machine(name)).console_log
        said = console.read_text(errors="replace")[-2000:] if console.exists() else ""
        why = f"{name}: {row['reason']} {row['steps'][-1:]}; killed: {killer.killed}\n{said}"
        assert row["outcome"] == "succeeded", why
        reached = [step["step"] for step in row["steps"]]
        assert reached == [step for step in STEPS if step in reached], "steps go forward only"
        # Where the process that would have seen a step was dead, later evidence stands for it.
        assert set(STEPS) - set(reached) <= {"power_cycled", "dhcp_seen"}
        assert ask(api, f"/machines/{name}")["state"] == "active"
    assert set(killer.killed) >= set(KILLS.values()), "not every process was killed"
    assert data_disk.read_bytes()[: len(MARK)] == MARK
    for name in deployments:
        _assert_each_command_once(appliance, name)


def _assert_each_command_once(appliance: Appliance, name: str) -> None:
    """The machine's own log of what its BMC did: it was off, so it is switched on, once, and never reset."""
    log = appliance.rack.places(appliance.rack.spec.machine(name)).folder / "commands.log"
    commands = [json.loads(line)["command"] for line in log.read_text().splitlines()]
    assert commands.count("set power 1") == 1, commands
    # Setting it again does no harm; a worker that died while it did so leaves that to its successor.
    assert commands.count("set boot pxe") in (1, 2), commands
    assert commands.count("set power 0") == 0, commands
    assert not [command for command in commands if "reset" in command], commands


def test_the_loader_came_by_tftp_and_its_bytes_are_on_record(api: Api) -> None:
    steps = {step["step"]: step for step in ask(api, "/deployments?machine=uefi1")["items"][0]["steps"]}
    assert steps["nbp_fetched"]["source"] == "tftp"
    assert "snponly.efi" in steps["nbp_fetched"]["message"]
    given = ask(api, "/machines/uefi1/rendered")
    assert "TOKEN" in json.dumps(given) or "***" in json.dumps(given), "tokens must be masked"


def test_a_reboot_of_an_active_machine_boots_its_own_disk(appliance: Appliance, api: Api) -> None:
    """bios1 has the network first: it asks us, and is sent to its disk."""
    console = appliance.rack.places(appliance.rack.spec.machine("bios1")).console_log
    before = console.stat().st_size
    api.post("/machines/bios1/power", {"action": "cycle"})
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        said = console.read_bytes()[before:]
        kinds = [event["kind"] for event in ask(api, "/machines/bios1/events?limit=500")["items"]]
        if "loader_request" in kinds and b"stand-in" in said:
            break
        time.sleep(1)
    assert "loader_request" in kinds
    assert b"this is not Anaconda" not in said, "an active machine was given an installer"
    assert ask(api, "/machines/bios1")["state"] == "active"
