"""The language of storage layouts, read: `plain`, `lvm`, or an object; docs/storage-layouts.md says what it means."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pxeapp.answers.storage import hints, sizes
from pxeapp.answers.storage.hints import Hint
from pxeapp.answers.storage.layout import (
    BOOT_MIB,
    GROUP,
    ROOTS,
    SWAP,
    WORDS,
    Group,
    Layout,
    Raw,
    Volume,
)  # fmt: skip
from pxeapp.errors import FieldProblem, Invalid

KEYS = ("system", "raid", "root", "volumes", "filesystem", "groups", "raw")
FIX = f"Write plain, lvm or an object of {', '.join(KEYS)}."
FILESYSTEMS = ("xfs", "ext4")
RAIDS = {"none": 0, 0: 0, 1: 1, 10: 10, "0": 0, "1": 1, "10": 10}
REST = "rest"
MOUNT = re.compile(r"/|(/[A-Za-z0-9_][A-Za-z0-9._-]{0,63}){1,8}")
NUMBERED = re.compile(r"(/[A-Za-z0-9_*][A-Za-z0-9._*-]{0,63}){1,8}")
# lvm(8) allows more; these names are safe in every shell, recipe and device path. The dash LVM itself would double.
GROUP_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,62}")
TAKEN_NAMES = frozenset({GROUP, "snapshot", "pvmove"})
# The system does not start when one of these is not on the root file system, or they are no place for one.
IN_ROOT = frozenset(
    {"/bin", "/dev", "/etc", "/lib", "/lib64", "/mnt", "/proc", "/root", "/run", "/sbin", "/sys", "/usr"}
)
OURS = {"/boot/efi": "We make it ourselves, where the firmware needs it."}
LEAST_VOLUME_MIB = 64
LEAST_BOOT_MIB = 512  # two kernels with their initramfs, and the one that is being installed
# The smallest system of any release has 1.5 GiB, kernel and firmware files with it, and its packages are fetched first.
LEAST_ROOT_MIB = 2048
LEAST_XFS_MIB = 300  # mkfs.xfs makes no smaller one, since xfsprogs 5.19
ARRAY_MIB = 8  # of a member, for the array's own records
# lvm(8) keeps these for itself, whatever follows them in a volume's name.
RESERVED = ("snapshot", "pvmove")
LONGEST_ARRAY = 29  # characters that an array's name has of the volume's; mdadm's own end is at 32
# Names of what we make ourselves on each disk, beside the volumes.
OUR_PARTS = {"bios": "the BIOS boot partition", "esp": "the EFI system partition", "boot_efi": "/boot/efi"}
MOST_RAW = 64


def read(said: Any, where: str = "layout") -> Layout:
    """The layout; raises Invalid with every problem."""
    try:
        return _read(json.dumps(said), where)
    except (TypeError, ValueError):
        raise Invalid("The layout cannot be used.", problems=[FieldProblem(where, "is not a layout.", FIX)]) from None


@lru_cache(maxsize=1024)
def _read(text: str, where: str) -> Layout:
    """Many machines share a layout, and it is read at each answer file: what was read once stays read."""
    layout, problems = examine(json.loads(text), where)
    if problems:
        raise Invalid("The layout cannot be used.", problems=problems)
    return layout


def problems(said: Any, where: str = "layout") -> list[FieldProblem]:
    """Everything that is wrong with a layout, whatever machine and release it will be for."""
    return examine(said, where)[1]


def examine(said: Any, where: str) -> tuple[Layout, list[FieldProblem]]:
    """The layout as far as it can be read, and what is wrong with it."""
    if isinstance(said, str):
        known = WORDS.get(said)
        return known or WORDS["plain"], [] if known else [FieldProblem(where, f"{said[:60]!r} is not a layout.", FIX)]
    if not isinstance(said, Mapping):
        return WORDS["plain"], [FieldProblem(where, "is not a layout.", FIX)]
    found: list[FieldProblem] = [
        FieldProblem(f"{where}.{str(key)[:63]}", "is not known.", f"Use {', '.join(KEYS)}.")
        for key in said
        if key not in KEYS
    ]
    said = {key: value for key, value in said.items() if value is not None}
    system, wrong = _hints(said.get("system", []), f"{where}.system")
    found += wrong
    raid, wrong = _raid(said.get("raid", "none"), system, where, readable=not wrong)
    found += wrong
    root = said.get("root", "plain")
    if root not in ROOTS:
        found.append(FieldProblem(f"{where}.root", f"{str(root)[:60]!r} is not possible.", f"Use {', '.join(ROOTS)}."))
        root = "plain"
    filesystem = said.get("filesystem", "")
    if filesystem and filesystem not in FILESYSTEMS:
        found.append(_bad_filesystem(f"{where}.filesystem", filesystem))
    volumes, boot, wrong = _volumes(said, root, f"{where}.volumes")
    found += wrong
    groups, wrong = _groups(said.get("groups", {}), f"{where}.groups")
    found += wrong
    raw, wrong = _raws(said.get("raw", []), f"{where}.raw")
    found += wrong
    layout = Layout(
        simple=not {"raid", "volumes", "filesystem"} & said.keys(),
        root=root, system=system, raid=raid, volumes=volumes, boot_mib=boot, filesystem=str(filesystem),
        groups=groups, raw=raw,
    )  # fmt: skip
    found += [*_too_small(layout, where), *_same_name(layout, where)]
    found += [*_twice(layout, where), *_same_mount(layout, where)]
    return layout, found


def _bad_filesystem(where: str, said: Any) -> FieldProblem:
    fix = f"Use {' or '.join(FILESYSTEMS)}."
    return FieldProblem(where, f"{str(said)[:60]!r} is not a file system that every installer makes.", fix)


def _hints(said: Any, where: str) -> tuple[tuple[Hint, ...], list[FieldProblem]]:
    if isinstance(said, (str, Mapping)):
        said = [said]
    if not isinstance(said, Sequence) or len(said) > hints.MOST_DISKS:
        return (), [FieldProblem(where, "is not a list of hints.", f"[{hints.FIX}]")]
    found, problems = [], []
    for number, each in enumerate(said):
        hint, wrong = hints.read(each, f"{where}.{number}")
        found.append(hint)
        problems += wrong
    return (() if problems else tuple(found)), problems


def _raid(said: Any, system: tuple[Hint, ...], where: str, *, readable: bool) -> tuple[int, list[FieldProblem]]:
    raid = RAIDS.get(said) if isinstance(said, (str, int)) and not isinstance(said, bool) else None
    if raid is None:
        return 0, [FieldProblem(f"{where}.raid", f"{str(said)[:60]!r} is not possible.", "Use none, 1 or 10.")]
    if not readable:
        return raid, []
    count = sum(hint.count for hint in system)
    if raid == 1 and count < 2:
        return 0, [
            FieldProblem(f"{where}.system", f"names {count} disks; RAID 1 needs two or more.", "Name two disks.")
        ]
    if raid == 10 and (count < 4 or count % 2):
        problem = f"names {count} disks; RAID 10 needs an even number of four or more."
        return 0, [FieldProblem(f"{where}.system", problem, "Name four disks, or use raid: 1.")]
    if raid == 0 and count > 1:
        fix = "Say raid: 1 (or 10), or name one disk; others belong into groups or raw."
        return 0, [FieldProblem(f"{where}.system", f"names {count} disks without RAID.", fix)]
    return raid, []


def _volumes(said: Mapping[str, Any], root: str, where: str) -> tuple[tuple[Volume, ...], int, list[FieldProblem]]:
    default = Layout()
    if "volumes" not in said:
        return default.volumes, BOOT_MIB, []
    volumes = said["volumes"]
    if not isinstance(volumes, Mapping):
        return (
            default.volumes,
            BOOT_MIB,
            [FieldProblem(where, "is not an object.", 'Write {"/": "20G", "swap": "4G"}.')],
        )
    found: dict[str, Volume] = {}
    problems = []
    for name, size in volumes.items():
        place = f"{where}.{str(name)[:63]}"
        mount = str(name).rstrip("/") or "/"
        wrong = _bad_mount(mount)
        if mount in found:
            wrong = "is said twice.", "Say it once."
        if wrong is not None:
            problems.append(FieldProblem(place, *wrong))
            continue
        mib = None if size == REST else sizes.volume_mib(size)
        if mib is None and size != REST:
            problems.append(FieldProblem(place, f"{str(size)[:60]!r} is not a size.", sizes.VOLUME_FIX))
        found[mount] = Volume(mount, mib)
    boot = found.pop("/boot", Volume("/boot", BOOT_MIB))
    problems += _wholeness(found, boot, root, where)
    ordered = sorted(found.values(), key=lambda volume: (volume.mib is None, not volume.swap, volume.mount))
    return tuple(ordered), boot.mib or BOOT_MIB, problems


def _wholeness(found: Mapping[str, Volume], boot: Volume, root: str, where: str) -> Iterable[FieldProblem]:
    growing = [volume.mount for volume in found.values() if volume.mib is None]
    if "/" not in found:
        yield FieldProblem(where, "have no root file system.", 'Add one: "/": "20G".')
    if boot.mib is None:
        yield FieldProblem(f"{where}./boot", "cannot take the rest.", "Give it a size, or leave it out: it has 1 GiB.")
    if len(growing) > 1:
        yield FieldProblem(where, f"name {len(growing)} that take the rest: {', '.join(growing)}.", "Leave one.")
    if not growing and root == "plain":
        fix = 'Let one take the rest: "/": "rest". With root: lvm it stays free in the volume group.'
        yield FieldProblem(where, "leave space that no partition has.", fix)


def _too_small(layout: Layout, where: str) -> Iterable[FieldProblem]:
    """What no installer makes, or fits into. Without a file system said it is the release's, which may be XFS."""
    file_system = LEAST_VOLUME_MIB if layout.filesystem == "ext4" else LEAST_XFS_MIB
    if layout.raid and not layout.lvm and file_system == LEAST_XFS_MIB:
        file_system += ARRAY_MIB
    least = {"/": LEAST_ROOT_MIB, "/boot": LEAST_BOOT_MIB, SWAP: LEAST_VOLUME_MIB}
    for volume in (*layout.volumes, Volume("/boot", layout.boot_mib)):
        needed = least.get(volume.mount, file_system)
        if volume.mib is not None and volume.mib < needed:
            place = f"{where}.volumes.{volume.mount[:63]}"
            yield FieldProblem(place, f"{volume.mib} MiB are too few.", f"Write {needed}M or more.")


