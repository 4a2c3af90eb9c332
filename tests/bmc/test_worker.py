"""Real worker processes under the real watchdog: hung, orphaned, beside a real ipmi_sim. Killed: test_kills.py."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import update

from pxeapp import config
from pxeapp.bmc import power
from pxeapp.bmc.fake import FakeBmc
from pxeapp.bmc.models import PowerAction
from pxeapp.db import Database, now
from pxeapp.machines.models import Bmc, Machine
from pxeapp.vault import open_vault
from tests.bmc.rack import CHILD, Rack
from tests.bmc.simulator import simulated, wait_until
from tests.ports import free_port

pytestmark = pytest.mark.network  # it opens no socket of ours; ipmi_sim does


def commands(fake: FakeBmc) -> list[str]:
    return [entry["command"] for entry in fake.received()]


def test_worker_that_hangs_in_a_bmc_is_replaced_and_the_others_go_on(rack: Rack) -> None:
    sick, well = rack.machine(1), rack.machine(2)
    wait_until(lambda: rack.power_of(sick) == "off", what="the first poll")
    rack.fake(1).behave("hanging_once")
    first, second = rack.order(sick, "on"), rack.order(well, "on")
    before = set(rack.watchdog.pids)
    wait_until(lambda: rack.ended(first, second), what="both actions to end")
    assert [rack.action(action).outcome for action in (first, second)] == [power.DONE, power.DONE]
    assert commands(rack.fake(1)) == commands(rack.fake(2)) == ["power on"]
    assert rack.action(first).lease_epoch >= 2, "another worker took it over"
    wait_until(lambda: len(rack.watchdog.pids) == 2 and set(rack.watchdog.pids) != before, what="the replacement")


def test_workers_end_when_their_watchdog_is_killed(rack: Rack, tmp_path: Path) -> None:
    script = (
        "import threading; from pxeapp.bmc.watchdog import Watchdog; "
        f"w = Watchdog(1, {CHILD!r}); t = threading.Thread(target=w.run, args=(threading.Event(),)); t.start()\n"
        "while not w.pids: pass\n"
        "print(w.pids[0], flush=True)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not Path(f"/proc/{worker}").exists() or _is_zombie(worker), what="the orphan to end")


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_power_is_polled_and_a_silent_bmc_makes_it_unknown(rack: Rack) -> None:
    machine_id = rack.machine(1)
    rack.fake(1).set_power("on")
    wait_until(lambda: rack.power_of(machine_id) == "on", what="the power to be seen")
    rack.fake(1).behave("silent")
    with rack.database.write() as session:  # the next minute
        session.execute(update(Machine).values(power_seen_at=None))
    wait_until(lambda: rack.power_of(machine_id) == "unknown", what="the power to be unknown")
    assert commands(rack.fake(1)) == ["power on"], "looking commands nothing"


@pytest.mark.ipmi_sim
def test_netboot_of_a_real_ipmi_sim_beside_dead_and_misregistered_ones(rack: Rack, tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    login = {"type": "ipmi", "address": "127.0.0.1", "username": "admin", "cipher_suite": 3}
    right, wrong = vault.encrypt("secret"), vault.encrypt("hunter2")
    with simulated(tmp_path / "a") as a, simulated(tmp_path / "b") as b, simulated(tmp_path / "c") as c:
        a.power("1")
        c.power("1")
        c.mark("lying")
        fine = rack.machine(1, **login, port=a.port, password_encrypted=right)
        misregistered = rack.machine(2, **login, port=b.port, password_encrypted=wrong)
        dead = rack.machine(3, **login, port=free_port(socket.SOCK_DGRAM), password_encrypted=right)
        liar = rack.machine(4, **login, port=c.port, password_encrypted=right)
        outside = rack.machine(5, **{**login, "address": "203.0.113.9"}, password_encrypted=right)
        actions = [rack.order(machine, "netboot") for machine in (fine, misregistered, dead, liar, outside)]
        wait_until(lambda: rack.ended(*actions), seconds=40, what="all five to end")
        told = [rack.action(action) for action in actions]
        assert [(action.outcome, action.error_code) for action in told] == [
            (power.DONE, ""),
            (power.FAILED, "wrong_password"),
            (power.FAILED, "unreachable"),
            (power.UNCONFIRMED, "unconfirmed"),
            (power.FAILED, "unusable"),
        ]
        assert a.commands() == ["power 0", "boot pxe", "power 1"]
        assert b.commands() == []
        assert c.commands() == ["power 0"], "one command, and then the truth"
        second = rack.order(fine, "off")
        wait_until(lambda: rack.ended(second), what="a second action on the same BMC")
        assert rack.action(second).outcome == power.DONE
        assert rack.power_of(fine) == "off"
    for action in told:
        assert "hunter2" not in repr(vars(action))
        assert "secret" not in repr(vars(action))


def test_command_serves_and_stops_cleanly(database: Database, tmp_path: Path) -> None:
    environ = {**os.environ, "PXEAPP_DATA_DIR": str(tmp_path), "PXEAPP_DATABASE_URL": database.url}
    settings = config.load({key: value for key, value in environ.items() if key.startswith("PXEAPP_")})
    open_vault(settings.data_dir)
    with database.write() as session:
        machine = Machine(name="n1", mac="52:54:00:00:01:01", created_at=now(), updated_at=now())
        machine.bmc = Bmc(type="fake", address="n1")
        session.add(machine)
        session.flush()
        action_id = power.request(session, machine_id=machine.id, goal="on", requested_by="user:ada", now=now()).id
    process = subprocess.Popen(
        [sys.executable, "-m", "pxeapp", "bmc-worker", "--processes", "1"], env=environ, stderr=subprocess.PIPE
    )

    def outcome() -> str | None:
        with database.read() as session:
            return session.get_one(PowerAction, action_id).outcome

    try:
        wait_until(lambda: outcome() == power.DONE, what="the action to end")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.communicate()
