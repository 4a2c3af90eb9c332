"""The IPMI driver against a real ipmi_sim, with and without packets lost on the way."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pxeapp.bmc import rmcp
from pxeapp.bmc.errors import (
    BmcConfused,
    BmcError,
    BmcNoCipherSuite,
    BmcRefused,
    BmcUnreachable,
    BmcWrongPassword,
)
from pxeapp.bmc.ipmi import IpmiBmc
from pxeapp.bmc.ports import BootDeviceSetting, Identify, Power, Sensors
from pxeapp.errors import Invalid
from tests.bmc.simulator import Gate, Simulated, simulated
from tests.ports import free_port

pytestmark = [pytest.mark.ipmi_sim, pytest.mark.network]
ENCRYPTED = b"\x06\xc0"


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulated]:
    with simulated(tmp_path / "sim") as sim:
        yield sim


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rmcp, "LOGIN_S", 3.0)
    monkeypatch.setattr(rmcp, "ANSWER_S", 2.0)
    monkeypatch.setattr("pxeapp.bmc.ipmi.SEND_S", 0.5)


PASSWORD = "secret"


def bmc(port: int, *, user: str = "admin", password: str = PASSWORD, suite: int | None = 3) -> IpmiBmc:
    return IpmiBmc("127.0.0.1", port, user, password, suite=suite)


def test_driver_offers_these_ports() -> None:
    driver = bmc(623)
    for port in (Power, BootDeviceSetting, Sensors, Identify):
        assert isinstance(driver, port)


def test_switches_and_tells(sim: Simulated) -> None:
    driver = bmc(sim.port)
    assert driver.power_state() == "off"
    assert driver.set_power("on")
    assert driver.power_state() == "on"
    assert driver.set_boot_device("network", uefi=True)
    assert driver.boot_device() is None, "ipmi_sim calls its own flags invalid: it cannot tell"
    assert driver.set_boot_device("disk")
    driver.identify(15)
    assert driver.set_power("off")
    assert driver.power_state() == "off"
    driver.close()
    assert sim.commands() == ["power 1", "boot pxe", "boot default", "identify 15 0", "power 0"]
    told = subprocess.run(
        ["ipmitool", "-C", "3", "-I", "lanplus", "-H", "127.0.0.1", "-p", str(sim.port), "-U", "admin", "-P", "secret",
         "chassis", "power", "status"],
        capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    assert told.stdout.strip() == "Chassis Power is off"


def test_one_process_talks_to_the_same_bmc_again_and_again(sim: Simulated) -> None:
    """pyghmi alone hands out the first session's corpse."""
    for _ in range(3):
        driver = bmc(sim.port)
        assert driver.power_state() == "off"
        driver.close()
    first, second = bmc(sim.port), bmc(sim.port)
    assert (first.power_state(), second.power_state(), first.power_state()) == ("off", "off", "off")
    first.close()
    assert second.power_state() == "off", "two sessions at once do not share their fate"
    second.close()
    assert not rmcp.Session.bmc_handlers, "nothing is left in pyghmi's registry"


def test_many_at_once_from_many_threads(sim: Simulated) -> None:
    def look(_: int) -> str:
        driver = bmc(sim.port)
        try:
            return driver.power_state()
        finally:
            driver.close()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(look, range(40))) == {"off"}


@pytest.mark.parametrize(("user", "password"), [("admin", "wrong"), ("nobody", "secret")])
def test_wrong_password_is_said_and_not_shown(sim: Simulated, user: str, password: str) -> None:
    with pytest.raises(BmcWrongPassword) as caught:
        bmc(sim.port, user=user, password=password).power_state()
    assert f"127.0.0.1:{sim.port}" in str(caught.value)
    assert user in str(caught.value)
    assert not caught.value.retryable
    for shown in (str(caught.value), repr(caught.value), repr(bmc(sim.port, password="hunter2"))):
        assert "wrong" not in shown
        assert "hunter2" not in shown


def test_cipher_suite_is_honoured(sim: Simulated) -> None:
    assert bmc(sim.port, suite=None).power_state() == "off", "falls back to 3 where 17 is refused"
    with pytest.raises(BmcNoCipherSuite, match="cipher suite 17"):
        bmc(sim.port, suite=17).power_state()
    with pytest.raises(Invalid) as caught:
        bmc(sim.port, suite=0)
    assert caught.value.problems[0].field == "bmc.cipher_suite"


