"""curtin's storage actions: that each can be carried out, in their order, and that the machine can boot from it.

Made by hand from curtin's storage documentation and from what subiquity adds to it (match, sizes in words).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pxeapp.answers.checks.autoinstall_keys import MATCH, SIZE
from pxeapp.answers.checks.shapes import Anything, Either, Flag, Items, Key, Keys, Nothing, Number, Shape, Text, Wrong
from pxeapp.answers.checks.yaml_lines import Path

# Stand for true or false until the machine has looked at its firmware: answers/storage/curtin.py.
ON_BIOS, ON_UEFI = "PXEAPP_ON_BIOS", "PXEAPP_ON_UEFI"
LATER = Flag((ON_BIOS, ON_UEFI))
FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "fat", "fat12", "fat16", "fat32", "vfat", "swap", "jfs", "ntfs")
FLAGS = (
    "boot", "bios_grub", "extended", "home", "linux", "logical", "lvm", "mbr", "prep", "raid", "swap", "msftres", "",
)  # fmt: skip
WIPES = ("superblock", "superblock-recursive", "pvremove", "zero", "random")
LEVELS: dict[Any, int] = {0: 2, 1: 2, 5: 3, 6: 4, 10: 4, "raid0": 2, "raid1": 2, "raid5": 3, "raid6": 4, "raid10": 4}
_ALWAYS: dict[str, Shape | Key] = {"type": Text(), "id": Text(r"\S+"), "preserve": Flag()}
_WIPE: dict[str, Shape | Key] = {"wipe": Either((Text(choices=WIPES), Nothing()))}
ACTIONS: dict[str, Keys] = {
    "disk": Keys(
        {
            **_ALWAYS, **_WIPE, "match": MATCH, "serial": Text(), "path": Text(r"/dev/\S+", fix="Write /dev/..."),
            "wwn": Text(), "model": Text(), "ptable": Text(choices=("gpt", "msdos", "vtoc", "unsupported")),
            "grub_device": LATER, "name": Text(), "multipath": Text(), "nvme_controller": Text(),
        }
    ),
    "partition": Keys(
        {
            **_ALWAYS, **_WIPE, "device": Text(), "size": SIZE, "number": Number(1, 128), "flag": Text(choices=FLAGS),
            "grub_device": LATER, "name": Text(), "partition_name": Text(), "partition_type": Text(), "uuid": Text(),
            "offset": SIZE, "multipath": Text(), "resize": Flag(), "attrs": Anything(), "path": Text(),
        },
        ("device", "size"),
    ),
    "format": Keys(
        {
            **_ALWAYS, "volume": Text(), "fstype": Text(choices=FILE_SYSTEMS), "label": Text(r".{0,16}"),
            "uuid": Text(), "extra_options": Items(Text()),
        },
        ("volume", "fstype"),
    ),
    "mount": Keys(
        {
            **_ALWAYS, "device": Text(), "path": Either((Text(), Nothing())), "options": Text(), "spec": Text(),
            "fstype": Text(), "freq": Anything(), "passno": Anything(),
        }
    ),
    "raid": Keys(
        {
            **_ALWAYS, **_WIPE, "name": Text(r"[A-Za-z0-9._-]{1,32}"), "raidlevel": Anything(),
            "devices": Items(Text(), 1), "spare_devices": Items(Text()), "metadata": Text(), "ptable": Text(),
            "container": Text(), "mdname": Text(r"[A-Za-z0-9._-]{1,32}"), "path": Text(),
        },
        ("name", "raidlevel", "devices"),
    ),
    "lvm_volgroup": Keys(
        {**_ALWAYS, "name": Text(r"[A-Za-z0-9_.][A-Za-z0-9_.+-]{0,126}"), "devices": Items(Text(), 1), "uuid": Text()},
        ("name", "devices"),
    ),
    "lvm_partition": Keys(
        {
            **_ALWAYS, **_WIPE, "name": Text(r"[A-Za-z0-9_.][A-Za-z0-9_.+-]{0,126}"), "volgroup": Text(), "size": SIZE,
            "path": Text(),
        },
        ("name", "volgroup"),
    ),
    "dm_crypt": Keys(
        {**_ALWAYS, "volume": Text(), "key": Text(), "keyfile": Text(), "dm_name": Text(), "options": Anything()},
        ("volume",),
    ),
    "bcache": Keys(
        {**_ALWAYS, "backing_device": Text(), "cache_device": Text(), "cache_mode": Text(), "name": Text()},
        ("backing_device",),
    ),
    "nvme_controller": Keys(others=Anything()),
    "zpool": Keys(others=Anything()),
    "zfs": Keys(others=Anything()),
}  # fmt: skip
# Where an action names others, and of what kind these must be.
BLOCK = ("disk", "partition", "raid", "lvm_partition", "dm_crypt", "bcache")
REFERENCES: dict[tuple[str, str], tuple[str, ...]] = {
    ("partition", "device"): ("disk", "raid", "bcache"),
    ("format", "volume"): BLOCK,
    ("mount", "device"): ("format",),
    ("raid", "devices"): BLOCK,
    ("raid", "spare_devices"): BLOCK,
    ("lvm_volgroup", "devices"): BLOCK,
    ("lvm_partition", "volgroup"): ("lvm_volgroup",),
    ("dm_crypt", "volume"): BLOCK,
    ("bcache", "backing_device"): BLOCK,
    ("bcache", "cache_device"): BLOCK,
}

Action = Mapping[str, Any]


def wrong(actions: Sequence[Any], path: Path, version: str) -> Iterator[Wrong]:
    """What is wrong with a list of actions."""
    if not all(isinstance(action, dict) and isinstance(action.get("id"), str) for action in actions):
        return  # said already, by the shape of the list
    seen: dict[str, Action] = {}
    for number, action in enumerate(actions):
        yield from _action(action, (*path, number), seen, version)
        seen[action["id"]] = action
    yield from _sizes(actions, path)
    yield from _mounts(actions, path)
    words = {value for action in actions for value in action.values() if value in (ON_BIOS, ON_UEFI)}
    if words:
        for uefi in (False, True):
            yield from _bootable(actions, path, {ON_BIOS: not uefi, ON_UEFI: uefi}, ("UEFI" if uefi else "BIOS"))
    else:
        yield from _bootable(actions, path, {}, "")


def _action(action: Action, path: Path, seen: Mapping[str, Action], version: str) -> Iterator[Wrong]:
    kind = action["type"]
    shape = ACTIONS.get(kind) if isinstance(kind, str) else None
    if shape is None:
        yield Wrong((*path, "type"), f"{kind!r} is no storage action.", f"Use {', '.join(ACTIONS)}.")
        return
    faults = list(shape.wrong(action, path, version))
    yield from faults
    if action["id"] in seen:
        yield Wrong((*path, "id"), f"The id {action['id']!r} stands twice.", "Give each action an id of its own.")
    for key, value in action.items():
        kinds = REFERENCES.get((kind, key))
        for name in (value if isinstance(value, list) else [value]) if kinds else ():
            found = seen.get(name) if isinstance(name, str) else None
            if found is None:
                yield Wrong((*path, key), f"There is no {name!r} before this.", "Define it in an action further up.")
            elif found["type"] not in kinds:  # type: ignore[operator]
                yield Wrong((*path, key), f"{name!r} is a {found['type']}.", f"Name a {' or '.join(kinds or ())}.")
    if faults:
        return
    if kind == "disk" and not any(action.get(key) for key in ("match", "serial", "path", "wwn")):
        fix = "Say which: match, serial, path or wwn."
        yield Wrong(path, f"The disk {action['id']!r} could be any disk, one that holds data too.", fix)
    if kind == "raid":
        yield from _raid(action, path)


def _raid(action: Action, path: Path) -> Iterator[Wrong]:
    level = action["raidlevel"]
    least = LEVELS.get(level) if isinstance(level, (int, str)) else None
    if least is None:
        yield Wrong((*path, "raidlevel"), f"There is no RAID level {level!r}.", "Use 0, 1, 5, 6 or 10.")
    elif len(set(action["devices"])) < least:
        yield Wrong(
            (*path, "devices"), f"RAID {level} needs {least} different devices.", "Add one, or use another level."
        )


def _sizes(actions: Sequence[Action], path: Path) -> Iterator[Wrong]:
    """The rest of a device is one partition's, the last one's; shares are not more than the whole."""
    for kind, place in (("partition", "device"), ("lvm_partition", "volgroup")):
        of: dict[Any, list[tuple[int, Action]]] = {}
        for number, action in enumerate(actions):
            if action["type"] == kind:
                of.setdefault(str(action.get(place)), []).append((number, action))
        for device, parts in of.items():
            rest = [number for number, action in parts if action.get("size") in (-1, "-1")]
            if rest and (len(rest) > 1 or rest[0] != parts[-1][0]):
                fix = "Give the size -1 to the last one only."
                yield Wrong((*path, rest[0], "size"), f"What is left of {device!r} is taken more than once.", fix)
            shares = [str(action.get("size")) for _, action in parts]
            if sum(int(share[:-1]) for share in shares if share.endswith("%") and share[:-1].isdigit()) > 100:
                yield Wrong((*path, parts[-1][0], "size"), f"More than 100% of {device!r} is given away.", "Give less.")
            if kind == "partition":
                disk = next((action for action in actions if action["id"] == device), {})
                if disk.get("type") == "disk" and not disk.get("ptable") and not disk.get("preserve"):
                    fix = "Add to the disk: ptable: gpt"
                    yield Wrong((*path, parts[0][0]), f"The disk {device!r} has no partition table.", fix)


def _mounts(actions: Sequence[Action], path: Path) -> Iterator[Wrong]:
    places: set[str] = set()
    for number, action in enumerate(actions):
        if action["type"] != "mount":
            continue
        place = action.get("path")
        if isinstance(place, str) and place not in ("", "none"):
            if not place.startswith("/"):
                yield Wrong((*path, number, "path"), f"{place!r} is no mount point.", "Begin it with /.")
            if place in places:
                yield Wrong((*path, number, "path"), f"{place} is mounted twice.", "Leave one of them.")
            places.add(place)
    if "/" not in places:
        yield Wrong(path, "Nothing is mounted at /.", "Add format and mount actions for the root file system.")


def _bootable(actions: Sequence[Action], path: Path, firmware: Mapping[str, bool], name: str) -> Iterator[Wrong]:
    """The boot loader has a place: on BIOS a disk with a bios_grub partition, on UEFI an EFI system partition."""

    def is_one(action: Action) -> bool:
        said = action.get("grub_device")
        return firmware.get(said, False) if isinstance(said, str) else bool(said)

    by_id = {action["id"]: action for action in actions}
    disks = [action for action in actions if action["type"] == "disk" and is_one(action)]
    systems = [action for action in actions if action["type"] == "partition" and is_one(action)]
    where = f" on {name}" if name else ""
    if not disks and not systems:
        fix = "Say grub_device: true at the disk (BIOS) or at the EFI system partition (UEFI)."
        yield Wrong(path, f"The boot loader has no place{where}.", fix)
    for disk in disks:
        number = actions.index(disk)
        small = any(
            action["type"] == "partition" and action.get("device") == disk["id"] and action.get("flag") == "bios_grub"
            for action in actions
        )
        if disk.get("ptable") == "gpt" and not small:
            fix = "Add a partition of 1M with flag: bios_grub."
            yield Wrong((*path, number), f"GRUB has no room on the GPT disk {disk['id']!r}{where}.", fix)
    mounted = {
        by_id.get(str(action.get("device")), {}).get("volume"): action.get("path")
        for action in actions
        if action["type"] == "mount"
    }
    for part in systems:
        number = actions.index(part)
        if part.get("flag") != "boot":
            yield Wrong((*path, number), f"{part['id']!r} is no EFI system partition.", "Add: flag: boot")
        formats = [a for a in actions if a["type"] == "format" and a.get("volume") == part["id"]]
        if not any(str(each.get("fstype")).startswith(("fat", "vfat")) for each in formats):
            yield Wrong((*path, number), f"The firmware cannot read {part['id']!r}.", "Format it as fat32.")
    if systems and not disks and "/boot/efi" not in (mounted.get(part["id"]) for part in systems):
        fix = "Mount one of the EFI system partitions at /boot/efi."
        yield Wrong(path, f"No EFI system partition is mounted{where}.", fix)
