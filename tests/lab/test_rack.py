"""A rack that runs: its BMCs answer ipmitool as real ones do and really power their machines."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pxeapp.cli import main
from pxeapp.errors import Conflict, NotFound
from pxeapp.lab.rack import Rack
from pxeapp.lab.spec import RackSpec, build
from tests.lab import needs

pytestmark = [*needs.RACK, pytest.mark.timeout(600)]


def spec() -> RackSpec:
    return build({"name": "t", "network": "10.78.0.0/24", "machines": [{"name": "one", "memory_mib": 128}]})


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    running = Rack.up(spec(), tmp_path_factory.mktemp("rack"))
    yield running
    running.down()


def ipmi(rack: Rack, *words: str) -> str:
    machine = rack.spec.machine("one")
    argv = ["ipmitool", "-I", "lanplus", "-C", "3", "-H", machine.bmc_address, "-U", machine.bmc_user, "-E"]
    done = subprocess.run(
        rack.argv([*argv, *words]),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "IPMI_PASSWORD": machine.bmc_password},
    )
    return done.stdout


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def power(rack: Rack) -> str:
    return str(rack.status()[0]["power"])


def test_the_bmc_powers_the_machine(rack: Rack) -> None:
    assert "Chassis Power is off" in ipmi(rack, "chassis", "power", "status")
    ipmi(rack, "chassis", "bootdev", "pxe")
    ipmi(rack, "chassis", "power", "on")
    wait_for(lambda: power(rack) == "on")
    assert "Chassis Power is on" in ipmi(rack, "chassis", "power", "status")
    console = rack.places(rack.spec.machine("one")).console_log
    wait_for(lambda: console.exists() and b"iPXE" in console.read_bytes(), 120)
    ipmi(rack, "chassis", "power", "off")
    wait_for(lambda: power(rack) == "off")
    log = (rack.places(rack.spec.machine("one")).folder / "commands.log").read_text()
    commands = [json.loads(line)["command"] for line in log.splitlines()]
    assert [command for command in commands if "power" in command] == ["set power 1", "set power 0"]


def test_the_bmc_has_sensors_a_fru_and_an_event_log(rack: Rack) -> None:
    sensors = ipmi(rack, "sdr", "list")
    assert "Inlet Temp" in sensors
    assert "23 degrees C" in sensors
    assert "Fan 1" in sensors
    assert "Virtual rack" in ipmi(rack, "fru", "print")
    ipmi(rack, "sel", "clear")
    # Add SEL Entry (IPMI 2.0, 31.6): an upper critical threshold of sensor 1 was passed.
    event = ("0x02", *["0"] * 4, "0x20", "0", "0x04", "0x01", "0x01", "0x01", "0x59", "0", "0")
    ipmi(rack, "raw", "0x0a", "0x44", "0", "0", *event)
    assert "Temperature" in ipmi(rack, "sel", "list")


def test_serial_over_lan_shows_the_machine(rack: Rack) -> None:
    machine = rack.spec.machine("one")
    argv = ["ipmitool", "-I", "lanplus", "-C", "3", "-H", machine.bmc_address, "-U", machine.bmc_user, "-E"]
    ours, theirs = pty.openpty()  # ipmitool wants a terminal
    session = subprocess.Popen(
        rack.argv([*argv, "sol", "activate"]),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "IPMI_PASSWORD": machine.bmc_password},
    )
    os.set_blocking(ours, False)
    said = b""

    def heard(text: bytes) -> bool:
        nonlocal said
        with contextlib.suppress(BlockingIOError):
            said += os.read(ours, 65536)
        return text in said

    try:
        wait_for(lambda: heard(b"SOL Session operational"))
        ipmi(rack, "chassis", "power", "on")
        wait_for(lambda: heard(b"SeaBIOS"), 120)
    finally:
        session.kill()
        session.wait()
        os.close(ours)
        os.close(theirs)
        ipmi(rack, "chassis", "power", "off")


def test_commands_of_the_rack(rack: Rack) -> None:
    runner = CliRunner()
    rows = json.loads(runner.invoke(main, ["rack", "status", "--folder", str(rack.folder), "--json"]).output)
    assert [(row["name"], row["bmc_alive"]) for row in rows] == [("one", True)]
    file = json.loads(runner.invoke(main, ["rack", "machines-file", "--folder", str(rack.folder)]).output)
    assert file[0]["bmc"]["address"] == "10.78.0.101"
    assert file[0]["disks"]["system"].startswith("disk/by-path/")


def test_no_process_shows_a_bmc_password(rack: Rack) -> None:
    password = rack.spec.machine("one").bmc_password
    shown = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(rack.folder) in words and f'"{password}"' in words:
            shown.append(words)
    assert not shown


def test_a_second_rack_in_the_same_folder_is_refused(rack: Rack) -> None:
    with pytest.raises(Conflict, match="runs in"):
        Rack.up(spec(), rack.folder)


def test_down_ends_everything_and_a_killed_rack_can_be_cleared(tmp_path: Path) -> None:
    running = Rack.up(
        build({"name": "k", "network": "10.79.0.0/24", "machines": [{"name": "one", "memory_mib": 128}]}), tmp_path
    )
    pids = [process.pid for process in running._processes]
    for process in running._processes[1:]:
        os.kill(process.pid, 9)
    Rack.open(tmp_path).down()
    wait_for(lambda: not any(_alive(pid) for pid in pids), 20)
    assert not running.sockets.exists()
    with pytest.raises(NotFound):
        Rack.open(tmp_path)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
