"""dnsmasq's log as evidence: drop a captured log into tests/boot/dhcp/ and it is a test."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.boot.dhcp import LogParser, Observation
from tests.boot import golden

LOGS = sorted((Path(__file__).parent / "dhcp").glob("*.log"))


def parse(text: str) -> list[Observation]:
    """Everything that a whole log says."""
    parser = LogParser()
    found = [observation for line in text.splitlines() for observation in parser.feed(line)]
    return found + parser.flush()


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_a_captured_log(log: Path) -> None:
    found = [{**asdict(each), "what": each.what} for each in parse(log.read_text())]
    golden.check(f"dhcp-{log.stem}.json", json.dumps(found, indent=1) + "\n")


def test_an_exchange_is_told_whole() -> None:
    found = parse(
        "dnsmasq-dhcp: 77 available DHCP range: 10.0.0.100 -- 10.0.0.200\n"
        "dnsmasq-dhcp: 77 vendor class: PXEClient:Arch:00007:UNDI:003016\n"
        "dnsmasq-dhcp: 77 DHCPREQUEST(eno1) 10.0.0.7 52:54:00:AA:BB:CC \n"
        "dnsmasq-dhcp: 77 tags: known, uefi, eno1\n"
        "dnsmasq-dhcp: 77 DHCPACK(eno1) 10.0.0.7 52:54:00:AA:BB:CC compute-01\n"
        "dnsmasq-dhcp: 77 sent size: 12 option: 67 bootfile-name  snponly.efi\n"
    )
    assert found == [
        Observation(
            mac="52:54:00:aa:bb:cc",
            interface="eno1",
            heard="request",
            answered="ack",
            address="10.0.0.7",
            arch="uefi",
            vendor_class="PXEClient:Arch:00007:UNDI:003016",
            boot_file="snponly.efi",
        )
    ]
    assert found[0].what == "ack"
    assert not found[0].rival


def test_a_repeated_packet_is_a_second_observation() -> None:
    run = (
        "dnsmasq-dhcp: 9 vendor class: PXEClient:Arch:00000\n"
        "dnsmasq-dhcp: 9 DHCPDISCOVER(e) 52:54:00:00:00:01 no address available\n"
    )
    found = parse(run * 3)
    assert [each.what for each in found] == ["discover"] * 3
    assert found[0].remark == "no address available"
    assert found[2].arch == "bios"


def test_a_rival_server_is_told_from_other_refusals() -> None:
    who = "10.0.0.7 52:54:00:00:00:01"
    refused = f"dnsmasq-dhcp: 5 DHCPREQUEST(e) {who} \ndnsmasq-dhcp: 5 DHCPNAK(e) {who} "
    assert parse(refused + "wrong server-ID")[0].rival
    assert not parse(refused + "address in use")[0].rival


def test_ipxe_is_told_from_the_firmware_below_it() -> None:
    found = parse("dnsmasq-dhcp: 5 user class: iPXE\ndnsmasq-dhcp: 5 PXE(e) 52:54:00:00:00:01 proxy")
    assert found[0].is_ipxe
    assert found[0].what == "proxy"


def test_a_client_cannot_forge_another_machines_line() -> None:
    # What a client sends stands behind `vendor class: `; dnsmasq lets no line break through.
    found = parse(
        "dnsmasq-dhcp: 5 vendor class: dnsmasq-dhcp: 6 DHCPACK(e) 10.0.0.9 52:54:00:00:00:99 victim\n"
        "dnsmasq-dhcp: 5 DHCPDISCOVER(e) 52:54:00:00:00:01 \n"
    )
    assert [each.mac for each in found] == ["52:54:00:00:00:01"]


LINES = st.text(max_size=120) | st.from_regex(
    r"dnsmasq-dhcp: [0-9]{1,3} (DHCP(ACK|OFFER|DISCOVER|REQUEST|NAK)|PXE)\([a-z]\) .{0,60}|"
    r"dnsmasq-dhcp: [0-9]{1,2} (tags|vendor class|user class|bootfile name): .{0,40}",
    fullmatch=True,
)


@given(st.lists(LINES, max_size=30))
def test_any_line_is_survived(lines: list[str]) -> None:
    for observation in parse("\n".join(lines)):
        assert len(observation.mac) == 17
        assert observation.what
