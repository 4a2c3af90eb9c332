"""dnsmasq's configuration, for the modes proxy and full. Pure: a plan in, text out.

In `full` it gives addresses, from reservations and ranges; in `proxy` the network's own DHCP server does, and dnsmasq
adds the boot program. It serves no names and no files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from netaddr import AddrFormatError, IPAddress, IPNetwork

from pxeapp.boot import firmware, ipxe
from pxeapp.boot.spec import BadBootValue, check_name
from pxeapp.machines import mac as macs
from pxeapp.templates import Templates

LEASE_SECONDS = 3600
SECURE_BOOT_TAG = "secureboot"

_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}")  # IFNAMSIZ is 16 with the closing NUL
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_LEASE_FILE = re.compile(r"/[^\x00-\x1f\x7f#\" ]+")


@dataclass(frozen=True, slots=True)
class DhcpNetwork:
    """A network that is answered on: with a range, from its reservations only, or (proxy) beside its own DHCP."""

    name: str
    cidr: str
    start: str | None = None
    end: str | None = None
    gateway: str | None = None
    dns: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()
    domain: str = ""

    def __post_init__(self) -> None:
        check_name("network", self.name)
        cidr = _network(self.cidr)
        if (self.start is None) != (self.end is None):
            raise BadBootValue("dhcp_start", f"{self.name} has one end of a range only.", "Give both or neither.")
        for name, value in (("dhcp_start", self.start), ("dhcp_end", self.end), ("gateway", self.gateway)):
            if value is not None and _address(name, value) not in cidr:
                raise BadBootValue(name, f"{value} is not in {self.cidr}.", f"Write an address of {self.name}.")
        if self.start is not None and self.end is not None and IPAddress(self.start) > IPAddress(self.end):
            raise BadBootValue("dhcp_end", f"the range {self.start} to {self.end} runs backwards.", "Swap them.")
        for name, values in (("dns", self.dns), ("ntp", self.ntp)):
            for value in values:
                _address(name, value)
        if self.domain and not _DOMAIN.fullmatch(self.domain):
            raise BadBootValue("domain", f"{self.domain!r} is not a domain name.", "Write it as rack.example.org.")

    @property
    def tag(self) -> str:
        """The name as a dnsmasq tag; prefixed, so that a network may be called `bios`."""
        return f"net-{self.name}"

    @property
    def address(self) -> str:
        """The network's own address."""
        return str(IPNetwork(self.cidr).network)

    @property
    def netmask(self) -> str:
        """The netmask in dotted form."""
        return str(IPNetwork(self.cidr).netmask)


@dataclass(frozen=True, slots=True)
class Reservation:
    """A machine's card: its name and, where it has one, its address. Secure Boot machines get shim, not iPXE."""

    name: str
    mac: str
    address: str | None = None
    secure_boot: bool = False

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.name):
            raise BadBootValue("name", f"{self.name!r} is not a host name.", "Use letters, digits and dashes.")
        if macs.normalise(self.mac) != self.mac:
            raise BadBootValue("mac", f"{self.mac!r} is not in our one spelling.", "Write aa:bb:cc:dd:ee:ff.")
        if self.address is not None:
            _address("address", self.address)


@dataclass(frozen=True, slots=True)
class DhcpPlan:
    """Everything that dnsmasq must know.

    `tftp_address`: where the TFTP server is, when it is another host than dnsmasq's.
    `secure_boot_default`: give shim and GRUB to every UEFI PXE client, not only to those known to enforce Secure Boot.
    """

    mode: Literal["proxy", "full"]
    interface: str
    node_url: str
    networks: tuple[DhcpNetwork, ...]
    lease_file: Path
    reservations: tuple[Reservation, ...] = ()
    tftp_address: str | None = None
    secure_boot_default: bool = False

    def __post_init__(self) -> None:
        if not _INTERFACE.fullmatch(self.interface):
            raise BadBootValue("dhcp_interface", f"{self.interface!r} is not an interface name.", "Write it as eno1.")
        ipxe.check_url(self.node_url)
        if not self.networks:
            raise BadBootValue(
                "networks", "DHCP has no network to answer on.", "Add the network of the provisioning interface."
            )
        if not _LEASE_FILE.fullmatch(str(self.lease_file)):
            raise BadBootValue("lease_file", f"{self.lease_file} has blanks or is relative.", "Move the data folder.")
        if self.tftp_address is not None:
            _address("tftp_address", self.tftp_address)
        _no_duplicates("mac", [each.mac for each in self.reservations])
        _no_duplicates("address", [each.address for each in self.reservations if each.address])
        _no_duplicates("network", [each.name for each in self.networks])


