"""The simulated BMCs, asked by the real ipmitool and by our own driver; their illnesses; their own record."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pxeapp.bmc import rmcp
from pxeapp.bmc.errors import (
    BmcBusy,
    BmcConfused,
    BmcConsoleHeld,
    BmcNoCipherSuite,
    BmcRefused,
    BmcUnreachable,
    BmcWrongPassword,
)
from pxeapp.bmc.ipmi import IpmiBmc
from pxeapp.lab.fleet.bmcs import BmcFleet, Illness, SimulatedBmc
from tests.bmc.simulator import listens, wait_until

pytestmark = pytest.mark.network  # it opens sockets on 127.0.0.1
PASSWORD = "secret"
Switched = list[tuple[str, bool, str | None]]


@pytest.fixture
def switched() -> Switched:
    return []


@pytest.fixture
def fleet(switched: Switched) -> Iterator[BmcFleet]:
    def note(bmc: SimulatedBmc, power: bool) -> None:
        switched.append((bmc.name, power, bmc.booted_from))

    with BmcFleet(username="admin", password=PASSWORD, on_power=note) as fleet:
        yield fleet


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rmcp, "LOGIN_S", 1.3)
    monkeypatch.setattr(rmcp, "ANSWER_S", 0.6)
    monkeypatch.setattr("pxeapp.bmc.ipmi.SEND_S", 0.3)


def driver(bmc: SimulatedBmc, *, suite: int | None = 17) -> IpmiBmc:
    return IpmiBmc(bmc.address, bmc.port, "admin", PASSWORD, suite=suite)


def ipmitool(bmc: SimulatedBmc, *words: str, suite: int | None) -> str:
    chosen = ["-C", str(suite)] if suite else []
    login = ["-H", bmc.address, "-p", str(bmc.port), "-U", "admin", "-P", PASSWORD]
    done = subprocess.run(
        ["ipmitool", *chosen, "-I", "lanplus", *login, *words], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("suite", [3, 17, None])
def test_real_ipmitool_switches_and_reads_back(fleet: BmcFleet, switched: Switched, suite: int | None) -> None:
    bmc = fleet.add("node1")
    assert "is off" in ipmitool(bmc, "chassis", "power", "status", suite=suite)
    ipmitool(bmc, "chassis", "bootdev", "pxe", "options=efiboot", suite=suite)
    assert "Force PXE" in ipmitool(bmc, "chassis", "bootparam", "get", "5", suite=suite)
    assert bmc.boot_device == "network"
    ipmitool(bmc, "chassis", "power", "on", suite=suite)
    assert "is on" in ipmitool(bmc, "chassis", "power", "status", suite=suite)
    assert "IPMI Version              : 2.0" in ipmitool(bmc, "mc", "info", suite=suite)
    assert vars(bmc)["boot_device"] is None, "it was for one boot"
    assert switched == [("node1", True, "network")]
    assert bmc.commands() == ["boot network uefi", "power on"]
    assert bmc.sessions == 0, "everybody logged out"


@pytest.mark.parametrize("suite", [3, 17, None])
def test_our_driver_works_with_it(fleet: BmcFleet, suite: int | None) -> None:
    bmc = fleet.add("node1")
    ours = driver(bmc, suite=suite)
    assert ours.power_state() == "off"
    assert ours.set_boot_device("disk")
    assert ours.boot_device() == "disk"
    assert ours.set_power("on")
    assert ours.power_state() == "on"
    assert len(bmc.logins) == 1
    ours.close()
    wait_until(lambda: bmc.sessions == 0, what="the session to end")
    assert [received.what for received in bmc.received] == ["boot disk", "power on"]
    assert len({received.session for received in bmc.received}) == 1


def test_cycles_and_resets_are_carried_out_and_on_record(fleet: BmcFleet, switched: Switched) -> None:
    bmc = fleet.add("node1")
    bmc.power = True
    ipmitool(bmc, "chassis", "power", "cycle", suite=17)
    ipmitool(bmc, "chassis", "power", "reset", suite=17)
    assert bmc.commands() == ["power cycle", "power reset"]
    assert [power for _, power, _ in switched] == [False, True, False, True]


def test_three_hundred_answer_at_once(fleet: BmcFleet) -> None:
    bmcs = [fleet.add(f"node{number}") for number in range(300)]

    def on(bmc: SimulatedBmc) -> bool:
        ours = driver(bmc)
        try:
            return ours.power_state() == "off" and ours.set_power("on") and ours.power_state() == "on"
        finally:
            ours.close()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(on, bmcs))
    assert all(bmc.commands() == ["power on"] for bmc in bmcs)
    assert all(bmc.overlaps == 0 for bmc in bmcs)


def test_power_takes_its_time_to_show(fleet: BmcFleet, switched: Switched) -> None:
    bmc = fleet.add("node1")
    bmc.takes_s = 0.2
    ours = driver(bmc)
    assert ours.set_power("on")
    assert ours.power_state() == "off"
    wait_until(lambda: ours.power_state() == "on", what="the machine to follow")
    ours.close()
    assert switched == [("node1", True, None)]


@pytest.mark.parametrize(
    ("illness", "error"),
    [
        ("silent", BmcUnreachable),
        ("hanging", BmcUnreachable),
        ("garbage", BmcConfused),
        ("wrong_password", BmcWrongPassword),
        ("suite3_only", BmcNoCipherSuite),
        ("busy", BmcBusy),
    ],
)
def test_ill_bmc_cannot_be_asked(fleet: BmcFleet, illness: Illness, error: type[Exception]) -> None:
    bmc = fleet.add("node1")
    bmc.illness = illness
    with pytest.raises(error):
        driver(bmc).power_state()
    bmc.illness = "answering"
    ours = driver(bmc)
    assert ours.power_state() == "off", "well again"
    ours.close()


def test_old_bmc_is_fine_with_suite_3(fleet: BmcFleet) -> None:
    bmc = fleet.add("node1")
    bmc.illness = "suite3_only"
    for suite in (3, None):
        ours = driver(bmc, suite=suite)
        assert ours.power_state() == "off"
        ours.close()


Sent = Callable[[IpmiBmc], bool]


@pytest.mark.parametrize(
    ("illness", "told", "truth", "afterwards"),
    [
        ("lying", True, False, "lying"),
        ("deaf", False, False, "deaf"),
        ("losing_one_reply", False, True, "answering"),
        ("losing_replies", False, True, "losing_replies"),
        ("dying_after_command", False, True, "silent"),
    ],
)
def test_command_to_an_ill_bmc(fleet: BmcFleet, illness: Illness, told: bool, truth: bool, afterwards: Illness) -> None:
    bmc = fleet.add("node1")
    bmc.illness = illness
    ours = driver(bmc)
    assert ours.set_power("on") is told
    ours.close()
    assert bmc.power is truth
    assert bmc.illness == afterwards
    assert bmc.commands() == ([] if illness == "deaf" else ["power on"])


def test_refusing_flapping_babbling(fleet: BmcFleet) -> None:
    bmc = fleet.add("node1")
    ours = driver(bmc)
    bmc.illness = "flapping"
    assert [ours.power_state() for _ in range(4)] == ["on", "off", "on", "off"]
    bmc.illness = "babbling"
    assert ours.power_state() == "unknown"
    bmc.illness = "refusing"
    assert ours.power_state() == "off"
    with pytest.raises(BmcRefused):
        ours.set_power("on")
    ours.close()
    assert bmc.commands() == ["power on"], "what is refused has been received"
    assert not bmc.power


def test_slow_bmc_and_commands_that_overlap_are_noticed(fleet: BmcFleet) -> None:
    bmc = fleet.add("node1")
    first, second = driver(bmc), driver(bmc)
    assert (first.power_state(), second.power_state()) == ("off", "off")
    bmc.reply_after_s = 0.15
    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(lambda ours: ours.set_power("on"), (first, second)))
    assert bmc.overlaps == 1
    bmc.reply_after_s = 0.0
    first.close()
    second.close()


def test_sessions_are_few_and_idle_ones_end(fleet: BmcFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    bmc = fleet.add("node1")
    bmc.slots = 2
    held = [driver(bmc) for _ in range(2)]
    assert [ours.power_state() for ours in held] == ["off", "off"]
    with pytest.raises(BmcBusy):
        driver(bmc).power_state()
    monkeypatch.setattr("pxeapp.lab.fleet.bmc.IDLE_S", 0.0)
    time.sleep(0.01)
    late = driver(bmc)
    assert late.power_state() == "off"
    for ours in (*held, late):
        ours.close()


def test_repeated_and_forged_packets_do_nothing(fleet: BmcFleet) -> None:
    bmc = fleet.add("node1")
    ours = driver(bmc)
    assert ours.power_state() == "off"
    assert ours.set_power("on")
    session = ours._session()
    replay = bytes(session.netpacket)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect((bmc.address, bmc.port))
        for packet in (
            replay,
            replay[:-1] + b"\x00",
            replay[:30],
            b"",
            b"\x06",
            b"\x06\x00\xff\x07\x06\xc0",
            bytes(80),
        ):
            stranger.send(packet)
        stranger.send(b"\x06\x00\xff\x07" + bytes(range(200)))
    assert listens(bmc.port), "it answers the presence ping all the same"
    assert ours.power_state() == "on"
    ours.close()
    assert bmc.commands() == ["power on"]


def test_trouble_in_on_power_is_not_the_bmcs(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: SimulatedBmc, power: bool) -> None:
        raise ValueError(power)

    with BmcFleet(username="admin", password=PASSWORD, on_power=fail) as fleet:
        bmc = fleet.add("node1")
        ours = driver(bmc)
        assert ours.set_power("on")
        assert ours.power_state() == "on"
        ours.close()
    assert "on_power failed" in caplog.text


def test_the_console_has_both_directions_and_one_holder(fleet: BmcFleet) -> None:
    bmc = fleet.add("node1")
    bmc.says(b"said before anybody listened\r\n")
    heard: list[bytes] = []
    line = driver(bmc).serial_line(heard.append)
    over = threading.Event()
    thread = threading.Thread(target=lambda: line.run(over.is_set))
    thread.start()
    try:
        bmc.says(b"x" * 500 + b" login: ")
        wait_until(lambda: b"".join(heard).endswith(b" login: "), what="the prompt")
        assert b"".join(heard) == b"said before anybody listened\r\n" + b"x" * 500 + b" login: "
        line.type(b"root\r")
        wait_until(lambda: bmc.typed == b"root\r", what="the keys")
        with pytest.raises(BmcConsoleHeld):
            driver(bmc).serial_line(heard.append)
    finally:
        over.set()
        thread.join(10)
        line.close()
    driver(bmc).serial_line(heard.append).close()


def test_a_bmc_without_a_console_says_so(fleet: BmcFleet) -> None:
    bmc = fleet.add("node1")
    bmc.illness = "no_console"
    with pytest.raises(BmcRefused, match="console"):
        driver(bmc).serial_line(lambda _: None)
