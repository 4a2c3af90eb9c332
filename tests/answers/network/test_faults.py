"""What cannot be is refused with its field, what is wrong, and what to write."""

from __future__ import annotations

from typing import Any

import pytest

from pxeapp.answers.network import reading
from pxeapp.answers.network.resolving import BadNetwork
from tests.answers.network.machines import CASES, Case, plan

BOND = {"members": ["boot", "eno2"], "mode": "802.3ad", "network": "pxe"}


def faults(said: Any, addresses: Any = None) -> list[tuple[str, str, str]]:
    with pytest.raises(BadNetwork) as refused:
        plan(Case(said, addresses))
    return [(each.field, each.problem, each.fix) for each in refused.value.problems]


def bond(**more: Any) -> Any:
    return {"bonds": {"bond0": {**BOND, **more}}}


def boot(**more: Any) -> Any:
    return {"ethernets": {"boot": more}}


TABLE: list[tuple[str, Any, str, str, str]] = [
    # what it is about, what is said, the field below vars.network, in the problem, in the fix
    ("no object", ["bond0"], "", "is not an object", "ethernets"),
    ("unknown kind", {"bond": {}}, "", "'bond' is not a word", "Did you mean bonds?"),
    ("netplan's dash", boot(**{"accept-ra": True}), "ethernets.boot", "'accept-ra'", "Did you mean accept_ra?"),
    ("unknown word", boot(colour="red"), "ethernets.boot", "'colour' is not a word", "Known: network, addresses"),
    ("device of a wrong kind", {"bonds": {"bond0": 7}}, "bonds.bond0", "is not an object", "{...}"),
    ("devices of a wrong kind", {"bonds": ["bond0"]}, "bonds", "is not an object", "NAME"),
    ("true as a text", boot(dhcp4="yes"), "ethernets.boot.dhcp4", "neither true nor false", "Write true or false."),
    ("mtu too large", boot(mtu=65536), "ethernets.boot.mtu", "65536 is not possible", "576 to 9216"),
    ("mtu as a text", boot(mtu="9000"), "ethernets.boot.mtu", "is not possible", "whole number"),
    ("long name", {"bridges": {"b" * 16: {}}}, "bridges", "has 16 characters; Linux allows 15", "shorter"),
    ("a kernel's name", {"bridges": {"eth0": {}}}, "bridges", "Linux or this language uses itself", "lan0"),
    ("a name of blanks", {"bridges": {"br ex": {}}}, "bridges", "cannot be an interface's name", "letters"),
    ("card's name", boot(name="lo"), "ethernets.boot.name", "uses itself", "lan0"),
    ("a foreign MAC", {"ethernets": {"52:54:00:99:99:99": {}}}, "ethernets.52:54:00:99:99:99",
     "no network card of this",
     "add the card to interfaces"),
    ("a card twice", {"ethernets": {"boot": {}, "eno1": {}}}, "ethernets.eno1", "once more", "one place"),
    ("two called the same", {"ethernets": {"boot": {"name": "lan0"}, "eno2": {"name": "lan0"}}}, "ethernets.eno2.name",
     "another interface's name", "Rename"),
    ("a card called as a bond", {**bond(), "ethernets": {"boot": {"name": "bond0"}}}, "ethernets.boot.name",
     "another interface's name", "Rename"),
    ("unknown member", bond(members=["boot", "eno7"]), "bonds.bond0.members", "'eno7' is no interface of this machine",
     "52:54:00:00:00:02 (eno2)"),
    ("member twice", bond(members=["boot", "boot"]), "bonds.bond0.members", "named twice", "once"),
    ("member twice by other names", bond(members=["boot", "eno1"]), "bonds.bond0.members", "names a card twice",
     "once"),
    ("no members", bond(members=[]), "bonds.bond0.members", "is missing", "boot"),
    ("members as a text", bond(members="boot"), "bonds.bond0.members", "is not a list", "eno2"),
    ("no mode", {"bonds": {"bond0": {"members": ["boot"]}}}, "bonds.bond0.mode", "is missing", "active-backup"),
    ("unknown mode", bond(mode="lacp"), "bonds.bond0.mode", "'lacp' is not possible", "802.3ad"),
    ("lacp_rate without LACP", bond(mode="active-backup", lacp_rate="fast"), "bonds.bond0.lacp_rate", "means nothing",
     "802.3ad"),
    ("hash policy in active-backup", bond(mode="active-backup", xmit_hash_policy="layer2"),
     "bonds.bond0.xmit_hash_policy", "means nothing", "balance-xor"),
    ("primary in LACP", bond(primary="boot"), "bonds.bond0.primary", "means nothing", "active-backup"),
    ("primary that is no member", bond(mode="active-backup", primary="52:54:00:00:00:03"), "bonds.bond0.primary",
     "is no member", "Name a member"),
    ("a member of two bonds", {"bonds": {"bond0": BOND, "bond1": {"members": ["eno2"], "mode": "active-backup"}}},
     "bonds.bond1.members", "eno2 is a member of bond0 already", "other"),
    ("a member of bond and bridge", {**bond(), "bridges": {"br0": {"members": ["eno2"]}}}, "bridges.br0.members",
     "eno2 is a member of bond0 already", "other"),
    ("a bond of a VLAN", {"vlans": {"v5": {"link": "eno2", "id": 5}}, **bond(members=["boot", "v5"])},
     "bonds.bond0.members", "v5 is no network card", "made of cards"),
    ("a member with an address", {**bond(), "ethernets": {"boot": {"addresses": ["10.77.0.11/24"]}}},
     "ethernets.boot.addresses", "it is a member of bond0", "Say it at bond0"),
    ("a VLAN on a member of a bond", {**bond(), "vlans": {"v5": {"link": "eno2", "id": 5}}}, "vlans.v5.link",
     "eno2 is a member of bond0", "Put the VLAN on bond0"),
    ("a VLAN on a VLAN", {"vlans": {"a": {"link": "boot", "id": 5}, "b": {"link": "a", "id": 6}}}, "vlans.b.link",
     "a is a VLAN itself", "bond or bridge"),
    ("a circle", {"vlans": {"v5": {"link": "br0", "id": 5}}, "bridges": {"br0": {"members": ["v5"]}}}, "vlans.v5.link",
     "runs in a circle: v5 on br0 on v5", "Break it"),
    ("VLAN without a link", {"vlans": {"v5": {"id": 5}}}, "vlans.v5.link", "is missing", "carries"),
    ("VLAN without an id", {"vlans": {"v5": {"link": "boot"}}}, "vlans.v5.id", "is missing", "1 to 4094"),
    ("VLAN of a network without one", {"vlans": {"v5": {"link": "boot", "network": "far"}}}, "vlans.v5.id",
     "its network has no VLAN", "1 to 4094"),
    ("VLAN that is not the network's", {"vlans": {"v5": {"link": "boot", "id": 5, "network": "storage"}}},
     "vlans.v5.id", "5 is not the network's: storage has 120", "Leave id out"),
    ("VLAN 4095", {"vlans": {"v": {"link": "boot", "id": 4095}}}, "vlans.v.id", "4095 is not possible", "1 to 4094"),
    ("VLAN true", {"vlans": {"v": {"link": "boot", "id": True}}}, "vlans.v.id", "True is not possible", "1 to 4094"),
    ("one VLAN twice", {"vlans": {"a": {"link": "boot", "id": 5}, "b": {"link": "eno1", "id": 5}}}, "vlans.b.id",
     "VLAN 5 on eno1 is a already", "one of the two"),
    ("a name with another number", {"vlans": {"eno1.6": {"link": "boot", "id": 5}}}, "vlans.eno1.6.id",
     "VLAN 5 is called eno1.6", "eno1.5"),
    ("a name with another link", {"vlans": {"eno2.5": {"link": "boot", "id": 5}}, "ethernets": {"eno2": {}}},
     "vlans.eno2.5.link", "stands on eno1, and there is a eno2", "its own link"),
    ("VLAN larger than its card", {"vlans": {"v5": {"link": "boot", "id": 5, "mtu": 9000}}}, "vlans.v5.mtu",
     "9000 is larger than 1500, which eno1 has", "Set mtu: 9000 at eno1"),
    ("bridge larger than its member", {"ethernets": {"eno2": {"mtu": 1500}},
     "bridges": {"b": {"members": ["eno2"], "mtu": 9000}}}, "bridges.b.mtu", "which its member eno2 has", "eno2 too"),
    ("too small for IPv6", boot(network="lan6", addresses=["fd00:77::11"], mtu=1000), "ethernets.boot.mtu",
     "too small for IPv6", "1280"),
    ("unknown network", boot(network="lan"), "ethernets.boot.network", "'lan' is not a network", "far, lan6, leased"),
    ("address outside its network", boot(network="pxe", addresses=["10.78.0.11/24"]), "ethernets.boot.addresses",
     "10.78.0.11/24 is not in pxe (10.77.0.0/24)", "Correct"),
    ("another prefix than its network's", boot(network="pxe", addresses=["10.77.0.11/25"]),
     "ethernets.boot.addresses", "is not in pxe", "Correct"),
    ("no prefix", boot(addresses=["10.77.0.11"]), "ethernets.boot.addresses", "has no prefix", "10.77.0.11/24"),
    ("no address", boot(addresses=["10.77.11/24"]), "ethernets.boot.addresses", "not an address", "10.0.0.5/24"),
    ("hexadecimal", boot(addresses=["0x0a000001/24"]), "ethernets.boot.addresses", "not an address", "10.0.0.5/24"),
    ("leading zeros", boot(addresses=["010.0.0.1/24"]), "ethernets.boot.addresses", "not an address", "10.0.0.5/24"),
    ("prefix too long", boot(addresses=["10.0.0.1/33"]), "ethernets.boot.addresses", "not an address", "10.0.0.5/24"),
    ("the network itself", boot(addresses=["10.0.0.0/24"]), "ethernets.boot.addresses", "the network itself",
     "machine"),
    ("broadcast", boot(addresses=["10.0.0.255/24"]), "ethernets.boot.addresses", "broadcast", "machine"),
    ("multicast", boot(addresses=["ff02::1/64"]), "ethernets.boot.addresses", "no address for a machine", "unicast"),
    ("loopback", boot(addresses=["127.0.0.1/8"]), "ethernets.boot.addresses", "no address for a machine", "unicast"),
    ("addresses as a text", boot(addresses="10.0.0.1/24"), "ethernets.boot.addresses", "is not a list", "["),
    ("one address twice", {"ethernets": {"boot": {"addresses": ["10.0.0.1/24"]},
     "eno2": {"addresses": ["10.0.0.1/8"]}}},
     "ethernets.eno2.addresses", "10.0.0.1/8 is eno1's already", "of its own"),
    ("gateway out of reach", boot(addresses=["10.0.0.5/24"], gateway4="10.0.1.1"), "ethernets.boot.gateway4",
     "10.0.1.1 cannot be reached from 10.0.0.5/24", "router in one of its networks"),
    ("gateway that is the machine", boot(addresses=["10.0.0.5/24"], gateway4="10.0.0.5"), "ethernets.boot.gateway4",
     "is the machine itself", "router"),
    ("IPv6 gateway out of reach", boot(addresses=["fd00:1::5/64"], gateway6="fd00:2::1"), "ethernets.boot.gateway6",
     "cannot be reached", "router"),
    ("gateway of the other family", boot(addresses=["10.0.0.5/24"], gateway4="fd00::1"), "ethernets.boot.gateway4",
     "is not an IPv4 address", "10.0.0.1"),
    ("gateway beside DHCP", boot(dhcp4=True, gateway4="10.0.0.1"), "ethernets.boot.gateway4", "come by DHCP",
     "Leave it"),
    ("two gateways", {"ethernets": {"boot": {"addresses": ["10.0.0.5/24"], "gateway4": "10.0.0.1"},
     "eno2": {"addresses": ["10.1.0.5/24"], "gateway4": "10.1.0.1"}}}, "ethernets.eno2.gateway4",
     "eno2 and eno1 both claim the IPv4 default route", "Keep one"),
    ("gateway and default_route", {"ethernets": {"boot": {"addresses": ["10.0.0.5/24"], "gateway4": "10.0.0.1"},
     "eno2": {"dhcp4": True, "default_route": True}}}, "ethernets.eno2.default_route", "both claim", "Keep one"),
    ("two possible gateways", {"ethernets": {"boot": {"dhcp4": False}, "eno2": {"dhcp4": True},
     "52:54:00:00:00:03": {"dhcp4": True}}}, "ethernets.52:54:00:00:00:03.default_route", "could both have", "Write"),
    ("default_route without a gateway", boot(addresses=["10.0.0.5/24"], default_route=True), "ethernets.boot.gateway4",
     "is missing", "Write gateway4"),
    ("the default route as a route", boot(dhcp4=True, routes=[{"to": "default", "via": "10.0.0.1"}]),
     "ethernets.boot.routes", "not one of the routes", "gateway4 or gateway6"),
    ("0.0.0.0/0 as a route", boot(dhcp4=True, routes=[{"to": "0.0.0.0/0", "via": "10.0.0.1"}]),
     "ethernets.boot.routes", "not one of the routes", "gateway4 or gateway6"),
    ("route with bits beyond", boot(dhcp4=True, routes=[{"to": "10.0.0.1/8", "via": "10.0.0.1"}]),
     "ethernets.boot.routes", "bits beyond its prefix", "Write 10.0.0.0/8"),
    ("route of two families", boot(dhcp4=True, routes=[{"to": "fd00::/8", "via": "10.0.0.1"}]),
     "ethernets.boot.routes", "is not an IPv6 address", "fd00::1"),
    ("route out of reach", boot(addresses=["10.0.0.5/24"], routes=[{"to": "10.9.0.0/16", "via": "10.1.0.1"}]),
     "ethernets.boot.routes", "10.1.0.1 cannot be reached", "router"),
    ("route twice", boot(dhcp4=True, routes=[{"to": "10.9.0.0/16", "via": "10.1.0.1"}] * 2), "ethernets.boot.routes",
     "said twice", "metric"),
    ("route's unknown word", boot(dhcp4=True, routes=[{"to": "10.9.0.0/16", "gw": "10.1.0.1"}]),
     "ethernets.boot.routes", "'gw' is not a word of a route", "to, via and metric"),
    ("nobody has an address", {"ethernets": {"boot": {"dhcp4": False}}}, "", "without any address", "dhcp4: true"),
    ("name servers", {"dns": ["ns.example.org"]}, "dns", "is not an address", "10.0.0.1"),
    ("search", {"search": ["-x"]}, "search", "is not a list of domains", "rack.example.org"),
    ("installer that is none", {"installer": "bond9"}, "installer", "is no interface", "boot"),
    ("installer beside the boot card", {"installer": "eno2", "ethernets": {"eno2": {}}}, "installer",
     "does not lead over the boot",
     "boot"),
    ("installer on a bridge", {"bridges": {"b": {"members": ["boot"], "network": "pxe"}}, "installer": "b"},
     "installer", "does not lead over the boot", "boot"),
    ("a name twice", {"bonds": {"x": BOND}, "bridges": {"x": {}}}, "bridges.x", "is the name of one of the bonds",
     "name"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "field", "problem", "fix"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_it_is_refused_by_field_with_what_to_write(said: Any, field: str, problem: str, fix: str) -> None:
    found = faults(said)
    wanted = f"vars.network.{field}" if field else "vars.network"
    assert any(where == wanted and problem in what and fix in how for where, what, how in found), found


@pytest.mark.parametrize(
    ("addresses", "field", "problem"),
    [
        (["10.20.0.11"], "vars.addresses", "is not an object"),
        ({"storage": "10.99.0.11"}, "vars.addresses.storage", "10.99.0.11 is not in 10.20.0.0/16"),
        ({"storage": 7}, "vars.addresses.storage", "is not a list"),
        ({"storage": "storage"}, "vars.addresses.storage", "is not an address"),
    ],
)
def test_an_address_in_a_network_is_in_that_network(addresses: Any, field: str, problem: str) -> None:
    found = faults(CASES["compute"].said, addresses)
    assert [(where, problem in what) for where, what, _ in found] == [(field, True)]


def test_every_fault_is_said_at_once() -> None:
    said = {"bonds": {"bond0": {"members": "x", "mode": "y"}}, "vlans": {"v": {"id": 0}}, "dns": 5, "what": 1}
    assert [where for where, _, _ in faults(said)] == [
        "vars.network.bonds.bond0.members", "vars.network.bonds.bond0.mode", "vars.network.vlans.v.id",
        "vars.network.dns", "vars.network",
    ]  # fmt: skip


HOSTILE = (
    "a\nb", "%end", "$(reboot)", "`reboot`", "a b", "x" * 255, "名前", '"; reboot; "', "a: b", "- x", "{a}",
    "!!python/x", "../../etc/passwd", "a/b", "[connection]", "", " ", "\0", "&x", "*x", "#", "a'b",
)  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
def test_no_hostile_value_gets_anywhere(value: str) -> None:
    for said in (
        {"bonds": {value: BOND}},
        {"vlans": {value: {"link": "boot", "id": 5}}},
        {"bridges": {value: {"members": ["boot"]}}},
        {"ethernets": {value: {}}},
        boot(name=value),
        boot(network=value),
        boot(addresses=[value]),
        boot(addresses=[f"10.0.0.1/{value}"]),
        boot(gateway4=value),
        boot(routes=[{"to": value, "via": "10.0.0.1"}]),
        boot(routes=[{"to": "10.0.0.0/8", "via": value}]),
        bond(members=["boot", value]),
        bond(mode=value),
        bond(xmit_hash_policy=value),
        bond(primary=value),
        {"vlans": {"v5": {"link": value, "id": 5}}},
        {"dns": [value]},
        {"search": [value]},
        {"installer": value},
        {value: {}},
    ):
        assert all(where.startswith("vars.network") for where, _, _ in faults(said))


def test_a_role_is_checked_without_a_machine() -> None:
    assert reading.problems(CASES["compute"].said, {"storage": "10.20.0.11"}) == []
    found = reading.problems(
        {"bonds": {"b": {"members": ["x"], "mode": "802.3ad", "primary": "x"}}, "vlans": {"v": {}}}
    )
    assert [each.field for each in found] == [
        "vars.network.bonds.b.primary", "vars.network.vlans.v.link", "vars.network.vlans.v.id"
    ]  # fmt: skip
