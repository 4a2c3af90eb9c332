"""What an unattended installation fetches: the closure of udeb dependencies from a table of roots. Pure.

The initrd has some components already (its own /var/lib/dpkg/status says which); kernel modules must be those of the
initrd's very kernel, so a mirror that is one point release behind lacks them although it has others of that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pxeapp.software.udebs.index import Udeb, providers

# What our preseeds make the installer load; partman-lvm, -md and -efi are there for the layouts that need them.
ROOTS = (
    *("base-installer", "bootstrap-base", "disk-detect", "parted-udeb", "partman-base", "partman-auto"),
    *("partman-partitioning", "partman-target", "partman-basicfilesystems", "partman-basicmethods", "partman-ext3"),
    *("partman-xfs", "partman-efi", "partman-lvm", "partman-auto-lvm", "partman-md", "partman-auto-raid"),
    *("e2fsprogs-udeb", "dosfstools-udeb", "user-setup-udeb", "tzsetup-udeb", "clock-setup", "apt-setup-udeb"),
    *("apt-mirror-setup", "pkgsel", "grub-installer", "finish-install", "di-utils-exit-installer"),
)
MODULE_ROOTS = ("ext4-modules", "scsi-modules", "ata-modules", "sata-modules", "md-modules", "xfs-modules")

_KERNEL = re.compile(r"kernel-image-(?P<version>.+)-di")
_MODULES = re.compile(r"(?P<kind>.+-modules)-(?P<version>[0-9].*)-di")
# ext2 and ext3 are the ext4 driver's since Linux 4.3; the one package provides all three names.
MODULE_ALIASES = {"ext2-modules": "ext4-modules", "ext3-modules": "ext4-modules"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be fetched besides the initrd: from the index, and what no index entry serves."""

    kernel: str
    wanted: tuple[Udeb, ...]
    modules: tuple[str, ...]  # kinds of kernel modules (ext4-modules) that the index lacks for this kernel
    absent: tuple[str, ...]  # other names that nothing in the index provides


def kernel_version(status: Mapping[str, Udeb]) -> str:
    """The initrd's kernel version (6.12.1+deb13-amd64), or an empty string."""
    return next((match["version"] for name in status if (match := _KERNEL.fullmatch(name))), "")


def plan(
    index: Mapping[str, Udeb],
    status: Mapping[str, Udeb],
    *,
    roots: Sequence[str] = ROOTS,
    module_roots: Sequence[str] = MODULE_ROOTS,
) -> Plan:
    """Walk the dependencies of the roots through the index, leaving out what the initrd has."""
    kernel = kernel_version(status)
    have = set(providers(status.values())) | set(_kinds(status.values(), kernel))
    usable = {name: udeb for name, udeb in index.items() if _fits(name, kernel)}
    provided = providers(usable.values())
    kinds = _kinds(usable.values(), kernel)
    wanted: dict[str, Udeb] = {}
    modules: dict[str, None] = {}
    absent: dict[str, None] = {}
    queue: list[tuple[str, ...]] = [(name,) for name in (*roots, *module_roots)]
    while queue:
        names = tuple(MODULE_ALIASES.get(name, name) for name in queue.pop(0))
        if any(name in have or name in wanted or name in modules for name in names):
            continue
        chosen = next((kinds.get(name) or provided[name][0] for name in names if name in kinds or name in provided), "")
        if chosen and not any(_is_wanted(name, provided, wanted) for name in names):
            wanted[chosen] = usable[chosen]
            queue += usable[chosen].depends
        elif not chosen and names[0].endswith("-modules"):
            modules[names[0]] = None
        elif not chosen:
            absent[names[0]] = None
    return Plan(kernel, tuple(wanted.values()), tuple(modules), tuple(absent))


def _is_wanted(name: str, provided: Mapping[str, Sequence[str]], wanted: Mapping[str, Udeb]) -> bool:
    return any(provider in wanted for provider in provided.get(name, ()))


def _fits(name: str, kernel: str) -> bool:
    """Whether this is no kernel module package, or one of this very kernel."""
    match = _MODULES.fullmatch(name) or _KERNEL.fullmatch(name)
    return match is None or match["version"] == kernel


def _kinds(udebs: Iterable[Udeb], kernel: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for udeb in udebs:
        match = _MODULES.fullmatch(udeb.name)
        if match is not None and match["version"] == kernel:
            found[match["kind"]] = udeb.name
    return found
