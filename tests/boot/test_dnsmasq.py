"""dnsmasq's configuration and the snippets: whole files, refusals, and the servers' own checks of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pxeapp.boot import runner, snippets
from pxeapp.boot.dnsmasq import DhcpNetwork, Reservation, render
from pxeapp.boot.spec import BadBootValue
from pxeapp.errors import ConfigError, Invalid
from pxeapp.templates import Templates
from tests.boot import golden
from tests.boot.samples import NODE_URL, RACK, plan

TEMPLATES = Templates()


@pytest.mark.parametrize("mode", ["full", "proxy"])
def test_the_whole_configuration(mode: str) -> None:
    golden.check(f"dnsmasq-{mode}.conf", render(plan(mode), TEMPLATES))


def test_secure_boot_for_everybody_and_a_tftp_server_elsewhere() -> None:
    elsewhere = replace(plan("full"), secure_boot_default=True, tftp_address="10.77.0.9", reservations=())
    golden.check("dnsmasq-full-shim.conf", render(elsewhere, TEMPLATES))


def test_a_node_url_with_a_host_name_names_no_next_server() -> None:
    text = render(replace(plan("proxy"), node_url="http://pxe.example.org:8081"), TEMPLATES)
    assert "dhcp-boot=tag:ipxe,http://pxe.example.org:8081/boot/ipxe?mac=${netX/mac}\n" in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("interface", "eno1\ndhcp-script=/bin/sh"),
        ("interface", ""),
        ("interface", "a-name-that-is-too-long"),
        ("node_url", "http://h:1\nconf-file=/etc/shadow"),
        ("node_url", "http://h,1"),
        ("lease_file", Path("/var/lib/x y")),
        ("lease_file", Path("relative")),
        ("networks", ()),
        ("networks", (RACK, RACK)),
        ("tftp_address", "tftp.example.org"),
    ],
)
def test_a_plan_that_would_inject_or_fail_is_refused(field: str, value: object) -> None:
    with pytest.raises(Invalid) as refused:
        replace(plan("full"), **{field: value})  # type: ignore[arg-type]
    assert refused.value.problems


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a\nb"),
        ("cidr", "10.0.0.0/33"),
        ("cidr", "fd00::/64"),
        ("start", "10.99.0.1"),
        ("end", "10.77.0.50"),
        ("end", None),
        ("gateway", "nobody"),
        ("dns", ("10.0.0.1\nx",)),
        ("domain", "rack example"),
        ("domain", "a,b"),
    ],
)
def test_a_network_that_makes_no_sense_is_refused(field: str, value: object) -> None:
    with pytest.raises(BadBootValue):
        replace(RACK, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "reservation",
    [
        {"name": "a,ignore", "mac": "52:54:00:00:00:01"},
        {"name": "a", "mac": "52:54:00:00:00:01,ignore"},
        {"name": "a", "mac": "52:54:00:00:00:01", "address": "10.0.0"},
        {"name": "a", "mac": "525400000001"},
    ],
)
def test_a_reservation_that_would_inject_is_refused(reservation: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        Reservation(**reservation)  # type: ignore[arg-type]


def test_two_machines_with_one_address_are_refused() -> None:
    twice = (Reservation("a", "52:54:00:00:00:01", "10.77.0.5"), Reservation("b", "52:54:00:00:00:02", "10.77.0.5"))
    with pytest.raises(BadBootValue, match=r"10\.77\.0\.5 is there twice"):
        replace(plan("full"), reservations=twice)


def test_a_network_may_be_called_like_a_firmware() -> None:
    text = render(replace(plan("full"), networks=(DhcpNetwork("bios", "10.77.0.0/24"),)), TEMPLATES)
    assert "set:net-bios," in text


@pytest.mark.parametrize("server", snippets.SERVERS)
@pytest.mark.parametrize("secure_boot", [False, True], ids=["ipxe", "shim"])
def test_the_whole_snippet(server: str, *, secure_boot: bool) -> None:
    kind = "shim" if secure_boot else "ipxe"
    text = snippets.render(server, node_url=NODE_URL, tftp_address="10.77.0.1", secure_boot=secure_boot)
    golden.check(f"snippet-{server}-{kind}.txt", text)


def test_an_unknown_server_is_refused_with_those_we_know() -> None:
    with pytest.raises(BadBootValue, match="dnsmasq, kea, isc"):
        snippets.render("windows", node_url=NODE_URL, tftp_address="10.77.0.1")


@pytest.mark.dnsmasq
@pytest.mark.parametrize("mode", ["full", "proxy"])
def test_dnsmasq_accepts_its_configuration(mode: str, tmp_path: Path) -> None:
    conf = tmp_path / "dnsmasq.conf"
    conf.write_text(render(plan(mode), TEMPLATES))
    runner.check(conf)


@pytest.mark.dnsmasq
def test_dnsmasqs_own_words_explain_a_refusal(tmp_path: Path) -> None:
    conf = tmp_path / "dnsmasq.conf"
    conf.write_text("dhcp-range=nonsense\n")
    with pytest.raises(ConfigError, match="bad dhcp-range at line 1"):
        runner.check(conf)


@pytest.mark.dnsmasq
@pytest.mark.parametrize("secure_boot", [False, True], ids=["ipxe", "shim"])
def test_dnsmasq_accepts_its_snippet(tmp_path: Path, *, secure_boot: bool) -> None:
    conf = tmp_path / "snippet.conf"
    conf.write_text(
        snippets.render("dnsmasq", node_url=NODE_URL, tftp_address="10.77.0.1", secure_boot=secure_boot)
        + "dhcp-range=10.77.0.10,10.77.0.20\n"
    )
    runner.check(conf)


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.mark.parametrize("secure_boot", [False, True], ids=["ipxe", "shim"])
def test_kea_accepts_its_snippet(tmp_path: Path, *, secure_boot: bool) -> None:
    program = _program("kea-dhcp4")
    snippet = json.loads(snippets.render("kea", node_url=NODE_URL, tftp_address="10.77.0.1", secure_boot=secure_boot))
    conf = tmp_path / "kea.json"
    subnet = {"id": 1, "subnet": "10.77.0.0/24", "pools": [{"pool": "10.77.0.10 - 10.77.0.20"}]}
    settings = {
        "interfaces-config": {"interfaces": []},
        "lease-database": {"type": "memfile", "persist": False},
        "subnet4": [subnet],
        **snippet,
    }
    conf.write_text(json.dumps({"Dhcp4": settings}))
    result = subprocess.run([program, "-t", str(conf)], check=False, capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("secure_boot", [False, True], ids=["ipxe", "shim"])
def test_isc_dhcpd_accepts_its_snippet(tmp_path: Path, *, secure_boot: bool) -> None:
    program = _program("dhcpd")
    conf = tmp_path / "dhcpd.conf"
    conf.write_text(
        snippets.render("isc", node_url=NODE_URL, tftp_address="10.77.0.1", secure_boot=secure_boot)
        + "subnet 10.77.0.0 netmask 255.255.255.0 { range 10.77.0.10 10.77.0.20; }\n"
    )
    leases = tmp_path / "leases"
    leases.touch()
    result = subprocess.run(
        [program, "-t", "-cf", str(conf), "-lf", str(leases)], check=False, capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 0, result.stderr