def _same_name(layout: Layout, where: str) -> Iterable[FieldProblem]:
    """A logical volume, or a partition and its array, is named after its mount point: two must not come to one name."""
    seen = {} if layout.lvm else dict(OUR_PARTS)
    for volume in layout.volumes:
        place = f"{where}.volumes.{volume.mount[:63]}"
        name = volume.name[:LONGEST_ARRAY] if layout.raid and not layout.lvm else volume.name
        if name in seen:
            yield FieldProblem(place, f"would be named {name}, as {seen[name]} is.", "Mount it elsewhere.")
        elif layout.lvm and name.startswith(RESERVED):
            yield FieldProblem(place, f"would be named {name}, which LVM keeps for itself.", "Mount it elsewhere.")
        seen.setdefault(name, volume.mount)


def _bad_mount(mount: str) -> tuple[str, str] | None:
    if mount == SWAP:
        return None
    if mount in OURS:
        return "is not possible.", OURS[mount]
    if not MOUNT.fullmatch(mount) or len(mount) > 100:
        return "is neither swap nor a mount point.", "Write it as /var/log."
    if any(mount == each or (mount.startswith(f"{each}/") and each != "/mnt") for each in IN_ROOT):
        return "must be on the root file system.", "Leave it out."
    return None


def _groups(said: Any, where: str) -> tuple[tuple[Group, ...], list[FieldProblem]]:
    if not isinstance(said, Mapping):
        return (), [FieldProblem(where, "is not an object.", 'Write {"cinder-volumes": {"disks": [...]}}.')]
    found, problems = [], []
    for name, what in said.items():
        place = f"{where}.{str(name)[:63]}"
        if not isinstance(name, str) or not GROUP_NAME.fullmatch(name) or name in TAKEN_NAMES or name == "..":
            fix = f"Use letters, digits and _.+- in its name, not {' or '.join(sorted(TAKEN_NAMES))}."
            problems.append(FieldProblem(place, "is not a volume group's name.", fix))
            continue
        if not isinstance(what, Mapping):
            problems.append(FieldProblem(place, "is not an object.", 'Write {"disks": [...]}.'))
            continue
        problems += [
            FieldProblem(f"{place}.{str(key)[:63]}", "is not known.", "Use disks, wipe.")
            for key in what
            if key not in ("disks", "wipe")
        ]
        disks, wrong = _hints(what.get("disks", []), f"{place}.disks")
        problems += wrong
        if not disks and not wrong:
            problems.append(FieldProblem(f"{place}.disks", "names no disk.", f"[{hints.FIX}]"))
        problems += _flag(what, "wipe", place)
        found.append(Group(name, disks, wipe=what.get("wipe") is True))
    return tuple(found), problems


