"""A kickstart's network lines, checked for what pykickstart takes for any word: addresses, gateways, devices."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from pxeapp.faults import Fault

KIND = "kickstart"
HOSTNAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,31}")
MTU = range(68, 65536)


def check(networks: list[Any]) -> Iterator[Fault]:
    """Every fault of the `network` lines, as pykickstart has stored them."""
    routed: list[Any] = []
    seen: dict[tuple[str, str], int] = {}
    for row in networks:
        yield from _row(row)
        if row.gateway and not getattr(row, "nodefroute", False):
            routed.append(row)
        # A VLAN on a device that has a line of its own is another interface.
        key = (row.device.lower(), str(getattr(row, "vlanid", "") or ""))
        if row.device and key in seen:
            yield _fault(row, f"{row.device} has a line already, line {seen[key]}.", "Keep one of the two.")
        seen.setdefault(key, row.lineno)
    for row in routed[1:]:
        yield _fault(
            row,
            f"There are several default routes: {routed[0].gateway} in line {routed[0].lineno}, and {row.gateway}.",
            "Keep one --gateway, and add --nodefroute to the other line.",
        )


def _row(row: Any) -> Iterator[Fault]:
    static = row.bootProto == "static"
    ip, mask = (_address(row, "--ip", row.ip, 4), _mask(row)) if static or row.ip else (None, None)
    for each in (ip, mask):
        if isinstance(each, Fault):
            yield each
    if static and not row.ip and not (getattr(row, "ipv6", "") or getattr(row, "noipv4", False)):
        yield _fault(row, "A static address is announced, and none is given.", "Add --ip=ADDRESS --netmask=MASK.")
    elif static and row.ip and not row.netmask:
        yield _fault(row, f"{row.ip} has no netmask.", "Add --netmask=255.255.255.0 or what the network has.")
    yield from _gateway(row, ip, mask)
    for server in filter(None, re.split(r"[, ]", row.nameserver or "")):
        if not _is_address(server):
            yield _fault(row, f"The name server {server!r} is no address.", "Write --nameserver=10.0.0.2,10.0.0.3.")
    yield from _ipv6(row)
    yield from _names(row)


def _names(row: Any) -> Iterator[Fault]:
    if row.hostname and not HOSTNAME.fullmatch(row.hostname):
        yield _fault(row, f"{row.hostname[:80]!r} is no host name.", "Use letters, digits, dashes and dots.")
    if row.device and not (MAC.fullmatch(row.device) or DEVICE.fullmatch(row.device)):
        yield _fault(row, f"{row.device[:80]!r} is no device.", "Write a name such as eno1, a MAC, link, or bootif.")
    mtu = str(row.mtu or "")
    if mtu and (not mtu.isdigit() or int(mtu) not in MTU):
        yield _fault(row, f"An MTU of {mtu!r} is not possible.", f"Use {MTU.start} to {MTU.stop - 1}.")
    vlan = str(getattr(row, "vlanid", "") or "")
    if vlan and (not vlan.isdigit() or not 1 <= int(vlan) <= 4094):
        yield _fault(row, f"{vlan!r} is no VLAN.", "Use 1 to 4094.")
    for name in ("bondslaves", "bridgeslaves"):
        ports = getattr(row, name, "") or ""
        if ports and len(set(ports.split(","))) != len(ports.split(",")):
            yield _fault(row, f"--{name} names a port twice.", "Name each port once.")


def _gateway(row: Any, ip: object, mask: object) -> Iterator[Fault]:
    if not row.gateway:
        return
    gateway = _address(row, "--gateway", row.gateway, 4)
    if isinstance(gateway, Fault):
        yield gateway
    elif isinstance(ip, ipaddress.IPv4Address) and isinstance(mask, str):
        network = ipaddress.ip_network(f"{ip}/{mask}", strict=False)
        if gateway not in network:
            yield _fault(row, f"The gateway {gateway} is not in {network}.", "Correct it, or the netmask.")


def _ipv6(row: Any) -> Iterator[Fault]:
    said = getattr(row, "ipv6", "") or ""
    if said and said not in ("auto", "dhcp"):
        try:
            ipaddress.IPv6Interface(said)
        except ValueError:
            yield _fault(row, f"{said[:80]!r} is no IPv6 address.", "Write --ipv6=2001:db8::5/64, auto or dhcp.")
    gateway = getattr(row, "ipv6gateway", "") or ""
    if gateway and not _is_address(gateway, 6):
        yield _fault(row, f"{gateway[:80]!r} is no IPv6 gateway.", "Write --ipv6gateway=2001:db8::1.")


def _address(row: Any, option: str, value: str, version: int) -> ipaddress.IPv4Address | Fault | None:
    if not value:
        return None
    if not _is_address(value, version):
        return _fault(row, f"{option}={value[:80]} is no IPv4 address.", f"Write it as {option}=10.0.0.7.")
    return ipaddress.IPv4Address(value)


def _mask(row: Any) -> str | Fault | None:
    if not row.netmask:
        return None
    try:
        ipaddress.ip_network(f"0.0.0.0/{row.netmask}")
    except ValueError:
        return _fault(row, f"{row.netmask[:80]!r} is no netmask.", "Write --netmask=255.255.255.0.")
    if "." not in row.netmask:
        return _fault(row, f"--netmask={row.netmask} is a prefix.", "Write it as --netmask=255.255.255.0.")
    return str(row.netmask)


def _is_address(value: str, version: int = 0) -> bool:
    try:
        return ipaddress.ip_address(value).version == (version or ipaddress.ip_address(value).version)
    except ValueError:
        return False


def _fault(row: Any, problem: str, fix: str) -> Fault:
    return Fault(KIND, row.lineno, problem, fix)
