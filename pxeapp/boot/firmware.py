"""The table: what a booting client says about itself, and the boot program it is given.

Clients name their architecture in DHCP option 93 (RFC 4578 section 2.1; numbers from IANA's "Processor
Architecture Types"), iPXE names itself in the user class (option 77), UEFI HTTP Boot asks with vendor class
"HTTPClient" instead of "PXEClient". dnsmasq's configuration, the snippets for other DHCP servers, the sightings'
`arch` column and the table in docs/how-a-machine-boots.md all come from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Transport = Literal["tftp", "http"]

# Where machines' HTTP serves the boot programs for UEFI HTTP Boot. EDK2 takes a file only when its name ends
# in .efi (or the Content-Type says application/efi), and asks with HEAD first.
HTTP_LOADERS = "boot/loaders"

# What UEFI iPXE starts for a machine that is to boot from its own disk; made by localdisk.py.
LOCAL_DISK_PROGRAM = "localdisk.efi"

# `netX` is the card iPXE booted from; `net0` would be the wrong one on a machine that boots from its second card.
IPXE_MAC = "${netX/mac}"
IDENTITY_QUERY = (
    f"mac={IPXE_MAC}&serial=${{serial:uristring}}&uuid=${{uuid}}&manufacturer=${{manufacturer:uristring}}"
    "&product=${product:uristring}&platform=${platform}&arch=${buildarch}"
)


@dataclass(frozen=True, slots=True)
class Client:
    """One kind of client firmware: how we name it, and what it is served."""

    name: str  # the sightings' `arch` column
    title: str
    architectures: tuple[int, ...]  # DHCP option 93
    transport: Transport
    program: str | None  # None: refused, and `note` says why
    signed_program: str | None  # what it gets when the machine is known to enforce Secure Boot
    note: str


CLIENTS: tuple[Client, ...] = (
    Client("bios", "BIOS PXE", (0,), "tftp", "undionly.kpxe", None, "iPXE on the card's own UNDI driver."),
    Client(
        "uefi",
        "UEFI PXE, x86-64",
        (7, 9),
        "tftp",
        "snponly.efi",
        "shimx64.efi",
        "RFC 4578 and IANA swapped 7 and 9 (byte code and x86-64); firmware sends either.",
    ),
    Client(
        "uefi-http",
        "UEFI HTTP Boot, x86-64",
        (16,),
        "http",
        "ipxe.efi",
        None,
        "Needs no TFTP. With Secure Boot on, choose UEFI PXE: shim finds GRUB's second file by TFTP only.",
    ),
    Client(
        "uefi-ia32",
        "UEFI PXE, 32 bit",
        (6,),
        "tftp",
        None,
        None,
        "32-bit UEFI cannot start the 64-bit installers we serve; set the firmware to BIOS (legacy) PXE.",
    ),
    Client(
        "uefi-ia32-http",
        "UEFI HTTP Boot, 32 bit",
        (15,),
        "http",
        None,
        None,
        "32-bit UEFI cannot start the 64-bit installers we serve; set the firmware to BIOS (legacy) PXE.",
    ),
    Client("arm32", "UEFI PXE, ARM 32 bit", (10,), "tftp", None, None, "We provision x86-64 machines only."),
    Client("arm64", "UEFI PXE, ARM 64 bit", (11,), "tftp", None, None, "We provision x86-64 machines only."),
    Client("arm32-http", "UEFI HTTP Boot, ARM 32 bit", (18,), "http", None, None, "We provision x86-64 machines only."),
    Client("arm64-http", "UEFI HTTP Boot, ARM 64 bit", (19,), "http", None, None, "We provision x86-64 machines only."),
)

_BY_ARCHITECTURE = {number: client for client in CLIENTS for number in client.architectures}
_BY_NAME = {client.name: client for client in CLIENTS}
_VENDOR_CLASS = re.compile(r"(?:PXEClient|HTTPClient):Arch:(\d{1,5})")
# What iPXE says of its own build: ${platform} and ${buildarch}.
_BY_IPXE = {
    ("pcbios", "i386"): "bios",
    ("pcbios", "x86_64"): "bios",
    ("efi", "x86_64"): "uefi",
    ("efi", "i386"): "uefi-ia32",
    ("efi", "arm32"): "arm32",
    ("efi", "arm64"): "arm64",
}


def of_architecture(number: int) -> Client | None:
    """The client with this option 93, None where the table has none."""
    return _BY_ARCHITECTURE.get(number)


def named(name: str) -> Client | None:
    """The client with this name from the sightings' `arch` column."""
    return _BY_NAME.get(name)


def of_vendor_class(vendor_class: str) -> Client | None:
    """The client behind `PXEClient:Arch:00007:UNDI:003016`, None for anything else."""
    match = _VENDOR_CLASS.match(vendor_class)
    return of_architecture(int(match[1])) if match else None


def of_ipxe(platform: str, buildarch: str) -> Client | None:
    """The client behind iPXE's own words for its build."""
    return _BY_NAME.get(_BY_IPXE.get((platform, buildarch), ""))


def refusal(architecture: int) -> str:
    """Why a client of this architecture gets no boot program; empty when it gets one."""
    client = of_architecture(architecture)
    if client is None:
        return f"Client architecture {architecture} is not in our firmware table; nothing is offered to it."
    return "" if client.program else f"{client.title}: {client.note}"


def ipxe_url(node_url: str, *, identity: bool = True) -> str:
    """The URL that iPXE is given by DHCP; iPXE fills the settings in `${}` in before it asks.

    With `identity` it carries serial, UUID and make; without it fits the 127 characters of BOOTP's file field.
    """
    return f"{node_url}/boot/ipxe?" + (IDENTITY_QUERY if identity else f"mac={IPXE_MAC}")


def boot_file(client: Client, node_url: str, *, secure_boot: bool = False) -> str | None:
    """The file name or URL that DHCP offers to this client; None when it is refused."""
    program = client.signed_program if secure_boot and client.signed_program else client.program
    if program is None:
        return None
    return f"{node_url}/{HTTP_LOADERS}/{program}" if client.transport == "http" else program


def markdown_table() -> str:
    """The table of docs/how-a-machine-boots.md; a test holds the document against it."""
    lines = [
        "| firmware | option 93 | recorded as | is served | with Secure Boot | remark |",
        "|---|---|---|---|---|---|",
    ]
    for client in CLIENTS:
        numbers = ", ".join(map(str, client.architectures))
        served = f"`{client.program}` by {client.transport.upper()}" if client.program else "nothing"
        signed = f"`{client.signed_program}`" if client.signed_program else "-"
        lines.append(f"| {client.title} | {numbers} | `{client.name}` | {served} | {signed} | {client.note} |")
    return "\n".join(lines) + "\n"
