"""What debian-installer's partman is told of disks: an expert recipe, and for RAID what is made of its partitions.

The table is always GPT and begins with a BIOS boot partition and an EFI system partition, whatever the firmware: so the
numbers of the partitions are known, and the disk boots in another machine too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from pxeapp.answers.storage.layout import BIOS_MIB, ESP_MIB, SLACK_MIB, Layout, Volume
from pxeapp.answers.storage.sizes import MIB

BOOT_FILESYSTEM = "ext4"  # whatever the others are: every GRUB of these releases reads it
FIRST_NUMBER = 3  # of what comes behind the two partitions that firmware needs
GROWING = 1_000_000_000  # a priority beside which every other is nothing
MEGABYTE = 10**6


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the partitions with this number: level, file system, mount point as partman-auto-raid writes them."""

    number: int
    level: int
    filesystem: str
    mount: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """`recipe` is empty where a word was said: then the installer's own `atomic` is taken."""

    method: str  # regular, lvm, raid
    recipe: str = ""
    guided_mb: int | None = None  # how much of the volume group is used; None: all of it
    arrays: tuple[Array, ...] = ()
    swap: bool = True
    mounts: tuple[str, ...] = ()  # what must be mounted below /target when the installer is done


@lru_cache(maxsize=1024)
def recipe(layout: Layout, filesystem: str) -> Recipe:
    """The recipe for a layout; `filesystem` is the release's own choice."""
    if layout.simple:
        return Recipe("lvm" if layout.lvm else "regular")
    kind = layout.filesystem or filesystem
    stanzas = [
        _stanza(BIOS_MIB, "free", "$iflabel{ gpt } $lvmignore{ } method{ biosgrub }"),
        _stanza(ESP_MIB, "free", "$iflabel{ gpt } $lvmignore{ } method{ efi } format{ }"),
    ]
    boot = Volume("/boot", layout.boot_mib)
    arrays: tuple[Array, ...] = ()
    if layout.raid:
        parts, arrays = _members(layout, boot, kind)
        stanzas += parts
    else:
        stanzas.append(_volume(boot, BOOT_FILESYSTEM, "$lvmignore{ }" if layout.lvm else ""))
    if layout.lvm:
        if not layout.raid:
            least = _megabytes(layout.volumes_mib + SLACK_MIB)
            stanzas.append(f"{least} {least + GROWING} -1 ext4 method{{ lvm }}")
        stanzas += [
            _volume(volume, kind, f"$defaultignore{{ }} $lvmok{{ }} lv_name{{ {volume.name} }}")
            for volume in layout.volumes
        ]
    elif not layout.raid:
        stanzas += [_volume(volume, kind, "") for volume in layout.volumes]
    grows = any(volume.mib is None for volume in layout.volumes)
    return Recipe(
        method="raid" if layout.raid else "lvm" if layout.lvm else "regular",
        recipe=" ".join(("pxeapp ::", *(f"{stanza} ." for stanza in stanzas))),
        guided_mb=None if grows or not layout.lvm else sum(_megabytes(volume.least) for volume in layout.volumes),
        arrays=arrays,
        swap=any(volume.swap for volume in layout.volumes),
        mounts=("/boot", *(volume.mount for volume in layout.volumes if not volume.swap and volume.mount != "/")),
    )


def _members(layout: Layout, boot: Volume, kind: str) -> tuple[list[str], tuple[Array, ...]]:
    """A partition per array and disk. The last one takes what is left of each disk, as partman always does."""
    wanted: list[tuple[Volume, int, int, str, str]] = [(boot, layout.boot_mib, 1, BOOT_FILESYSTEM, boot.mount)]
    if layout.lvm:
        wanted.append((Volume("pv", None), layout.share(layout.volumes_mib + SLACK_MIB), layout.raid, "lvm", "-"))
    else:
        for volume in layout.volumes:
            filesystem, mount = ("swap", "-") if volume.swap else (kind, volume.mount)
            wanted.append((volume, layout.share(volume.least), layout.raid, filesystem, mount))
    stanzas, arrays = [], []
    for number, (volume, mib, level, filesystem, mount) in enumerate(wanted, FIRST_NUMBER):
        least = _megabytes(mib)
        most = "-1" if volume.mib is None else str(least)
        weight = least + GROWING if volume.mib is None else least
        stanzas.append(f"{least} {weight} {most} ext4 $lvmignore{{ }} method{{ raid }}")
        arrays.append(Array(number, level, filesystem, mount))
    return stanzas, tuple(arrays)


def _volume(volume: Volume, kind: str, flags: str) -> str:
    least = _megabytes(volume.least)
    weight, most = (least, str(least)) if volume.mib is not None else (least + GROWING, "-1")
    if volume.swap:
        what: Iterable[str] = (f"{least} {weight} {most} linux-swap", flags, "method{ swap } format{ }")
    else:
        use = (
            f"method{{ format }} format{{ }} use_filesystem{{ }} filesystem{{ {kind} }} mountpoint{{ {volume.mount} }}"
        )
        what = (f"{least} {weight} {most} {kind}", flags, use)
    return " ".join(filter(None, what))


def _stanza(mib: int, kind: str, rest: str) -> str:
    size = _megabytes(mib)
    return f"{size} {size} {size} {kind} {rest}"


def _megabytes(mib: int) -> int:
    """partman counts in millions of bytes."""
    return -(-mib * MIB // MEGABYTE)
