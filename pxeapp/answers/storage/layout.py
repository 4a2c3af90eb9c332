"""A layout: which disks the system goes on, how they are divided, and which others are prepared or left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pxeapp.answers.storage.hints import Hint

ROOTS = ("plain", "lvm")
GROUP = "system"  # the volume group of root: lvm
BOOT_MIB = 1024
ESP_MIB = 600  # Anaconda's own choice; two generations of every loader fit
BIOS_MIB = 1
SLACK_MIB = 64  # partition tables, alignment, RAID's and LVM's own records
LEAST_MIB = 512  # of what grows
LEAST_ROOT_MIB = 4096
SWAP = "swap"


@dataclass(frozen=True, slots=True)
class Volume:
    """A file system by its mount point, or swap. Without a size it takes the rest."""

    mount: str
    mib: int | None

    @property
    def swap(self) -> bool:
        """Whether it is swap space."""
        return self.mount == SWAP

    @property
    def name(self) -> str:
        """As a logical volume or an array is called: root, var_log, swap."""
        return self.mount.strip("/").replace("/", "_") or "root"

    @property
    def least(self) -> int:
        """MiB that it needs in any case."""
        if self.mib is not None:
            return self.mib
        return LEAST_ROOT_MIB if self.mount == "/" else LEAST_MIB


@dataclass(frozen=True, slots=True)
class Group:
    """A spare LVM volume group on whole disks. One that is there already is kept, unless it is to be wiped."""

    name: str
    disks: tuple[Hint, ...]
    wipe: bool = False


@dataclass(frozen=True, slots=True)
class Raw:
    """Disks that are left alone; with a file system they are given one, unless they have it."""

    hint: Hint
    filesystem: str = ""
    mount: str = ""  # `*` in it is the number of the disk
    wipe: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything that is said of disks. `simple`: nothing of volumes; the installer's own recipe divides the disk."""

    simple: bool = True
    root: str = "plain"
    system: tuple[Hint, ...] = ()  # none: the machine's own system disk, or the first fixed one
    raid: int = 0  # 1, 10; 0: none
    volumes: tuple[Volume, ...] = (Volume(SWAP, 1024), Volume("/", None))  # what grows stands last
    boot_mib: int = BOOT_MIB
    filesystem: str = ""  # empty: the release's own choice
    groups: tuple[Group, ...] = ()
    raw: tuple[Raw, ...] = ()

    group: ClassVar[str] = GROUP

    @property
    def lvm(self) -> bool:
        """Whether root is in a volume group."""
        return self.root == "lvm"

    @property
    def disks(self) -> int:
        """How many disks the system is on."""
        return sum(hint.count for hint in self.system) or 1

    @property
    def members(self) -> int:
        """How many disks' worth of space there is: RAID 10 keeps two copies, whatever the number of disks."""
        return {0: 1, 1: 1, 10: self.disks // 2}[self.raid]

    @property
    def volumes_mib(self) -> int:
        """What the volumes need together, /boot aside."""
        return sum(volume.least for volume in self.volumes)

    @property
    def needed_mib(self) -> int:
        """What each system disk must have at least."""
        if self.simple:
            return 0
        return self.boot_mib + ESP_MIB + BIOS_MIB + SLACK_MIB + self.share(self.volumes_mib)

    def share(self, mib: int) -> int:
        """The part of a volume that lies on one disk."""
        return -(-mib // self.members)

    @property
    def formatted(self) -> tuple[Raw, ...]:
        """The raw disks that are given a file system."""
        return tuple(each for each in self.raw if each.filesystem)

    @property
    def untouched(self) -> tuple[Hint, ...]:
        """The disks that are never written to."""
        return tuple(each.hint for each in self.raw if not each.filesystem)


PLAIN = Layout()
LVM = Layout(root="lvm")
WORDS = {"plain": PLAIN, "lvm": LVM}


def packages(layout: Layout, family: str) -> tuple[str, ...]:
    """What the installed system must have for its own disks; `family` is of packages: el, debian, ubuntu."""
    wanted = []
    if layout.groups or layout.lvm:
        wanted.append("lvm2")
    if layout.raid:
        wanted.append("mdadm")
    filesystems = {layout.filesystem, *(each.filesystem for each in layout.formatted)}
    if "xfs" in filesystems:
        wanted.append("xfsprogs")
    if family != "el" and layout.simple and not (layout.groups or layout.raw):
        return ()  # its installer adds what its own recipe needs
    return tuple(wanted)
