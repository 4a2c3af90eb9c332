"""What is said, and what it comes to mean for one machine."""

from __future__ import annotations

import pytest

from pxeapp.answers.network import resolving
from pxeapp.answers.network.plan import Bond, Bridge, Ethernet, NetworkPlan, Route, Vlan
from pxeapp.provisioning.facts import CardFacts
from tests.answers.network.machines import BOOT, CARDS, CASES, NETWORKS, Case, plan


def made(said: object, addresses: object = None, **more: object) -> NetworkPlan:
    return plan(Case(said, addresses), **more)  # type: ignore[arg-type]


def test_a_bond_of_the_boot_card_has_its_mac_and_the_address_of_its_record() -> None:
    found = plan(CASES["compute"])
    (bond,) = found.bonds
    assert bond == Bond(
        name="bond0", members=("eno1", "eno2"), mode="802.3ad", miimon=50, lacp_rate="fast",
        xmit_hash_policy="layer3+4", mac=BOOT, addresses=("10.77.0.11/24",), gateway4="10.77.0.1", default4=True,
        mtu=9000,
    )  # fmt: skip
    assert [(card.name, card.mac, card.mtu, card.has4) for card in found.ethernets] == [
        ("eno1", BOOT, 9000, False),
        ("eno2", "52:54:00:00:00:02", 9000, False),
    ]
    assert found.speaker == bond
    assert (found.boot, found.installer, found.dns, found.search) == (
        "eno1", "eno1", ("10.77.0.2",), ("rack.example.org",)
    )  # fmt: skip


def test_a_networks_vlan_and_prefix_and_the_machines_address_in_it() -> None:
    storage, tenant = plan(CASES["compute"]).vlans
    assert storage == Vlan(
        name="bond0.120", link="bond0", id=120, mtu=9000, addresses=("10.20.0.11/16",),
        routes=(Route("10.21.0.0/16", "10.20.0.1", 50),),
    )  # fmt: skip
    assert (tenant.id, tenant.addresses, tenant.gateway4) == (130, ("10.30.0.11/16",), None)


def test_a_bridge_without_anything_said_is_others_network() -> None:
    found = plan(CASES["bridge"])
    provider, lan, vlan = found.bridges
    assert provider == Bridge(name="br-ex", members=("uplink",))
    assert (lan.mac, lan.addresses, lan.default4, lan.stp, lan.forward_delay) == (
        BOOT, ("10.77.0.11/24",), True, True, 4
    )  # fmt: skip
    assert vlan.addresses == ("172.16.0.1/24", "172.16.1.1/24")
    assert found.bonds[0].primary == "eno2"
    assert not found.bonds[0].has4


def test_cards_that_nobody_speaks_of_are_left_alone_and_kernels_names_are_not_kept() -> None:
    assert [card.name for card in plan(CASES["compute"]).ethernets] == ["eno1", "eno2"]
    assert [card.name for card in made({"ethernets": {"52:54:00:00:00:04": {}}}).ethernets] == ["eno1", "nic3"]


def test_ipv6_alone() -> None:
    (card,) = plan(CASES["ipv6"]).ethernets
    assert (card.has4, card.addresses, card.gateway6, card.default6) == (False, ("fd00:77::11/64",), "fd00:77::1", True)
    assert plan(CASES["ipv6"]).dns == ("fd00:77::53",)


def test_advertisements_and_dhcpv6_and_who_has_the_default_route() -> None:
    boot, lan, third = plan(CASES["slaac"]).ethernets
    assert (boot.dhcp4, boot.accept_ra, boot.default4, boot.default6) == (True, True, True, True)
    assert (lan.name, lan.dhcp6, lan.accept_ra, lan.default6) == ("lan6", True, True, False)
    assert (third.dhcp4, third.default4) == (True, False)


def test_a_reservation_is_leased_whatever_has_the_boot_cards_address() -> None:
    leased = (CardFacts(BOOT, "eno1", "leased", "10.70.0.11"), *CARDS[1:])
    bond = {"bond0": {"members": ["boot", "eno2"], "mode": "active-backup", "network": "leased"}}
    found = made({"bonds": bond}, cards=leased)
    assert (found.bonds[0].dhcp4, found.bonds[0].addresses, found.bonds[0].mac) == (True, (), BOOT)
    assert made({}, cards=leased).ethernets[0].dhcp4
    said = made({"ethernets": {"boot": {"network": "leased", "addresses": ["10.70.0.11"]}}}, cards=leased)
    assert said.ethernets[0].addresses == ("10.70.0.11/24",)


def test_where_a_machine_boots_is_where_its_default_route_is_unless_it_is_said() -> None:
    both = {"boot": {"network": "pxe"}, "eno2": {"network": "far", "addresses": ["192.168.5.5"]}}
    assert [card.gateway4 for card in made({"ethernets": both}).ethernets] == ["10.77.0.1", None]
    both["eno2"]["default_route"] = True
    assert [card.gateway4 for card in made({"ethernets": both}).ethernets] == [None, "192.168.5.1"]
    assert made({"ethernets": both}).dns == ("192.168.5.9", "10.77.0.2")  # the default route's first
    away = {"boot": {"dhcp4": True, "default_route": False}, "eno2": {"network": "far", "addresses": ["192.168.5.5"]}}
    assert [card.default4 for card in made({"ethernets": away}).ethernets] == [False, True]


def test_one_gateway_for_each_family() -> None:
    found = made(
        {
            "ethernets": {
                "boot": {"network": "pxe"},
                "eno2": {"addresses": ["fd00:1::5/64"], "gateway6": "fe80::1"},
            }
        }
    )
    assert [(card.gateway4, card.gateway6) for card in found.ethernets] == [("10.77.0.1", None), (None, "fe80::1")]


def test_a_card_in_a_tagged_network_by_its_record_gets_the_vlan() -> None:
    cards = (*CARDS[:1], CardFacts("52:54:00:00:00:02", None, "storage", "10.20.0.11"))
    found = made({}, cards=cards)
    assert found.ethernets[1] == Ethernet(name="nic1", mac="52:54:00:00:00:02")
    assert found.vlans == (Vlan(name="nic1.120", link="nic1", id=120, addresses=("10.20.0.11/16",)),)


def test_a_machine_of_which_only_its_mac_is_known() -> None:
    found = made(None, cards=())
    assert found.ethernets == (Ethernet(name="nic0", mac=BOOT, dhcp4=True, default4=True),)


def test_every_spelling_of_a_card_means_it() -> None:
    spelled = ("boot", "eno1", BOOT, "52-54-00-00-00-01", "5254.0000.0001")
    plans = [made({"bonds": {"b": {"members": [each], "mode": "802.3ad", "network": "pxe"}}}) for each in spelled]
    assert all(each == plans[0] for each in plans)


def test_the_language_is_needed_when_it_is_spoken_or_a_card_speaks_ipv6() -> None:
    assert not resolving.needed(None, CARDS, NETWORKS)
    assert resolving.needed({}, CARDS, NETWORKS)
    assert resolving.needed(None, [CardFacts(BOOT, None, "lan6", "fd00:77::11")], NETWORKS)
    assert resolving.needed(None, [CardFacts(BOOT, None, "lan6", None)], NETWORKS)  # SLAAC


@pytest.mark.parametrize("name", list(CASES))
def test_the_same_is_said_the_same_again(name: str) -> None:
    assert plan(CASES[name]) == plan(CASES[name])
    assert len({device.name for device in plan(CASES[name]).devices}) == len(plan(CASES[name]).devices)
