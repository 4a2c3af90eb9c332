"""NetworkManager's keyfiles, for EL 8 and later: connections found by MAC, and joined by UUID."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from pxeapp.answers.network.files import File
from pxeapp.answers.network.plan import Bond, Bridge, Device, Ethernet, NetworkPlan, Vlan

FOLDER = "/etc/NetworkManager/system-connections"
NAMESPACE = uuid.UUID("6c1c8a0e-5d0f-4b3e-9a51-7078656e6574")  # ours: the same machine gets the same UUIDs again
Section = list[tuple[str, str]]


def files(plan: NetworkPlan) -> tuple[File, ...]:
    """One file per device; root's alone, or NetworkManager does not read it."""
    return tuple(File(f"{FOLDER}/{each.name}.nmconnection", _text(plan, each), "600") for each in plan.devices)


def identity(plan: NetworkPlan, device: Device) -> str:
    """The UUID of a device's connection."""
    return str(uuid.uuid5(NAMESPACE, f"{plan.boot_card.mac}/{device.name}"))


def _text(plan: NetworkPlan, device: Device) -> str:
    sections = dict(_sections(plan, device))
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in section) for name, section in sections.items()
    )


def _sections(plan: NetworkPlan, device: Device) -> Iterable[tuple[str, Section]]:
    yield "connection", _connection(plan, device)
    yield from _kind(plan, device)
    if plan.master_of(device.name) is None:
        yield "ipv4", _ipv4(plan, device)
        yield "ipv6", _ipv6(plan, device)


def _connection(plan: NetworkPlan, device: Device) -> Section:
    kind = {Ethernet: "ethernet", Bond: "bond", Vlan: "vlan", Bridge: "bridge"}[type(device)]
    said = [("id", device.name), ("uuid", identity(plan, device)), ("type", kind)]
    if not isinstance(device, Ethernet):
        said.append(("interface-name", device.name))
    said.append(("autoconnect", "true"))
    master = plan.master_of(device.name)
    if master is not None:
        said += [
            ("master", identity(plan, master)),
            ("slave-type", "bond" if isinstance(master, Bond) else "bridge"),
        ]
    if isinstance(device, Bond | Bridge):
        said.append(("autoconnect-slaves", "1"))
    return said


def _kind(plan: NetworkPlan, device: Device) -> Iterable[tuple[str, Section]]:
    ethernet: Section = []
    if isinstance(device, Ethernet):
        ethernet.append(("mac-address", device.mac.upper()))
    if isinstance(device, Bond) and device.mac:
        ethernet.append(("cloned-mac-address", device.mac.upper()))
    if device.mtu:
        ethernet.append(("mtu", str(device.mtu)))
    if ethernet:
        yield "ethernet", ethernet
    if isinstance(device, Bond):
        yield "bond", bond_options(device)
    elif isinstance(device, Vlan):
        yield "vlan", [("id", str(device.id)), ("parent", identity(plan, plan.device(device.link))), ("flags", "1")]
    elif isinstance(device, Bridge):
        said = [("stp", "true" if device.stp else "false")]
        if device.stp and device.forward_delay:
            said.append(("forward-delay", str(device.forward_delay)))
        if device.mac:
            said.append(("mac-address", device.mac.upper()))
        yield "bridge", said


def bond_options(bond: Bond) -> Section:
    """The kernel's own words, which NetworkManager, initscripts and dracut all use."""
    words = ((word, getattr(bond, word)) for word in ("lacp_rate", "xmit_hash_policy", "primary"))
    return [("mode", bond.mode), ("miimon", str(bond.miimon)), *((word, value) for word, value in words if value)]


def _ipv4(plan: NetworkPlan, device: Device) -> Section:
    if not device.has4:
        return [("method", "disabled")]
    said = [("method", "auto" if device.dhcp4 else "manual")]
    return [*said, *_addresses(plan, device, 4)]


def _ipv6(plan: NetworkPlan, device: Device) -> Section:
    if not device.has6:
        # A link-local address where the host speaks at all; nothing on a bridge or trunk that is others' network.
        return [("method", "link-local" if device.has4 else "disabled")]
    method = "auto" if device.accept_ra else "dhcp" if device.dhcp6 else "manual"
    return [("method", method), *_addresses(plan, device, 6)]


def _addresses(plan: NetworkPlan, device: Device, version: int) -> Section:
    said: Section = []
    for number, address in enumerate(device.static4 if version == 4 else device.static6, 1):
        said.append((f"address{number}", address))
    gateway, default = (device.gateway4, device.default4) if version == 4 else (device.gateway6, device.default6)
    if gateway:
        said.append(("gateway", gateway))
    if not default:
        said.append(("never-default", "true"))
    for number, route in enumerate(device.routes_of(version), 1):
        metric = "" if route.metric is None else f",{route.metric}"
        said.append((f"route{number}", f"{route.to},{route.via}{metric}"))
    if device == plan.dns_device:
        servers = [each for each in plan.dns if (":" in each) == (version == 6)]
        if servers:
            said.append(("dns", "".join(f"{each};" for each in servers)))
        if plan.search:
            said.append(("dns-search", "".join(f"{each};" for each in plan.search)))
    return said
