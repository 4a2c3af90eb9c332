"""netplan: autoinstall's `network`, and /etc/netplan of the Ubuntus that debian-installer installs.

Only words that the netplan of Ubuntu 18.04 knows already: the default route by its prefix, no ra-overrides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pxeapp.answers import block_yaml
from pxeapp.answers.network.files import File
from pxeapp.answers.network.plan import Bond, Bridge, Device, Ethernet, NetworkPlan, Vlan

PATH = "/etc/netplan/60-pxeapp.yaml"


def mapping(plan: NetworkPlan) -> dict[str, Any]:
    """What stands below `network`."""
    found: dict[str, Any] = {"version": 2, "renderer": "networkd"}
    for key, devices in (
        ("ethernets", plan.ethernets),
        ("bonds", plan.bonds),
        ("vlans", plan.vlans),
        ("bridges", plan.bridges),
    ):
        if devices:
            found[key] = {device.name: {**_kind(device), **_common(plan, device)} for device in devices}
    return found


def files(plan: NetworkPlan) -> tuple[File, ...]:
    """Its file; root's alone, as netplan wants it."""
    text = block_yaml.dump({"network": mapping(plan)})
    return (File(PATH, f"# Written by pxeapp\n{text}", "600"),)


def _kind(device: Device) -> dict[str, Any]:
    if isinstance(device, Ethernet):
        return {"match": {"macaddress": device.mac}, "set-name": device.name}
    if isinstance(device, Vlan):
        return {"id": device.id, "link": device.link}
    found: dict[str, Any] = {"interfaces": list(device.members)} if isinstance(device, Bond | Bridge) else {}
    if isinstance(device, Bond | Bridge) and device.mac:
        found["macaddress"] = device.mac
    if isinstance(device, Bond):
        said = {
            "mode": device.mode,
            "mii-monitor-interval": device.miimon,
            "lacp-rate": device.lacp_rate,
            "transmit-hash-policy": device.xmit_hash_policy,
            "primary": device.primary,
        }
        found["parameters"] = {key: value for key, value in said.items() if value is not None}
    if isinstance(device, Bridge):
        found["parameters"] = {"stp": device.stp, "forward-delay": device.forward_delay}
    return found


def _common(plan: NetworkPlan, device: Device) -> dict[str, Any]:
    found: dict[str, Any] = {"dhcp4": device.dhcp4, "dhcp6": device.dhcp6, "accept-ra": device.accept_ra}
    if device.addresses:
        found["addresses"] = list(device.addresses)
    if device.dhcp4 and not device.default4:
        found["dhcp4-overrides"] = {"use-routes": False}
    if not device.has4 and not device.has6:
        found["link-local"] = []  # a trunk, a member, a provider's bridge: the host itself is not in that network
    if routes := list(_routes(device)):
        found["routes"] = routes
    if device.mtu:
        found["mtu"] = device.mtu
    if device == plan.dns_device and (plan.dns or plan.search):
        found["nameservers"] = {
            key: list(value) for key, value in (("addresses", plan.dns), ("search", plan.search)) if value
        }
    if not _awaited(plan, device):
        found["optional"] = True
    return found


def _routes(device: Device) -> Iterable[dict[str, Any]]:
    for to, gateway in (("0.0.0.0/0", device.gateway4), ("::/0", device.gateway6)):
        if gateway:
            yield {"to": to, "via": gateway}
    for route in device.routes:
        yield {"to": route.to, "via": route.via, **({} if route.metric is None else {"metric": route.metric})}


def _awaited(plan: NetworkPlan, device: Device) -> bool:
    """The system waits at its start for the default route, and for what carries it."""
    if device.default4 or device.default6:
        return True
    above = plan.master_of(device.name)
    carried = [vlan for vlan in plan.vlans if vlan.link == device.name]
    return any(_awaited(plan, each) for each in ([above] if above else []) + carried)
