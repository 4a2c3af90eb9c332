"""Finds the boot programs that the system's packages brought; nothing of the kind is ever committed here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pxeapp.errors import Unavailable

_SYSLINUX_MODULES = ("/usr/lib/syslinux/modules/bios", "/usr/share/syslinux", "/usr/lib/syslinux/bios")


@dataclass(frozen=True, slots=True)
class Loader:
    """One boot program: the name it is served under, where it may lie, and the package that brings it."""

    name: str
    package: str
    candidates: tuple[str, ...]


def _ipxe(name: str) -> Loader:
    # Debian and Ubuntu, then Fedora and EL (ipxe-bootimgs).
    return Loader(name, "ipxe", (f"/usr/lib/ipxe/{name}", f"/boot/{name}", f"/usr/share/ipxe/{name}"))


def _module(name: str) -> Loader:
    return Loader(name, "syslinux-common", tuple(f"{folder}/{name}" for folder in _SYSLINUX_MODULES))


LOADERS: tuple[Loader, ...] = (
    _ipxe("undionly.kpxe"),
    _ipxe("ipxe.efi"),
    Loader(
        "snponly.efi",
        "ipxe",
        ("/usr/lib/ipxe/snponly.efi", "/usr/share/ipxe/snponly.efi", "/usr/share/ipxe/ipxe-snponly-x86_64.efi"),
    ),
    Loader(
        "shimx64.efi",
        "shim-signed",
        # Ubuntu from 22.04 on ships `.signed.latest`, and `.signed` as an alternatives link that may be missing.
        ("/usr/lib/shim/shimx64.efi.signed", "/usr/lib/shim/shimx64.efi.signed.latest"),
    ),
    Loader(
        "grubx64.efi",
        "grub-efi-amd64-signed",
        # The network build, whose prefix is /grub. `grubx64.efi.signed` beside it is the one for disks and looks
        # for /EFI/debian; `-installer` looks below debian-installer/amd64/grub.
        (
            "/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed",
            "/usr/lib/grub/x86_64-efi-signed/grubnetx64-installer.efi.signed",
        ),
    ),
    Loader("pxelinux.0", "pxelinux", ("/usr/lib/PXELINUX/pxelinux.0", "/usr/share/syslinux/pxelinux.0")),
    _module("ldlinux.c32"),
    _module("chain.c32"),
    _module("libcom32.c32"),
    _module("libutil.c32"),
)

IMPORTED = "boot-programs"  # below data_dir
_BY_NAME = {loader.name: loader for loader in LOADERS}


def names() -> tuple[str, ...]:
    """Every name in the table, found or not."""
    return tuple(_BY_NAME)


def find(root: Path = Path("/"), imported: Path | None = None) -> dict[str, Path]:
    """The boot programs that are there, by the name they are served under; missing ones are left out.

    Where the system has none of a name, the one that a bundle brought is taken, from the folder `imported`.
    """
    found = {}
    for loader in LOADERS:
        for candidate in loader.candidates:
            path = root / candidate.lstrip("/")
            if path.is_file():
                found[loader.name] = path
                break
        if loader.name not in found and imported is not None and (imported / loader.name).is_file():
            found[loader.name] = imported / loader.name
    return found


def missing(found: Iterable[str]) -> tuple[Loader, ...]:
    """The boot programs that are not among those found."""
    present = set(found)
    return tuple(loader for loader in LOADERS if loader.name not in present)


def report(found: Iterable[str]) -> str:
    """One sentence about what is missing and how to get it; empty when nothing is."""
    absent = missing(found)
    if not absent:
        return ""
    packages = sorted({loader.package for loader in absent})
    return (
        f"Boot programs missing: {', '.join(loader.name for loader in absent)}. "
        f"Install them with: apt-get install {' '.join(packages)}."
    )


def require(name: str, found: dict[str, Path]) -> Path:
    """The path of one boot program; raises Unavailable with the package to install."""
    if name not in found:
        loader = _BY_NAME.get(name)
        hint = f"Install it with: apt-get install {loader.package}." if loader else "It is not one of ours."
        raise Unavailable(f"The boot program {name} is not on this host.", hint=hint)
    return found[name]
