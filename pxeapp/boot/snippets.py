"""What an operator adds to a DHCP server of his own (mode off): for dnsmasq, Kea and ISC dhcpd. Pure.

All three hand iPXE the short URL, because ISC's and Kea's file name goes into BOOTP's field of 128 bytes; the script
that iPXE then gets has it report serial and make by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netaddr import AddrFormatError, IPAddress

from pxeapp.boot import firmware, ipxe
from pxeapp.boot.dnsmasq import BootRule, boot_rules
from pxeapp.boot.spec import BadBootValue

_IPXE_CLASS = "pxeapp-ipxe"


@dataclass(frozen=True, slots=True)
class Server:
    """A DHCP server we know a snippet for: how it is written and where it belongs."""

    name: str
    title: str
    where: str
    render: Callable[[_Answers], str]


@dataclass(frozen=True, slots=True)
class _Answers:
    ipxe_url: str
    tftp_address: str
    rules: tuple[BootRule, ...]


def render(server: str, *, node_url: str, tftp_address: str, secure_boot: bool = False) -> str:
    """The snippet for this server; `secure_boot` gives shim and GRUB to every UEFI PXE client instead of iPXE.

    Raises BadBootValue for a server that is not in SERVERS, with those that are.
    """
    ipxe.check_url(node_url)
    try:
        IPAddress(tftp_address, version=4)
    except (AddrFormatError, ValueError):
        raise BadBootValue("tftp_address", f"{tftp_address!r} is not an IPv4 address.", "Write 10.0.0.1.") from None
    if server not in SERVERS:
        raise BadBootValue("server", f"there is no snippet for {server!r}.", f"Use one of {', '.join(SERVERS)}.")
    rules = tuple(
        rule
        for rule in boot_rules(node_url, secure_boot_default=secure_boot)
        if secure_boot or not rule.secure_boot  # who enforces Secure Boot is known to us, not to another server
    )
    return SERVERS[server].render(_Answers(firmware.ipxe_url(node_url, identity=False), tftp_address, rules))


def _dnsmasq(answers: _Answers) -> str:
    lines = [
        "# pxeapp: boot programs. Into dnsmasq.conf, or a file in /etc/dnsmasq.d/.",
        "dhcp-userclass=set:ipxe,iPXE",
    ]
    for rule in answers.rules:
        lines += [f"dhcp-match=set:{rule.client},option:client-arch,{number}" for number in rule.architectures]
    lines.append(f"dhcp-boot=tag:ipxe,{answers.ipxe_url},,{answers.tftp_address}")
    for rule in answers.rules:
        tags = f"tag:{rule.client},tag:!ipxe"
        if rule.transport == "http":
            lines.append(f"dhcp-option-force={tags},60,HTTPClient")
        lines.append(f"dhcp-boot={tags},{rule.file},,{answers.tftp_address}")
    return "\n".join(lines) + "\n"


def _kea(answers: _Answers) -> str:
    classes: list[dict[str, Any]] = [
        {
            "name": _IPXE_CLASS,
            "test": "substring(option[77].hex,0,4) == 'iPXE'",
            "next-server": answers.tftp_address,
            "boot-file-name": answers.ipxe_url,
        }
    ]
    for rule in answers.rules:
        architecture = " or ".join(f"option[93].hex == 0x{number:04x}" for number in rule.architectures)
        entry: dict[str, Any] = {
            "name": f"pxeapp-{rule.client}",
            "test": f"not member('{_IPXE_CLASS}') and ({architecture})",
            "next-server": answers.tftp_address,
            "boot-file-name": rule.file,
        }
        if rule.transport == "http":
            entry["option-data"] = [{"name": "vendor-class-identifier", "data": "HTTPClient", "always-send": True}]
        classes.append(entry)
    return json.dumps({"client-classes": classes}, indent=2) + "\n"


def _isc(answers: _Answers) -> str:
    lines = [
        "# pxeapp: boot programs. Into dhcpd.conf, above the subnets.",
        "option pxeapp-arch code 93 = unsigned integer 16;",
        f"next-server {answers.tftp_address};",
        'if exists user-class and option user-class = "iPXE" {',
        f'  filename "{answers.ipxe_url}";',
    ]
    for rule in answers.rules:
        # dhcpd compares options as bytes; compared with a number an option is never equal.
        test = " or ".join(f"option pxeapp-arch = 00:{number:02x}" for number in rule.architectures)
        lines.append(f"}} elsif {test} {{")
        if rule.transport == "http":
            lines.append('  option vendor-class-identifier "HTTPClient";')
        lines.append(f'  filename "{rule.file}";')
    return "\n".join([*lines, "}"]) + "\n"


SERVERS: dict[str, Server] = {
    server.name: server
    for server in (
        Server("dnsmasq", "dnsmasq", "dnsmasq.conf, or a file in /etc/dnsmasq.d/", _dnsmasq),
        Server("kea", "Kea DHCPv4", 'the members of "Dhcp4" in kea-dhcp4.conf', _kea),
        Server("isc", "ISC dhcpd", "dhcpd.conf, above the subnets", _isc),
    )
}