@dataclass(frozen=True, slots=True)
class BootRule:
    """One boot program and the dnsmasq tags under which it is offered; the tags of two rules never hold at once."""

    client: str
    architectures: tuple[int, ...]
    transport: firmware.Transport
    tags: str
    file: str
    secure_boot: bool = field(default=False)


def boot_rules(node_url: str, *, secure_boot_default: bool = False) -> tuple[BootRule, ...]:
    """The firmware table as rules for clients that are not iPXE yet."""
    rules = []
    for client in firmware.CLIENTS:
        plain_file = firmware.boot_file(client, node_url)
        signed_file = firmware.boot_file(client, node_url, secure_boot=True)
        if plain_file is None or signed_file is None:
            continue
        tags = f"tag:{client.name},tag:!ipxe"
        if plain_file == signed_file:
            choices = [(tags, plain_file, False)]
        elif secure_boot_default:
            choices = [(tags, signed_file, True)]
        else:
            choices = [
                (f"{tags},tag:!{SECURE_BOOT_TAG}", plain_file, False),
                (f"{tags},tag:{SECURE_BOOT_TAG}", signed_file, True),
            ]
        rules += [
            BootRule(client.name, client.architectures, client.transport, tag, file, signed)
            for tag, file, signed in choices
        ]
    return tuple(rules)


def render(plan: DhcpPlan, templates: Templates) -> str:
    """The whole dnsmasq.conf."""
    server = plan.tftp_address
    if plan.mode == "proxy":
        # dnsmasq leaves the server's address out of a proxy offer to BIOS clients unless it is told one, and iPXE then
        # says "Nothing to boot", although a URL needs no such address.
        server = server or _literal_host(plan.node_url)
    # In a proxy answer the URL lies in BOOTP's file field of 128 bytes; the long one would be cut off.
    return templates.render(
        "boot/dnsmasq.conf",
        mode=plan.mode,
        interface=plan.interface,
        lease_file=plan.lease_file,
        lease_seconds=LEASE_SECONDS,
        architectures=[(client, number) for client in firmware.CLIENTS for number in client.architectures],
        networks=plan.networks,
        reservations=sorted(plan.reservations, key=lambda each: each.mac),
        ipxe_url=firmware.ipxe_url(plan.node_url, identity=plan.mode == "full"),
        rules=boot_rules(plan.node_url, secure_boot_default=plan.secure_boot_default),
        server=f",,{server}" if server else "",
        service_server=f",{server}" if server else "",
    )


def _literal_host(url: str) -> str | None:
    host = urlsplit(url).hostname or ""
    try:
        return str(_address("node_url", host))
    except BadBootValue:
        return None


def _network(cidr: str) -> IPNetwork:
    try:
        network = IPNetwork(cidr)
    except (AddrFormatError, ValueError):
        raise BadBootValue("cidr", f"{cidr!r} is not a network.", "Write it as 10.0.0.0/24.") from None
    if network.version != 4:
        raise BadBootValue("cidr", f"{cidr} is IPv6.", "We netboot over IPv4; use an IPv4 network.")
    return network


def _address(name: str, value: str) -> IPAddress:
    try:
        address = IPAddress(value)
    except (AddrFormatError, ValueError):
        raise BadBootValue(name, f"{value!r} is not an IP address.", "Write it as 10.0.0.7.") from None
    if address.version != 4:
        raise BadBootValue(name, f"{value} is IPv6.", "We netboot over IPv4; use an IPv4 address.")
    return address


def _no_duplicates(name: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise BadBootValue(name, f"{value} is there twice.", "Each may belong to one machine or network only.")
        seen.add(value)