def _raws(said: Any, where: str) -> tuple[tuple[Raw, ...], list[FieldProblem]]:
    if isinstance(said, (str, Mapping)):
        said = [said]
    if not isinstance(said, Sequence) or len(said) > MOST_RAW:
        return (), [FieldProblem(where, "is not a list of hints.", f"[{hints.FIX}]")]
    found, problems = [], []
    for number, each in enumerate(said):
        place = f"{where}.{number}"
        hint, wrong = hints.read(each, place, more=("format", "mount", "wipe"))
        problems += wrong
        about = each if isinstance(each, Mapping) else {}
        filesystem, mount = about.get("format", ""), about.get("mount", "")
        if filesystem and filesystem not in FILESYSTEMS:
            problems.append(_bad_filesystem(f"{place}.format", filesystem))
        problems += [*_flag(about, "wipe", place), *_raw_mount(mount, hint, place)]
        if not filesystem:
            problems += [
                FieldProblem(f"{place}.{key}", "means nothing where nothing is written.", 'Add "format": "xfs".')
                for key in ("mount", "wipe", "count")
                if about.get(key)
            ]
        found.append(Raw(hint, str(filesystem), str(mount), wipe=about.get("wipe") is True))
    return tuple(found), problems


def _raw_mount(mount: Any, hint: Hint, place: str) -> Iterable[FieldProblem]:
    if not mount:
        return
    if not isinstance(mount, str) or not NUMBERED.fullmatch(mount) or mount.count("*") > 1:
        yield FieldProblem(f"{place}.mount", f"{str(mount)[:60]!r} is not a mount point.", "Write /srv/node/d1.")
    elif (wrong := _bad_mount(mount.replace("*", "1"))) is not None:
        yield FieldProblem(f"{place}.mount", *wrong)
    elif hint.count > 1 and "*" not in mount:
        yield FieldProblem(f"{place}.mount", f"is one place for {hint.count} disks.", "Number them: /srv/node/d*.")


