"""ifcfg files, for EL 7: its initscripts rename each card by HWADDR, so names can be relied on."""

from __future__ import annotations

from collections.abc import Iterable

from pxeapp.answers.network.files import File
from pxeapp.answers.network.keyfile import bond_options
from pxeapp.answers.network.plan import Bond, Bridge, Device, Ethernet, NetworkPlan, Vlan, ip_of, prefix_of

FOLDER = "/etc/sysconfig/network-scripts"


def files(plan: NetworkPlan) -> tuple[File, ...]:
    """ifcfg-NAME of each device, and route-NAME and route6-NAME where it has routes."""
    return tuple(each for device in plan.devices for each in _of(plan, device))


def _of(plan: NetworkPlan, device: Device) -> Iterable[File]:
    lines = "".join(f'{key}="{value}"\n' for key, value in _lines(plan, device))
    yield File(f"{FOLDER}/ifcfg-{device.name}", lines)
    for prefix, version in (("route", 4), ("route6", 6)):
        routes = device.routes_of(version)
        if routes:
            text = "".join(
                f"{route.to} via {route.via} dev {device.name}"
                + (f" metric {route.metric}" if route.metric is not None else "")
                + "\n"
                for route in routes
            )
            yield File(f"{FOLDER}/{prefix}-{device.name}", text)


def _lines(plan: NetworkPlan, device: Device) -> Iterable[tuple[str, str]]:
    yield "NAME", device.name
    yield "DEVICE", device.name
    yield "ONBOOT", "yes"
    yield from _kind(device)
    if device.mtu:
        yield "MTU", str(device.mtu)
    master = plan.master_of(device.name)
    if isinstance(master, Bond):
        yield "MASTER", master.name
        yield "SLAVE", "yes"
        return
    if isinstance(master, Bridge):
        yield "BRIDGE", master.name
        return
    yield from _ipv4(device)
    yield from _ipv6(device)
    if device == plan.dns_device:
        for number, server in enumerate(plan.dns, 1):
            yield f"DNS{number}", server
        if plan.search:
            yield "DOMAIN", " ".join(plan.search)


def _kind(device: Device) -> Iterable[tuple[str, str]]:
    if isinstance(device, Ethernet):
        yield "TYPE", "Ethernet"
        yield "HWADDR", device.mac.upper()
    elif isinstance(device, Bond):
        yield "TYPE", "Bond"
        yield "BONDING_MASTER", "yes"
        yield "BONDING_OPTS", " ".join(f"{key}={value}" for key, value in bond_options(device))
        if device.mac:
            yield "MACADDR", device.mac.upper()
    elif isinstance(device, Vlan):
        yield "TYPE", "Vlan"
        yield "VLAN", "yes"
        yield "PHYSDEV", device.link
        yield "VLAN_ID", str(device.id)
        yield "REORDER_HDR", "yes"
    elif isinstance(device, Bridge):
        yield "TYPE", "Bridge"
        yield "STP", "on" if device.stp else "off"
        yield "DELAY", str(device.forward_delay)
        if device.mac:
            yield "MACADDR", device.mac.upper()


def _ipv4(device: Device) -> Iterable[tuple[str, str]]:
    yield "BOOTPROTO", "dhcp" if device.dhcp4 else "none"
    for number, address in enumerate(device.static4):
        yield f"IPADDR{number or ''}", ip_of(address)
        yield f"PREFIX{number or ''}", str(prefix_of(address))
    if device.gateway4:
        yield "GATEWAY", device.gateway4
    yield "DEFROUTE", "yes" if device.default4 else "no"


def _ipv6(device: Device) -> Iterable[tuple[str, str]]:
    yield "IPV6INIT", "yes" if device.has6 else "no"
    if not device.has6:
        return
    yield "IPV6_AUTOCONF", "yes" if device.accept_ra else "no"
    if device.dhcp6:
        yield "DHCPV6C", "yes"
    if device.static6:
        first, *more = device.static6
        yield "IPV6ADDR", first
        if more:
            yield "IPV6ADDR_SECONDARIES", " ".join(more)
    if device.gateway6:
        yield "IPV6_DEFAULTGW", device.gateway6
    yield "IPV6_DEFROUTE", "yes" if device.default6 else "no"
