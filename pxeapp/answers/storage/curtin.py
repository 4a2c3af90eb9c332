"""What subiquity's curtin is told of disks: the actions of `storage: config:`. Pure.

Which disks and which firmware there are is known only on the machine. Until then words stand in their places, none of
which any disk can have; the early command puts the disks in and says which of the two kinds of boot device counts. The
installer reads /autoinstall.yaml again after its early commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pxeapp.answers.storage.layout import BIOS_MIB, ESP_MIB, GROUP, Layout, Volume
from pxeapp.answers.storage.sizes import MIB

BOOT_FILESYSTEM = "ext4"
SYSTEM_DISK = "/dev/pxeapp-system-disk"
ON_BIOS = "PXEAPP_ON_BIOS"  # true or false, once the machine has looked
ON_UEFI = "PXEAPP_ON_UEFI"
Action = dict[str, Any]


def disk_word(number: int) -> str:
    """What stands for the path of a system disk, counted from 1."""
    return SYSTEM_DISK if number == 1 else f"{SYSTEM_DISK}-{number}"


def words(layout: Layout) -> tuple[str, ...]:
    """The words for all system disks, in their order."""
    return tuple(disk_word(number) for number in range(1, layout.disks + 1))


def config(layout: Layout, filesystem: str) -> list[Action]:
    """The actions for a layout, in an order in which curtin can carry them out."""
    kind = layout.filesystem or filesystem
    disks = [f"disk{number}" for number in range(1, layout.disks + 1)]
    actions: list[Action] = [
        {
            "type": "disk", "id": disk, "path": disk_word(number), "ptable": "gpt", "wipe": "superblock-recursive",
            "preserve": False, "grub_device": ON_BIOS,
        }
        for number, disk in enumerate(disks, 1)
    ]  # fmt: skip
    mounts: list[Action] = []
    for number, disk in enumerate(disks, 1):
        actions.append(_partition(disk, "bios", 1, BIOS_MIB, flag="bios_grub"))
        actions.append(_partition(disk, "esp", 2, ESP_MIB, flag="boot", grub_device=ON_UEFI))
        actions.append(_format(f"{disk}-esp", "fat32"))
        if number == 1:
            mounts.append(_mount(f"{disk}-esp", "/boot/efi"))
    boot = Volume("/boot", layout.boot_mib)
    parts = [boot, Volume(f"pv.{GROUP}", None)] if layout.lvm else [boot, *layout.volumes]
    for number, volume in enumerate(parts, 3):
        name = "pv" if volume.mount.startswith("pv.") else volume.name
        mirrored = volume is boot
        size = -1 if volume.mib is None else volume.mib if mirrored else layout.share(volume.mib)
        actions += [_partition(disk, name, number, size) for disk in disks]
        place = f"disk1-{name}"
        if layout.raid:
            place = f"array-{name}"
            actions.append(_array(name, 1 if mirrored else layout.raid, [f"{disk}-{name}" for disk in disks]))
        if volume.mount.startswith("pv."):
            actions.append(
                {"type": "lvm_volgroup", "id": "group", "name": GROUP, "devices": [place], "preserve": False}
            )
        else:
            _use(volume, place, BOOT_FILESYSTEM if volume is boot else kind, actions, mounts)
    if layout.lvm:
        for volume in layout.volumes:
            place = f"volume-{volume.name}"
            actions.append(
                {
                    "type": "lvm_partition", "id": place, "name": volume.name, "volgroup": "group",
                    "size": _bytes(volume.mib), "wipe": "superblock", "preserve": False,
                }
            )  # fmt: skip
            _use(volume, place, kind, actions, mounts)
    # Outer file systems are mounted before those inside them, swap at the end.
    return actions + sorted(mounts, key=lambda mount: (mount["path"] == "", mount["path"].count("/"), mount["path"]))


def resolved(actions: Sequence[Action], disks: Sequence[str], *, uefi: bool) -> list[Action]:
    """The actions as the machine's early command leaves them: for checks, and for whoever wants to see them."""
    values: dict[Any, Any] = {disk_word(number): disk for number, disk in enumerate(disks, 1)}
    values |= {ON_BIOS: not uefi, ON_UEFI: uefi}
    return [
        {key: values.get(value, value) if isinstance(value, str) else value for key, value in action.items()}
        for action in actions
    ]


def _partition(disk: str, name: str, number: int, mib: int, **more: Any) -> Action:
    return {
        "type": "partition", "id": f"{disk}-{name}", "device": disk, "number": number, "size": _bytes(mib),
        "wipe": "superblock", "preserve": False, **more,
    }  # fmt: skip


def _bytes(mib: int | None) -> int:
    return -1 if mib is None or mib < 0 else mib * MIB


def _array(name: str, level: int, members: list[str]) -> Action:
    return {
        "type": "raid", "id": f"array-{name}", "name": f"md-{name}"[:32], "raidlevel": level, "devices": members,
        "spare_devices": [], "preserve": False,
    }  # fmt: skip


def _format(place: str, kind: str) -> Action:
    return {"type": "format", "id": f"{place}-format", "volume": place, "fstype": kind, "preserve": False}


def _mount(place: str, path: str) -> Action:
    return {"type": "mount", "id": f"{place}-mount", "device": f"{place}-format", "path": path}


def _use(volume: Volume, place: str, kind: str, actions: list[Action], mounts: list[Action]) -> None:
    actions.append(_format(place, "swap" if volume.swap else kind))
    mounts.append(_mount(place, "" if volume.swap else volume.mount))


def commands(layout: Layout) -> Iterable[str]:
    """Shell lines that put the disks of $system_disks and the firmware into /autoinstall.yaml."""
    yield "# shellcheck disable=SC2086  # names of disks hold no spaces"
    yield "set -- $system_disks"
    # The longest first: the first disk's word is the beginning of every other.
    places = [f'-e "s,{word},/dev/${{{number}}},g"' for number, word in reversed(list(enumerate(words(layout), 1)))]
    yield f"sed -i {' '.join(places)} /autoinstall.yaml"
    if not layout.simple:
        yield "if [ -d /sys/firmware/efi ]; then bios=false uefi=true; else bios=true uefi=false; fi"
        # With its quotes, if it came to have any: a text would be true, whatever it says.
        flags = " ".join(
            f'-e "s,{quote}{word}{quote},${name},g"'
            for word, name in ((ON_BIOS, "bios"), (ON_UEFI, "uefi"))
            for quote in ("'", '\\"', "")
        )
        yield f"sed -i {flags} /autoinstall.yaml"
