"""From a row to a driver: addresses that are allowed, and a password that shows nowhere."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from netaddr import IPNetwork

from pxeapp import config
from pxeapp.bmc.connect import Connector, pinned
from pxeapp.bmc.errors import BmcUnreachable
from pxeapp.bmc.fake import FakeBmc
from pxeapp.bmc.ipmi import IpmiBmc
from pxeapp.bmc.ports import Driver
from pxeapp.errors import Invalid
from pxeapp.machines.models import Bmc
from pxeapp.vault import Undecryptable, open_vault

NETWORKS = (IPNetwork("10.0.0.0/8"), IPNetwork("fd00::/8"))


@pytest.fixture
def connector(tmp_path: Path) -> Connector:
    return Connector(config.load({"PXEAPP_DATA_DIR": str(tmp_path)}), open_vault(tmp_path))


@pytest.mark.parametrize("address", ["10.0.0.7", "fd00::7"])
def test_address_in_an_allowed_network_is_used_as_it_is(address: str) -> None:
    assert pinned(address, 623, NETWORKS) == address


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "127.0.0.1", "::1", "2001:db8::1", "::ffff:127.0.0.1", "169.254.169.254"]
)
def test_address_outside_is_refused_with_the_field(address: str) -> None:
    with pytest.raises(Invalid) as caught:
        pinned(address, 623, NETWORKS)
    assert caught.value.problems[0].field == "bmc.address"
    assert "PXEAPP_BMC_NETWORKS" in str(caught.value)


def test_name_is_resolved_once_and_checked_as_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["192.0.2.66", "10.0.0.7"])

    def resolve(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (next(answers), 623))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Invalid):
        pinned("bmc.example.net", 623, NETWORKS)
    assert pinned("bmc.example.net", 623, NETWORKS) == "10.0.0.7", "the number goes to the driver, never the name"


def test_name_that_does_not_resolve_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(BmcUnreachable, match="does not resolve"):
        pinned("bmc.example.net", 623, NETWORKS)


def test_password_reaches_the_driver_and_nothing_else(connector: Connector) -> None:
    row = Bmc(
        type="ipmi",
        address="10.0.0.7",
        port=623,
        username="admin",
        password_encrypted=connector.vault.encrypt("hunter2"),
    )
    driver = connector.driver(row)
    assert isinstance(driver, IpmiBmc)
    assert driver._password == "hunter2"
    assert "hunter2" not in repr(driver) + repr(row) + repr(connector)


def test_key_that_does_not_fit_says_so(connector: Connector) -> None:
    with pytest.raises(Undecryptable, match="key file"):
        connector.driver(Bmc(type="ipmi", address="10.0.0.7", port=623, username="", password_encrypted="gAAAAA=="))


def test_unknown_type_names_the_known_ones(connector: Connector) -> None:
    with pytest.raises(Invalid, match="no driver") as caught:
        connector.driver(Bmc(type="smoke", address="10.0.0.7"))
    assert "ipmi" in caught.value.problems[0].fix


def test_fake_stays_in_its_folder(connector: Connector, tmp_path: Path) -> None:
    driver: Driver = connector.driver(Bmc(type="fake", address="../../etc/passwd"))
    assert isinstance(driver, FakeBmc)
    driver.set_power("on")
    assert (tmp_path / "fake-bmc" / "passwd.json").exists()
