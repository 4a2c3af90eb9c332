"""The names that clients ask for by TFTP, and what each one means. Pure: strings in, meaning out.

There is no TFTP directory. A name is one of this table's, or it does not exist; so there is no path to climb out
of, and nothing can be listed. Media are the one exception: `media/RELEASE/FILE` is looked up below the media folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pxeapp.boot import loaders
from pxeapp.machines import mac as macs

FIRST_GRUB = "grub/grub.cfg"
AUTOEXEC = "autoexec.ipxe"

# The signed GRUB looks below the prefix that its build burnt in: `/grub` in Debian's and Ubuntu's network build,
# `/debian-installer/amd64/grub` in the installer's. shim asks for its second stage beside itself, with Windows'
# separator on some firmware, and for GRUB at the root when BOOTP's file field was empty (dnsmasq leaves it so).
ALIASES: dict[str, str] = {
    "debian-installer/amd64/grub/grub.cfg": FIRST_GRUB,
    "boot/grub/grub.cfg": FIRST_GRUB,
    "efi/debian/grub.cfg": FIRST_GRUB,
    "efi/ubuntu/grub.cfg": FIRST_GRUB,
    "bootx64.efi": "shimx64.efi",
    "shim.efi": "shimx64.efi",
    "grub.efi": "grubx64.efi",
    "efi/boot/grubx64.efi": "grubx64.efi",
    "undionly.0": "undionly.kpxe",
}

_GRUB_BY_MAC = re.compile(r"grub/by-mac/(?P<mac>[0-9a-fA-F:-]{11,17})\.cfg")
_PXELINUX = re.compile(r"pxelinux\.cfg/01-(?P<mac>[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2}){5})")
_MEDIA = re.compile(r"media(?:/[A-Za-z0-9_+~-][A-Za-z0-9._+~-]*)+")

Kind = Literal["loader", "first-grub", "grub", "pxelinux", "pxelinux-default", "autoexec", "media"]


@dataclass(frozen=True, slots=True)
class Name:
    """What a requested name means; `value` is a loader's name, a MAC, a path below media/, or empty."""

    kind: Kind
    value: str = ""


def parse(requested: str) -> Name | None:
    """The meaning of a requested name, in any firmware's spelling; None when there is no such file."""
    name = requested.replace("\\", "/").lstrip("/")
    while "//" in name:
        name = name.replace("//", "/")
    name = ALIASES.get(name.lower(), name)
    if name in loaders.names():
        return Name("loader", name)
    if name in _FIXED:
        return _FIXED[name]
    for pattern, kind in _PER_MAC:
        if match := pattern.fullmatch(name):
            mac = macs.parse_or_none(match["mac"])
            return Name(kind, mac) if mac else None
    return Name("media", name) if _MEDIA.fullmatch(name) else None


_FIXED: dict[str, Name] = {
    FIRST_GRUB: Name("first-grub"),
    AUTOEXEC: Name("autoexec"),
    "pxelinux.cfg/default": Name("pxelinux-default"),
}
_PER_MAC: tuple[tuple[re.Pattern[str], Kind], ...] = ((_GRUB_BY_MAC, "grub"), (_PXELINUX, "pxelinux"))
