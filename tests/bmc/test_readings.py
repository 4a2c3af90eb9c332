"""Sensors, event log, boot device and identity over real IPMI; and captured records of event logs, one a file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pxeapp.bmc import ipmi_reader
from pxeapp.bmc.errors import BmcUnreachable
from pxeapp.bmc.ipmi import IpmiBmc
from pxeapp.bmc.ipmi_reader import Decoder, Reader, cleaned, health_of
from pxeapp.bmc.ports import BootOverride, Sel, Who
from pxeapp.bmc.readings import Override
from tests.bmc.simulator import Simulated, simulated

PASSWORD = "secret"
CAPTURED = sorted((Path(__file__).parent / "sel").glob("*.json"))
# Add SEL Entry (section 31.6): a temperature of sensor 2 goes over its limit, and comes back.
TOO_HOT = "0x0a 0x44 0 0 0x02 0 0 0 0 0x20 0 0x04 0x01 2 0x01 0x57 0x60 0x5a"
WELL_AGAIN = "0x0a 0x44 0 0 0x02 0 0 0 0 0x20 0 0x04 0x01 2 0x81 0x57 0x50 0x5a"


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    with simulated(tmp_path_factory.mktemp("bmc") / "sim", sensors=True) as sim:
        yield sim


@pytest.fixture
def driver(sim: Simulated) -> Iterator[IpmiBmc]:
    found = IpmiBmc("127.0.0.1", sim.port, "admin", PASSWORD, suite=3)
    yield found
    found.close()


def ipmitool(sim: Simulated, *words: str) -> None:
    subprocess.run(
        ["ipmitool", "-I", "lanplus", "-C", "3", "-H", "127.0.0.1", "-p", str(sim.port), "-U", "admin", "-P", PASSWORD,
         *words],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip


@pytest.mark.ipmi_sim
@pytest.mark.network
def test_every_sensor_is_read_with_its_unit(driver: IpmiBmc) -> None:
    found = {reading.name: reading for reading in driver.sensors()}
    assert found["Inlet Temp"].value == 23
    assert found["Inlet Temp"].unit == "°C"
    assert found["Inlet Temp"].kind == "Temperature"
    assert found["Fan 1"].value == 6000
    assert {reading.health for reading in found.values()} == {"ok"}


@pytest.mark.ipmi_sim
@pytest.mark.network
def test_an_event_is_read_stored_whole_and_only_cleared_when_nothing_came_after(
    driver: IpmiBmc, sim: Simulated
) -> None:
    ipmitool(sim, "raw", *TOO_HOT.split())
    log = driver.event_log()
    assert len(log.entries) == 1
    assert len(log.entries[0].raw) == 16
    assert log.entries[0].sensor == "CPU Temp (Temperature)"
    assert log.entries[0].severity == "warning"
    ipmitool(sim, "raw", *WELL_AGAIN.split())
    assert not driver.clear_event_log(log), "an event came after the reading"
    log = driver.event_log()
    assert len(log.entries) == 2
    assert driver.clear_event_log(log)
    assert driver.event_log().entries == ()


@pytest.mark.ipmi_sim
@pytest.mark.network
def test_it_says_who_it_is(driver: IpmiBmc) -> None:
    who = driver.identity()
    assert (who.manufacturer, who.product, who.ipmi) == ("pxeapp", "Virtual rack", "2.0")
    assert who.firmware == "9.08"
    assert len(who.guid) == 32


@pytest.mark.ipmi_sim
@pytest.mark.network
def test_a_boot_device_is_set_and_flags_that_are_not_valid_are_none(driver: IpmiBmc, sim: Simulated) -> None:
    assert driver.set_override(Override("network"))
    assert "boot pxe" in sim.commands()
    assert driver.override() == Override("none"), "ipmi_sim never calls its own boot flags valid"


@pytest.mark.ipmi_sim
@pytest.mark.network
def test_a_reading_that_takes_too_long_ends(driver: IpmiBmc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipmi_reader, "QUESTIONS_LIMIT", 1)
    with pytest.raises(BmcUnreachable):
        driver.event_log()


def test_the_driver_offers_these_ports() -> None:
    driver = IpmiBmc("127.0.0.1", 623, "admin", PASSWORD)
    for port in (Sel, BootOverride, Who):
        assert isinstance(driver, port)


class _Wire:
    """A BMC that refuses every question: records are decoded without it."""

    bmc = "127.0.0.1"

    def ask(self, netfn: int, command: int, _data: tuple[int, ...]) -> dict[str, Any]:
        return {"netfn": netfn, "command": command, "code": 0xC1, "data": bytearray()}


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_captured_record(path: Path) -> None:
    case = json.loads(path.read_text())
    entry = Decoder(Reader(_Wire())).entry(bytes.fromhex(case["raw"]))  # type: ignore[arg-type]  # what it asks is there
    seen = {
        "record": entry.record, "at": entry.at.isoformat() if entry.at else None, "sensor": entry.sensor,
        "event": entry.event, "severity": entry.severity, "asserted": entry.asserted,
    }  # fmt: skip
    assert seen == case["means"]


def test_text_of_a_bmc_is_one_printable_line() -> None:
    assert cleaned("Fan\n\x1b[31m<b>\x00") == "Fan  [31m<b>"
    assert len(cleaned("x" * 500)) == 100
    assert cleaned(None) == ""


def test_the_worst_of_a_sensors_states_is_its_health() -> None:
    assert [health_of(bits) for bits in (0, 1, 3, 7)] == ["ok", "warning", "critical", "failed"]