def _flag(said: Mapping[str, Any], name: str, place: str) -> Iterable[FieldProblem]:
    if name in said and not isinstance(said[name], bool):
        yield FieldProblem(f"{place}.{name}", "is neither true nor false.", "Write true or false.")


def places(layout: Layout) -> Iterable[tuple[str, Hint]]:
    """Every hint with the part of the layout that it stands in."""
    for number, hint in enumerate(layout.system):
        yield f"system.{number}", hint
    for group in layout.groups:
        for number, hint in enumerate(group.disks):
            yield f"groups.{group.name}.disks.{number}", hint
    for number, raw in enumerate(layout.raw):
        yield f"raw.{number}", raw.hint


def _twice(layout: Layout, where: str) -> Iterable[FieldProblem]:
    """The same disk in two places, as far as that can be told without a machine."""
    seen: dict[tuple[str, object], str] = {}
    for place, hint in places(layout):
        names: list[tuple[str, object]] = [
            (name, value) for name in ("path", "serial", "wwn") if (value := getattr(hint, name))
        ]
        if not hint.names_one:
            names = [("hint", (hint.model, hint.least, hint.most, hint.rotational, hint.extreme))]
        for key in names:
            first = seen.setdefault(key, place)
            if first != place and not (key[0] == "hint" and place.startswith("raw") and first.startswith("raw")):
                fix = "Name each disk once; where one hint means several disks, add a count."
                yield FieldProblem(f"{where}.{place}", f"is the same as {first}.", fix)
                break


def _same_mount(layout: Layout, where: str) -> Iterable[FieldProblem]:
    taken = {volume.mount for volume in layout.volumes} | {"/boot"}
    for number, raw in enumerate(layout.raw):
        if not raw.mount:
            continue
        for place in mounts(raw):
            if place in taken:
                yield FieldProblem(f"{where}.raw.{number}.mount", f"{place} is mounted already.", "Choose another.")
            taken.add(place)


def mounts(raw: Raw) -> tuple[str, ...]:
    """Where its disks are mounted, one after the other."""
    if not raw.mount:
        return ()
    return tuple(raw.mount.replace("*", str(number + 1)) for number in range(raw.hint.count))
