"""ifupdown, for Debian and Ubuntu 16.04: /etc/network/interfaces.d in the order in which things stand on each other.

Bonds need the package ifenslave, bridges bridge-utils. VLANs are made by ip, which every system has: the package vlan
guesses link and number from the name, and names are the operator's.
"""

from __future__ import annotations

from collections.abc import Iterable

from pxeapp.answers.network.files import File
from pxeapp.answers.network.plan import Bond, Bridge, Device, NetworkPlan, Vlan

MAIN = "/etc/network/interfaces"
METRIC_OF_OTHERS = 1000  # of a default route that DHCP gives where another interface has ours


def files(plan: NetworkPlan) -> tuple[File, ...]:
    """The interfaces, what udev and the kernel must know of them, and the name servers."""
    main = f"# Written by pxeapp; yours go into interfaces.d\nsource {MAIN}.d/*\n\nauto lo\niface lo inet loopback\n"
    stanzas = "\n".join("".join(f"{line}\n" for line in _device(plan, each)) for each in _in_order(plan))
    found = [File(MAIN, main), File(f"{MAIN}.d/pxeapp", f"# Written by pxeapp\n{stanzas}"), _kernel(plan)]
    if plan.dns:
        found.append(File("/etc/resolv.conf", _resolver(plan)))
    return tuple(found)


def packages(plan: NetworkPlan) -> tuple[str, ...]:
    """What ifupdown needs for it."""
    wanted = ("ifupdown", "iproute2")
    return (*wanted, *(["ifenslave"] if plan.bonds else []), *(["bridge-utils"] if plan.bridges else []))


def _in_order(plan: NetworkPlan) -> list[Device]:
    """Whatever a device stands on comes before it: ifup -a goes from top to bottom."""
    found: dict[str, Device] = {}

    def add(device: Device) -> None:
        below = (
            device.members if isinstance(device, Bond | Bridge) else (device.link,) if isinstance(device, Vlan) else ()
        )
        for name in below:
            add(plan.device(name))
        found.setdefault(device.name, device)

    for device in plan.devices:
        add(device)
    return list(found.values())


def _kernel(plan: NetworkPlan) -> File:
    """Router advertisements only where they are wanted. Applied by udev as each interface appears, before it is up."""
    silent = [each.name for each in plan.devices if not each.accept_ra]
    text = "".join(f"net/ipv6/conf/{name}/accept_ra = 0\n" for name in silent)
    return File("/etc/sysctl.d/60-pxeapp-network.conf", f"# Written by pxeapp\n{text}")


def _resolver(plan: NetworkPlan) -> str:
    search = f"search {' '.join(plan.search)}\n" if plan.search else ""
    return search + "".join(f"nameserver {each}\n" for each in plan.dns)


def _device(plan: NetworkPlan, device: Device) -> Iterable[str]:
    master = plan.master_of(device.name)
    if not isinstance(master, Bond):
        yield f"auto {device.name}"
    first = list(_made(device))
    for number, (family, method, options) in enumerate(_stanzas(plan, device)):
        if number:
            yield ""
        yield f"iface {device.name} {family} {method}"
        for option in (*(() if number else first), *options):
            yield f"    {option}"


def _made(device: Device) -> Iterable[str]:
    """How the interface itself comes to be; in its first stanza."""
    if isinstance(device, Bond):
        yield f"bond-slaves {' '.join(device.members)}"
        yield f"bond-mode {device.mode}"
        yield f"bond-miimon {device.miimon}"
        for word in ("lacp_rate", "xmit_hash_policy", "primary"):
            if (value := getattr(device, word)) is not None:
                yield f"bond-{word.replace('_', '-')} {value}"
    elif isinstance(device, Vlan):
        name = device.name
        there = f"ip link show dev {name} >/dev/null 2>&1"
        yield f"pre-up {there} || ip link add link {device.link} name {name} type vlan id {device.id}"
        yield f"post-down ip link delete dev {name} || true"
    elif isinstance(device, Bridge):
        yield f"bridge_ports {' '.join(device.members) or 'none'}"
        yield f"bridge_stp {'on' if device.stp else 'off'}"
        yield f"bridge_fd {device.forward_delay}"
        if not device.stp:
            yield "bridge_maxwait 0"
        if device.mac:
            yield f"bridge_hw {device.mac}"


def _stanzas(plan: NetworkPlan, device: Device) -> Iterable[tuple[str, str, list[str]]]:
    """One stanza per address and family; routes in the last one, when their routers can be reached."""
    found = [*_inet(device), *_inet6(device)]
    if not found:
        found = [("inet", "manual", [])]
    family, method, options = found[0]
    mac = device.mac if isinstance(device, Bond) else None
    own = [f"hwaddress {mac}"] if mac else []
    if device.mtu:
        own.append(
            f"up ip link set dev {device.name} mtu {device.mtu}" if method in ("dhcp", "auto") else f"mtu {device.mtu}"
        )
    found[0] = (family, method, [*own, *options])
    found[-1][2].extend(_routes(device))
    if plan.dns and device == plan.dns_device:
        # For resolvconf, where it is installed; without it /etc/resolv.conf stays as it is written.
        found[0][2].append(f"dns-nameservers {' '.join(plan.dns)}")
        if plan.search:
            found[0][2].append(f"dns-search {' '.join(plan.search)}")
    return found


def _inet(device: Device) -> Iterable[tuple[str, str, list[str]]]:
    for number, address in enumerate(device.static4):
        gateway = [f"gateway {device.gateway4}"] if device.gateway4 and not number else []
        yield "inet", "static", [f"address {address}", *gateway]
    if device.dhcp4:
        yield "inet", "dhcp", [] if device.default4 else [f"metric {METRIC_OF_OTHERS}"]


def _inet6(device: Device) -> Iterable[tuple[str, str, list[str]]]:
    advertised = ["accept_ra 2", "autoconf 1"] if device.accept_ra else []
    for number, address in enumerate(device.static6):
        gateway = [f"gateway {device.gateway6}"] if device.gateway6 and not number else []
        yield "inet6", "static", [f"address {address}", *gateway, *advertised]
    if device.dhcp6:
        yield "inet6", "dhcp", advertised
    elif device.accept_ra and not device.static6:
        yield "inet6", "auto", []


def _routes(device: Device) -> Iterable[str]:
    for route in device.routes:
        metric = "" if route.metric is None else f" metric {route.metric}"
        family = "ip -6" if ":" in route.to else "ip"
        yield f"up {family} route replace {route.to} via {route.via} dev {device.name}{metric}"
