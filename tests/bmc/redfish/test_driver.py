"""The Redfish driver against a service with every illness, over real TLS: no command is ever sent twice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp.bmc.errors import (
    BmcBusy,
    BmcCertificateChanged,
    BmcConfused,
    BmcError,
    BmcRefused,
    BmcUnreachable,
    BmcWrongPassword,
)
from pxeapp.bmc.ports import BootDeviceSetting, BootOverride, Console, Identify, Power, Sel, Sensors, Who
from pxeapp.bmc.readings import Device, Override
from pxeapp.bmc.redfish import driver, link
from pxeapp.bmc.redfish.driver import RedfishBmc
from tests.bmc.redfish.service import LOG, MANAGER, PASSWORD, SYSTEM, USER, Service, certificate, running
from tests.ports import free_port

pytestmark = [pytest.mark.network, pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")]


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pems")
    certificate(folder)
    certificate(folder, "other")
    return folder


@pytest.fixture
def service(pems: Path) -> Iterator[Service]:
    with running(pems / "bmc.pem") as found:
        yield found


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "ANSWER_S", 5.0)
    monkeypatch.setattr(driver, "_places", {})


def bmc(service: Service, password: str = PASSWORD, **more: str) -> RedfishBmc:
    return RedfishBmc("127.0.0.1", service.port, USER, password, **more)  # type: ignore[arg-type]


def test_driver_offers_these_ports(service: Service) -> None:
    for port in (Power, BootDeviceSetting, BootOverride, Sensors, Sel, Who, Identify):
        assert isinstance(bmc(service), port)
    assert not isinstance(bmc(service), Console), "Redfish has none; the machine's serial line is IPMI's or ssh's"


def test_switches_and_tells(service: Service) -> None:
    found = bmc(service)
    assert found.power_state() == "off"
    assert found.set_power("on")
    assert found.power_state() == "on"
    assert found.set_power("off")
    assert found.power_state() == "off"
    assert service.commands == ["reset On", "reset ForceOff"]
    service.tree[SYSTEM]["PowerState"] = "PoweringOn"
    assert found.power_state() == "unknown"
    found.close()


def test_the_way_to_the_system_is_asked_once(service: Service) -> None:
    bmc(service).power_state()
    service.asked.clear()
    bmc(service).power_state()
    assert service.asked == [f"GET {SYSTEM}"]


@pytest.mark.parametrize("device", ["network", "disk", "cdrom", "setup"])
@pytest.mark.parametrize("persistent", [False, True])
def test_sets_a_boot_device_and_reads_it_back(service: Service, device: Device, *, persistent: bool) -> None:
    found = bmc(service)
    assert found.override() == Override("none")
    assert found.set_override(Override(device, persistent, uefi=True))
    assert found.override() == Override(device, persistent, uefi=True)
    assert len(service.commands) == 1
    assert "BootSourceOverrideMode" not in service.commands[0], "it is in that mode already; some refuse to be told"
    assert found.set_override(Override("none"))
    assert found.override() == Override("none")
    assert found.boot_device() is None


def test_a_connection_that_the_service_is_about_to_close_is_not_used_again(service: Service) -> None:
    service.illness = "slow_to_hang_up"
    found = bmc(service)
    assert found.set_override(Override("network", persistent=False, uefi=True))
    assert found.override() == Override("network", persistent=False, uefi=True)
    assert found.set_power("on")
    assert found.power_state() == "on"
    assert len(service.commands) == 2


def test_the_boot_mode_is_changed_where_it_is_another_one(service: Service) -> None:
    found = bmc(service)
    assert found.set_boot_device("network", uefi=False)
    assert '"BootSourceOverrideMode": "Legacy"' in service.commands[0]
    assert found.boot_device() == "network"


def test_a_service_without_an_override_cannot_tell(service: Service) -> None:
    del service.tree[SYSTEM]["Boot"]
    assert bmc(service).override() is None
    assert bmc(service).boot_device() is None


@pytest.mark.parametrize("illness", ["losing_replies", "losing_one_reply"])
def test_a_command_whose_answer_is_lost_is_sent_once(service: Service, illness: str) -> None:
    found = bmc(service)
    found.power_state()
    service.illness = illness
    assert not found.set_power("on")
    assert service.commands == ["reset On"]
    service.illness = illness
    assert not found.set_boot_device("network", uefi=True)
    assert len(service.commands) == 2
    assert found.power_state() == "on"


def test_a_command_that_could_not_be_sent_is_told_from_one_whose_answer_was_lost(service: Service) -> None:
    found = bmc(service)
    found.power_state()
    service.shutdown()
    service.server_close()
    with pytest.raises(BmcUnreachable):
        found.set_power("on")
    with pytest.raises(BmcUnreachable, match=r"No answer from 127\.0\.0\.1:"):
        RedfishBmc("127.0.0.1", free_port(), USER, PASSWORD).power_state()
    assert service.commands == []


@pytest.mark.parametrize(
    ("illness", "error"),
    [
        ("silent", BmcUnreachable), ("garbage", BmcConfused), ("list", BmcConfused), ("huge", BmcConfused),
        ("redirecting", BmcConfused), ("broken", BmcRefused),
    ],
)  # fmt: skip
def test_what_it_suffers_from_is_said(
    service: Service, illness: str, error: type[BmcError], monkeypatch: pytest.MonkeyPatch
) -> None:
    if illness == "silent":
        monkeypatch.setattr(link, "ANSWER_S", 0.5)
    service.illness = illness
    for ask in (RedfishBmc.power_state, RedfishBmc.sensors, RedfishBmc.event_log, RedfishBmc.identity):
        with pytest.raises(error):
            ask(bmc(service))


@pytest.mark.parametrize(("illness", "error"), [("refusing", BmcRefused), ("busy", BmcBusy)])
def test_a_refused_command_is_sent_once(service: Service, illness: str, error: type[BmcError]) -> None:
    service.illness = illness
    with pytest.raises(error):
        bmc(service).set_power("on")
    assert service.asked.count("POST " + SYSTEM + "/Actions/ComputerSystem.Reset") == 1
    assert service.power == "Off"


@pytest.mark.parametrize("session_only", [False, True])
def test_a_wrong_password_is_tried_once(service: Service, *, session_only: bool) -> None:
    service.session_only = session_only
    with pytest.raises(BmcWrongPassword, match="refuses the user 'admin'"):
        bmc(service, "wrong").power_state()
    assert service.refused == (2 if session_only else 1), "a second try may lock the account"


def test_a_service_that_insists_on_a_session_gets_one_and_has_it_back(service: Service) -> None:
    service.session_only = True
    found = bmc(service)
    assert found.power_state() == "off"
    assert found.set_power("on")
    assert service.sessions == {"t1"}
    found.close()
    assert service.sessions == set()


def test_the_first_certificate_is_kept_and_the_password_goes_to_no_other(service: Service, pems: Path) -> None:
    seen: list[str] = []
    bmc(service, remember=seen.append).power_state()  # type: ignore[arg-type]
    assert seen == [service.fingerprint]
    bmc(service, certificate=seen[0], remember=seen.append).power_state()  # type: ignore[arg-type]
    assert len(seen) == 1
    with running(pems / "other.pem") as other:
        with pytest.raises(BmcCertificateChanged, match="shows another certificate than before"):
            bmc(other, certificate=seen[0]).power_state()
        assert other.asked == []


def test_reads_sensors_with_their_limits(service: Service) -> None:
    found = {each.name: each for each in bmc(service).sensors()}
    assert set(found) == {"CPU1 Temp", "CPU3 Temp", "BaseBoard System Fan", "VRM1", "System Power", "PSU 1"}
    heat = found["CPU1 Temp"]
    assert (heat.value, heat.unit, heat.kind, heat.health) == (41.0, "°C", "Temperature", "ok")
    assert heat.thresholds == {"upper_warning": 42.0, "upper_critical": 45.0, "upper_failed": 48.0}
    assert (found["CPU3 Temp"].value, found["CPU3 Temp"].health) == (None, "unavailable")
    fan = found["BaseBoard System Fan"]
    assert (fan.value, fan.unit, fan.health, fan.healthy) == (2100.0, "RPM", "critical", False)
    assert (found["PSU 1"].value, found["PSU 1"].health) == (325.0, "warning")


def test_reads_sensors_of_a_newer_service(service: Service) -> None:
    chassis = service.tree["/redfish/v1/Chassis/1U"]
    del chassis["Thermal"], chassis["Power"]
    chassis["Sensors"] = {"@odata.id": "/redfish/v1/Chassis/1U/Sensors"}
    service.tree["/redfish/v1/Chassis/1U/Sensors"] = {"Members": [{"@odata.id": "/redfish/v1/Chassis/1U/Sensors/T"}]}
    service.tree["/redfish/v1/Chassis/1U/Sensors/T"] = {
        "Id": "T", "Name": "Ambient", "ReadingType": "Temperature", "Reading": 22.5, "ReadingUnits": "Cel",
        "Status": {"State": "Enabled", "Health": "OK"}, "Thresholds": {"UpperCaution": {"Reading": 35}},
    }  # fmt: skip
    (only,) = bmc(service).sensors()
    assert (only.name, only.value, only.unit, only.thresholds) == ("Ambient", 22.5, "°C", {"upper_warning": 35.0})


def test_reads_the_event_log_over_its_pages_and_the_oldest_first(service: Service) -> None:
    log = bmc(service).event_log()
    assert [entry.event for entry in log.entries] == ["Door closed", "Fan 1 failed", "Power supply input lost"]
    first, second, third = log.entries
    assert first.at == dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)
    assert (first.asserted, second.asserted, second.severity, third.severity) == (False, True, "critical", "warning")
    assert len({entry.raw for entry in log.entries}) == 3
    assert all(len(entry.raw) == 16 for entry in log.entries)
    assert bmc(service).event_log() == log


def test_clears_the_log_that_was_read_and_no_other(service: Service) -> None:
    found = bmc(service)
    log = found.event_log()
    service.tree[f"{LOG}/Entries2"]["Members"].append({"Id": "4", "Message": "Just now"})
    assert not found.clear_event_log(log)
    assert service.commands == []
    assert found.clear_event_log(found.event_log())
    assert found.event_log().entries == ()


def test_a_service_without_a_log_says_so(service: Service) -> None:
    del service.tree[SYSTEM]["LogServices"]
    with pytest.raises(BmcRefused, match="its service has none"):
        bmc(service).event_log()


def test_a_log_of_the_managers_is_found(service: Service) -> None:
    service.tree[MANAGER]["LogServices"] = service.tree[SYSTEM].pop("LogServices")
    assert len(bmc(service).event_log().entries) == 3


def test_tells_who_it_is_and_blinks(service: Service) -> None:
    who = bmc(service).identity()
    assert (who.firmware, who.manufacturer, who.product) == ("1.45.455b66-rev4", "Contoso", "3500RX")
    bmc(service).identify(15)
    assert service.tree[SYSTEM]["IndicatorLED"] == "Blinking"
    bmc(service).identify(0)
    assert service.tree[SYSTEM]["IndicatorLED"] == "Off"
    service.tree[SYSTEM]["LocationIndicatorActive"] = False
    bmc(service).identify(15)
    assert service.tree[SYSTEM]["LocationIndicatorActive"] is True


def test_a_bmc_of_many_machines_is_refused_with_how_many(service: Service) -> None:
    service.tree["/redfish/v1/Systems"]["Members"] = [{"@odata.id": SYSTEM}, {"@odata.id": SYSTEM + "b"}]
    with pytest.raises(BmcRefused, match="it has 2; give the address"):
        bmc(service).power_state()


def test_a_system_that_is_called_differently_after_an_update_is_found_again(service: Service) -> None:
    bmc(service).power_state()
    service.tree["/redfish/v1/Systems"]["Members"] = [{"@odata.id": "/redfish/v1/Systems/1"}]
    service.tree["/redfish/v1/Systems/1"] = service.tree.pop(SYSTEM)
    assert bmc(service).power_state() == "off"


def test_a_link_that_leads_elsewhere_is_not_followed(service: Service) -> None:
    service.tree["/redfish/v1/"]["Systems"] = {"@odata.id": "https://169.254.169.254/latest"}
    with pytest.raises(BmcConfused, match="names 169"):
        bmc(service).power_state()


def test_no_secret_is_in_what_is_said(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    service.session_only = True
    found = bmc(service)
    found.power_state()
    service.illness = "refusing"
    with pytest.raises(BmcRefused) as refused:
        found.set_power("on")
    assert PASSWORD not in caplog.text + repr(found) + str(refused.value)
