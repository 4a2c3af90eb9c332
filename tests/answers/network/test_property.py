"""Whatever is said and accepted means the same in every language: addresses, routes, members, links."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pxeapp.answers.network import ifcfg, ifupdown, keyfile, netplan, resolving
from pxeapp.answers.network.plan import NetworkPlan
from tests.answers.network.machines import CARDS, Case, plan

KEYS = ["boot", "eno2", "52:54:00:00:00:03", "52-54-00-00-00-04"]
NAMES = ["eno1", "eno2", "nic2", "nic3"]


@st.composite
def options(draw: st.DrawFn, subnet: int) -> dict[str, Any]:
    """Addresses of a subnet of its own, of either family, routes behind them, a size."""
    found: dict[str, Any] = {}
    if draw(st.booleans()):
        found["addresses"] = [f"10.{subnet}.0.5/16", f"10.{subnet}.0.6/16"][: draw(st.integers(1, 2))]
        if draw(st.booleans()):
            found["routes"] = [{"to": f"172.16.{subnet}.0/24", "via": f"10.{subnet}.0.9"}]
    if draw(st.booleans()):
        found.setdefault("addresses", []).append(f"fd00:{subnet}::5/64")
        if draw(st.booleans()):
            found.setdefault("routes", []).append({"to": f"fd01:{subnet}::/64", "via": "fe80::9", "metric": 7})
    if draw(st.booleans()):
        found["mtu"] = draw(st.sampled_from([1500, 4000, 9000]))
    return found


@st.composite
def spoken(draw: st.DrawFn) -> dict[str, Any]:
    """Cards shared out among bonds and bridges, VLANs on what is left, addresses of their own, some routes."""
    cards = draw(st.permutations(KEYS))
    cut, end = sorted((draw(st.integers(0, 4)), draw(st.integers(0, 4))))
    said: dict[str, Any] = {"ethernets": {}, "bonds": {}, "bridges": {}, "vlans": {}}
    number = iter(range(1, 200))

    if cards[:cut]:
        said["bonds"]["bond0"] = {"members": cards[:cut], "mode": draw(st.sampled_from(["802.3ad", "active-backup"]))}
        said["bonds"]["bond0"] |= draw(options(next(number)))
    if cards[cut:end]:
        said["bridges"]["br0"] = {"members": cards[cut:end], **draw(options(next(number)))}
    for card in cards[end:]:
        said["ethernets"][card] = draw(options(next(number)))
    for parent in [*said["bonds"], *said["bridges"], *cards[end:]]:
        for tag in draw(st.lists(st.integers(1, 4094), max_size=2, unique=True)):
            if draw(st.booleans()):
                said["vlans"][f"v{next(number)}"] = {"link": parent, "id": tag, **draw(options(next(number)))}
    return said


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoken())
def test_what_is_accepted_is_the_same_everywhere(said: dict[str, Any]) -> None:
    found = _accepted(said)
    if found is None:
        return
    _as_said(said, found)
    _netplan(found)
    _others(found)


def _accepted(said: dict[str, Any]) -> NetworkPlan | None:
    cards = tuple(card._replace(network=None, address=None) for card in CARDS)
    try:
        return plan(Case(said), cards=cards)
    except resolving.BadNetwork as refused:
        problems = refused.problems
    # The only faults that such a network can have: sizes, and nobody with an address.
    assert all("larger than" in each.problem or "any address" in each.problem for each in problems)
    return None


def _as_said(said: dict[str, Any], found: NetworkPlan) -> None:
    for bond in found.bonds:
        wanted = [NAMES[KEYS.index(key)] for key in said["bonds"][bond.name]["members"]]
        assert list(bond.members) == wanted
    for kind in ("bonds", "bridges", "vlans"):
        for name, options in said[kind].items():
            device = found.device(name)
            assert list(device.addresses) == options.get("addresses", [])
            assert [(each.to, each.via) for each in device.routes] == [
                (each["to"], each["via"]) for each in options.get("routes", [])
            ]


def _netplan(found: NetworkPlan) -> None:
    (file,) = netplan.files(found)
    said = yaml.safe_load(file.text)["network"]
    devices = {
        name: each for kind in ("ethernets", "bonds", "vlans", "bridges") for name, each in said.get(kind, {}).items()
    }
    assert set(devices) == {device.name for device in found.devices}
    for device in found.devices:
        each = devices[device.name]
        assert tuple(each.get("addresses", ())) == device.addresses
        assert {(route["to"], route["via"], route.get("metric")) for route in each.get("routes", ())} == {
            (route.to, route.via, route.metric) for route in device.routes
        }
        assert each.get("mtu") == device.mtu
        assert (each["dhcp4"], each["dhcp6"], each["accept-ra"]) == (device.dhcp4, device.dhcp6, device.accept_ra)
    for master in (*found.bonds, *found.bridges):
        assert tuple(devices[master.name]["interfaces"]) == master.members
    for vlan in found.vlans:
        assert (devices[vlan.name]["link"], devices[vlan.name]["id"]) == (vlan.link, vlan.id)


def _others(found: NetworkPlan) -> None:
    """Each address and route is said in each of the other languages too, in the file of its own device."""
    interfaces = next(file.text for file in ifupdown.files(found) if file.path.endswith("/pxeapp"))
    for device in found.devices:
        key = next(file.text for file in keyfile.files(found) if file.path.endswith(f"/{device.name}.nmconnection"))
        old = "".join(file.text for file in ifcfg.files(found) if file.path.endswith(f"-{device.name}"))
        for address in device.addresses:
            assert f"={address}\n" in key
            assert address.partition("/")[0] in old
            assert f"    address {address}\n" in interfaces
        for route in device.routes:
            assert f"={route.to},{route.via}" in key
            assert f"{route.to} via {route.via} dev {device.name}" in old
            assert f"route replace {route.to} via {route.via} dev {device.name}" in interfaces
