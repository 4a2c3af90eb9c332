"""From what there is and what is wanted to what a mirror holds. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pxeapp.software.mirrors import installer, skew
from pxeapp.software.mirrors import selection as selections
from pxeapp.software.mirrors.closure import Rules, Unsatisfied, close
from pxeapp.software.mirrors.needs import Atom, Need
from pxeapp.software.mirrors.pool import Candidate
from pxeapp.software.mirrors.reading import Reading
from pxeapp.software.mirrors.selection import Selection
from pxeapp.software.udebs import index as udeb_index
from pxeapp.software.udebs import plan

# What debootstrap installs; Essential packages count with them whatever their priority says.
BASE = ("required", "important")
# What Debian's installer puts on a disk besides, as `apt-install` stands in its components; taken where the sources
# have it, since architectures differ. Without zstd or busybox it stops before the kernel (base-installer, library.sh).
INSTALLED = (
    *("linux-image-{arch}", "grub-pc", "grub-efi-{arch}", "grub-efi-{arch}-signed", "shim-signed", "efibootmgr"),
    *("initramfs-tools", "busybox", "zstd", "console-setup", "keyboard-configuration", "locales", "tasksel"),
    *("lvm2", "mdadm", "xfsprogs", "dosfstools", "e2fsprogs", "parted", "pciutils", "usbutils", "eject"),
    *("ca-certificates", "laptop-detect", "installation-report", "linux-generic"),
    *("kernel", "grub2-pc", "grub2-efi-x64", "shim-x64", "dracut-config-generic", "dnf"),
)
GROUPS_OF_BASE = ("core",)  # rpm: what every installation of EL has
_DEBUG = re.compile(r".+-(dbg|dbgsym|debuginfo|debugsource)|debuginfo-.+|debugsource-.+")
SOURCES = ("source", "src", "nosrc")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a mirror is going to hold, and what is wanted and cannot be had."""

    chosen: tuple[Candidate, ...]
    unsatisfied: tuple[Unsatisfied, ...]
    remarks: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(each.package.size for each in self.chosen)


def choose(reading: Reading, selection: Selection, names: Mapping[str, Sequence[str]]) -> Choice:
    """The mirror's packages, in order of name; `names` are what its roles come to."""
    wanted = selections.wanted(selection, names)
    unknown = _with_groups(wanted, reading)
    if selection.base:
        wanted |= _base(reading)
    if selection.installer:
        wanted |= _installed(selection)
    closure = close(reading.pools, wanted, Rules(weak=selection.recommends))
    kept = {id(each): each for each in closure.chosen}
    named = {each.name for each in closure.chosen}
    for pool in reading.pools:
        more = pool.every() if selection.versions == "all" else iter(pool)
        if selection.everything:
            kept |= {id(each): each for each in more if _is_for(each, selection)}
        elif selection.versions == "all":
            kept |= {id(each): each for each in more if each.name in named}
    if selection.everything and selection.versions == "newest":
        beside = skew.older(reading.pools, kept.keys())
        kept |= {id(each): each for each in beside.chosen}
        unknown += beside.unsatisfied
    if selection.source:
        built = {each.package.source for each in kept.values()}
        sources = [each for each in reading.sources if selection.everything or _file(each) in built]
        kept |= {id(each): each for each in sources}
    if selection.installer and selection.kind == "deb" and not reading.components:
        unknown.append(Unsatisfied("components of the installer (udebs)", ("you",), ""))
    if selection.installer:
        ours = [each for each in reading.components if each.source == installer.OURS]
        kept |= {id(each): each for each in ours or components(reading.components)}
    once = {each.package.identity: each for each in reversed(list(kept.values()))}  # the same file in two sources
    ordered = sorted(once.values(), key=lambda each: (each.name, each.version, each.package.path))
    return Choice(tuple(ordered), (*unknown, *closure.unsatisfied), skew.remarks(ordered))


def components(udebs: Sequence[Candidate]) -> list[Candidate]:
    """What an unattended installation loads, of each kernel that there is: see software/udebs/plan.py."""
    by_name = {each.name: each for each in udebs}
    read = {name: udeb_index.read(each.package.stanza)[name] for name, each in by_name.items()}
    kernels = [name for name in by_name if plan.kernel_version({name: read[name]})]
    found: dict[str, Candidate] = {}
    for kernel in kernels:
        needed = plan.plan(read, {kernel: read[kernel]})
        found |= {each.name: by_name[each.name] for each in needed.wanted}
        found[kernel] = by_name[kernel]
    return list(found.values())


def _with_groups(wanted: dict[Need, str], reading: Reading) -> list[Unsatisfied]:
    """rpm's `@core` becomes its packages; they are what a group has by default, and one that is missing is no fault."""
    unknown = []
    for need in [each for each in wanted if each.any_of[0].name.startswith("@")]:
        why = wanted.pop(need)
        name = need.any_of[0].name.removeprefix("@")
        if name not in reading.groups:
            unknown.append(Unsatisfied(f"@{name}", (why,), ""))
        for package in reading.groups.get(name, ()):
            wanted.setdefault(Need((Atom(package),), weak=True), f"group {name}")
    return unknown


def _base(reading: Reading) -> dict[Need, str]:
    found = {
        Need((Atom(each.name),)): "the base system"
        for pool in reading.pools
        for each in pool
        if each.essential or each.priority in BASE
    }
    for group in GROUPS_OF_BASE:
        found |= {Need((Atom(name),), weak=True): f"group {group}" for name in reading.groups.get(group, ())}
    return found


def _installed(selection: Selection) -> dict[Need, str]:
    return {
        Need((Atom(name.format(arch=arch)),), weak=True): "the installer"
        for arch in selection.architectures
        for name in INSTALLED
    }


def _file(candidate: Candidate) -> str:
    return candidate.package.path.rpartition("/")[2]


def _is_for(candidate: Candidate, selection: Selection) -> bool:
    """Whether it counts as part of everything: debug symbols do not, as a rule."""
    return selection.debug or not _DEBUG.fullmatch(candidate.name)