def test_nobody_there_is_said_with_the_time() -> None:
    port = free_port(socket.SOCK_DGRAM)
    with pytest.raises(BmcUnreachable, match=rf"No answer from 127.0.0.1:{port} after [23] s") as caught:
        bmc(port).power_state()
    assert caught.value.retryable


def test_refused_command_is_heard_although_nothing_is_repeated(sim: Simulated) -> None:
    driver = bmc(sim.port)
    driver.power_state()
    sim.mark("broken")
    with pytest.raises(BmcRefused, match="refused to go on"):
        driver.set_power("on")


def test_no_sensors_is_a_refusal_with_a_reason(sim: Simulated) -> None:
    with pytest.raises(BmcRefused, match="list its sensors"):
        bmc(sim.port).sensors()


@pytest.mark.parametrize("command", ["power", "boot"])
def test_command_whose_answer_is_lost_is_one_packet(sim: Simulated, command: str) -> None:
    with Gate(sim.port) as gate:
        driver = bmc(gate.port)
        assert driver.power_state() == "off"
        if command == "boot":
            driver.set_boot_device("disk")  # the optional timer's command is a question and may be repeated
        before = gate.encrypted_requests
        gate.lose = lambda packet, to_bmc: not to_bmc and packet[4:6] == ENCRYPTED
        if command == "power":
            assert not driver.set_power("on")
            assert gate.encrypted_requests == before + 1
            assert sim.commands() == ["power 1"]
        else:
            with pytest.raises(BmcUnreachable):  # already its first question finds nobody
                driver.set_boot_device("network")
            assert "boot pxe" not in sim.commands()
        gate.lose = lambda _packet, _to_bmc: False
        assert driver.power_state() == ("on" if command == "power" else "off"), "a new session, by itself"
        driver.close()


def test_command_that_is_lost_is_not_sent_again(sim: Simulated) -> None:
    with Gate(sim.port) as gate:
        driver = bmc(gate.port)
        driver.power_state()
        gate.lose = lambda packet, to_bmc: to_bmc and packet[4:6] == ENCRYPTED
        assert not driver.set_power("on")
        gate.lose = lambda _packet, _to_bmc: False
        assert driver.power_state() == "off"
        driver.close()
    assert sim.commands() == []


def test_question_survives_a_lost_answer(sim: Simulated) -> None:
    lost: list[bytes] = []

    def first_answer(packet: bytes, to_bmc: bool) -> bool:
        if not to_bmc and packet[4:6] == ENCRYPTED and not lost:
            lost.append(packet)
            return True
        return False

    with Gate(sim.port) as gate:
        driver = bmc(gate.port)
        driver.power_state()
        gate.lose = first_answer
        assert driver.power_state() == "off"
        assert lost
        driver.close()


def test_bmc_that_freezes_mid_session_is_unreachable_in_time_and_fine_afterwards(sim: Simulated) -> None:
    with Gate(sim.port) as gate:
        driver = bmc(gate.port)
        driver.power_state()
        gate.lose = lambda _packet, _to_bmc: True
        with pytest.raises(BmcUnreachable):
            driver.power_state()
        gate.lose = lambda _packet, _to_bmc: False
        assert driver.power_state() == "off"
        driver.close()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda packet: packet[:9], id="cut off"),
        pytest.param(lambda packet: packet[:16] + b"\xff" * 4, id="short payload"),
        pytest.param(lambda packet: b"\x06\x00\xff\x07" + bytes(range(60)), id="nonsense"),
    ],
)
def test_garbage_is_that_bmcs_trouble_and_nobody_elses(sim: Simulated, spoil: object) -> None:
    healthy: list[str] = []

    def look_all_the_time() -> None:
        driver = bmc(sim.port)
        while not done.is_set():
            healthy.append(driver.power_state())
        driver.close()

    done = threading.Event()
    other = threading.Thread(target=look_all_the_time)
    with Gate(sim.port) as gate:
        gate.spoil = spoil  # type: ignore[assignment]
        other.start()
        try:
            with pytest.raises((BmcConfused, BmcUnreachable)) as caught:
                bmc(gate.port).power_state()
        finally:
            done.set()
            other.join()
    assert isinstance(caught.value, BmcError)
    assert caught.value.retryable
    assert set(healthy) == {"off"}


def test_busy_bmc_is_not_a_wrong_password() -> None:
    driver = bmc(623)
    busy = driver._login_error("Insufficient resources to create new session (wait for existing) in RAKP2")
    assert busy.code == "busy"
    assert busy.retryable
    assert driver._login_error("Unauthorized name in RAKP2").code == "wrong_password"
    assert driver._login_error("Unauthorized role or privilege level requested in RAKP2").code == "refused"
