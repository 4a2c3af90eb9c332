"""ifupdown really brings it up: in a network namespace of its own, with veth pairs for cards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from pxeapp.answers.network import ifupdown
from tests.answers.network.machines import CASES, Case, plan

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root has network namespaces of its own"),
    pytest.mark.skipif(shutil.which("ifup") is None, reason="ifupdown is not installed (packaging/setup.sh test)"),
]
ROUTED = Case(
    {
        "bridges": {
            "br-ex": {"members": ["eno2"], "mtu": 1400},
            "br-lan": {
                "members": ["boot"],
                "addresses": ["10.77.0.11/24", "10.77.0.12/24", "fd00:77::11/64"],
                "gateway4": "10.77.0.1",
                "gateway6": "fd00:77::1",
                "routes": [
                    {"to": "10.9.0.0/16", "via": "10.77.0.9", "metric": 50},
                    {"to": "fd00:9::/64", "via": "fe80::9"},
                ],
            },
        }
    }
)


@cache
def possible(kind: str) -> bool:
    """Whether this kernel makes such a device; many in containers and small virtual machines have no bonds or VLANs."""
    make = {
        "bridge": "ip link add x type bridge",
        "bond": "ip link add x type bond",
        "vlan": "ip link add v type veth peer name w && ip link add link v name x type vlan id 5",
    }[kind]
    done = subprocess.run(["unshare", "-n", "sh", "-c", make], capture_output=True, timeout=30, check=False)
    return done.returncode == 0


def brought_up(case: Case, tmp_path: Path) -> tuple[dict[str, dict[str, object]], str]:
    """Every interface and route after `ifup -a`, as ip tells them."""
    found = plan(case)
    text = next(file.text for file in ifupdown.files(found) if file.path.endswith("/pxeapp"))
    (tmp_path / "interfaces").write_text(text)
    cards = "\n".join(
        f"ip link add {card.name} address {card.mac} type veth peer name p{number} && ip link set p{number} up"
        for number, card in enumerate(found.ethernets)
    )
    script = f"""set -e
mount -t sysfs sysfs /sys 2>/dev/null || true
ip link set lo up
{cards}
ifup --state-dir {tmp_path} -i {tmp_path}/interfaces -a >{tmp_path}/said 2>&1 || {{ cat {tmp_path}/said; exit 1; }}
ip -j -d addr >{tmp_path}/addr
(ip route; ip -6 route) >{tmp_path}/route
"""
    done = subprocess.run(
        ["unshare", "-n", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    interfaces = {each["ifname"]: each for each in json.loads((tmp_path / "addr").read_text())}
    return interfaces, (tmp_path / "route").read_text()


def addresses(interface: dict[str, object]) -> set[str]:
    listed = interface["addr_info"]
    assert isinstance(listed, list)
    return {f"{each['local']}/{each['prefixlen']}" for each in listed if each["scope"] == "global"}


def test_bridges_addresses_routes_and_sizes_are_there(tmp_path: Path) -> None:
    if not possible("bridge"):
        pytest.skip("this kernel makes no bridges")
    interfaces, routes = brought_up(ROUTED, tmp_path)
    assert interfaces["eno1"]["master"] == "br-lan"
    assert interfaces["eno2"]["master"] == "br-ex"
    assert addresses(interfaces["br-lan"]) == {"10.77.0.11/24", "10.77.0.12/24", "fd00:77::11/64"}
    assert interfaces["br-lan"]["address"] == "52:54:00:00:00:01"
    assert addresses(interfaces["br-ex"]) == set()
    assert interfaces["br-ex"]["mtu"] == 1400
    for route in (
        "default via 10.77.0.1 dev br-lan",
        "10.9.0.0/16 via 10.77.0.9 dev br-lan metric 50",
        "default via fd00:77::1 dev br-lan",
        "fd00:9::/64 via fe80::9 dev br-lan",
    ):
        assert route in routes


def test_a_bond_and_its_vlans_are_there(tmp_path: Path) -> None:
    for kind in ("bond", "vlan"):
        if not possible(kind):
            pytest.skip(f"this kernel makes no {kind}s, and has no module for them")
    interfaces, routes = brought_up(CASES["compute"], tmp_path)
    assert {interfaces[card]["master"] for card in ("eno1", "eno2")} == {"bond0"}
    assert interfaces["bond0"]["linkinfo"]["info_data"]["mode"] == "802.3ad"  # type: ignore[index]
    assert interfaces["bond0"]["mtu"] == 9000
    assert addresses(interfaces["bond0"]) == {"10.77.0.11/24"}
    assert interfaces["bond0.120"]["link"] == "bond0"
    assert interfaces["bond0.120"]["linkinfo"]["info_data"]["id"] == 120  # type: ignore[index]
    assert addresses(interfaces["tenant"]) == {"10.30.0.11/16"}
    assert "10.21.0.0/16 via 10.20.0.1 dev bond0.120 metric 50" in routes


def test_a_vlan_on_a_card_is_there(tmp_path: Path) -> None:
    if not possible("vlan"):
        pytest.skip("this kernel makes no VLANs, and has no module for them")
    said = {"vlans": {"storage": {"link": "boot", "id": 120, "addresses": ["10.20.0.11/16"]}},
            "ethernets": {"boot": {"addresses": ["10.77.0.11/24"]}}}  # fmt: skip
    interfaces, _ = brought_up(Case(said), tmp_path)
    assert addresses(interfaces["storage"]) == {"10.20.0.11/16"}
    assert interfaces["storage"]["link"] == "eno1"
