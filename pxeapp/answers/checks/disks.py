"""A kickstart's storage, checked for what pykickstart does not relate: disks, sizes, and what is made of what."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from pxeapp.answers.checks.lines import Command, Kickstart
from pxeapp.faults import Fault

KIND = "kickstart"
LARGEST_MIB = 1024**3  # a pebibyte
# Where a partition may name its disk, a disk to boot from, or one to clear.
DISK_OPTIONS = {
    "part": ("--ondisk", "--ondrive"),
    "partition": ("--ondisk", "--ondrive"),
    "bootloader": ("--boot-drive", "--driveorder"),
    "clearpart": ("--drives",),
    "reqpart": (),
}
ONLY = "--only-use"


def check(handler: Any, found: Kickstart) -> Iterator[Fault]:
    """Every fault of the storage; where something is included that was not read, only what that cannot mend."""
    yield from _allowed(found)
    yield from _cleared(found)
    parts = handler.partition.partitions
    yield from _sizes(parts, "part")
    yield from _sizes(handler.logvol.lvList, "logvol")
    if found.whole:
        yield from _made_of(handler, parts)
        yield from _mounted(handler, found, parts)


def _allowed(found: Kickstart) -> Iterator[Fault]:
    """No line names a disk that `ignoredisk --only-use` leaves out."""
    allowed = [disk for command in found.named("ignoredisk") for disk in _disks(command.value(ONLY))]
    ignored = [disk for command in found.named("ignoredisk") for disk in _disks(command.value("--drives"))]
    for command in found.commands:
        for option in DISK_OPTIONS.get(command.name, ()):
            for disk in _disks(command.value(option)):
                if allowed and not any(_same(disk, each) for each in allowed):
                    yield _fault(
                        command,
                        f"{command.name} {option} names {disk}, which ignoredisk {ONLY} leaves out.",
                        f"Name one of {', '.join(allowed)}, or add it to ignoredisk.",
                    )
                elif any(_same(disk, each) for each in ignored):
                    yield _fault(command, f"{command.name} {option} names {disk}, which is ignored.", "Name another.")


def _cleared(found: Kickstart) -> Iterator[Fault]:
    """Nothing clears disks that nobody has named: data disks are beside the system's."""
    bounded = any(command.value(ONLY) or command.value("--drives") for command in found.named("ignoredisk"))
    fix = "Add --drives=DISK, or ignoredisk --only-use=DISK."
    if bounded or found.unknown:
        return
    for command in found.named("clearpart"):
        wipes = {"--all", "--linux"} & {*command.words}
        if wipes and not command.value("--drives") and not command.value("--list"):
            yield _fault(command, "clearpart names no disk, so every disk of the machine is wiped.", fix)
    if not found.named("ignoredisk"):
        for command in found.named("zerombr", "autopart"):
            problem = f"{command.name} without ignoredisk takes every disk of the machine."
            if command.name == "autopart" or not any(each.value("--drives") for each in found.named("clearpart")):
                yield _fault(command, problem, "Add: ignoredisk --only-use=DISK")


def _sizes(rows: Iterable[Any], command: str) -> Iterator[Fault]:
    for row in rows:
        size, most = row.size or 0, row.maxSizeMB or 0
        shown = row.mountpoint or getattr(row, "name", "") or command
        if size < 0 or size > LARGEST_MIB or most > LARGEST_MIB:
            yield Fault(
                KIND, row.lineno, f"{shown} has a size that is not possible: {max(size, most)} MiB.", "Write MiB."
            )
        elif most and most < size:
            problem = f"{shown} is at least {size} MiB and at most {most}."
            yield Fault(KIND, row.lineno, problem, "Make --maxsize the larger one.")
        percent = getattr(row, "percent", 0) or 0
        given = (size, percent, row.recommended, getattr(row, "hibernation", False), row.resize)
        reused = getattr(row, "onPart", "") or getattr(row, "preexist", False)
        if not any(given) and not reused:
            yield Fault(
                KIND, row.lineno, f"{command} {shown} has no size.", "Add --size=MIB; to fill the disk, --grow too."
            )


def _made_of(handler: Any, parts: list[Any]) -> Iterator[Fault]:
    """Arrays, groups and volumes are made of what there is, and each piece is used once."""
    arrays = handler.raid.raidList
    pieces = {row.mountpoint: row.lineno for row in parts if row.mountpoint.startswith(("pv.", "raid.", "btrfs."))}
    pieces |= {row.mountpoint: row.lineno for row in arrays if row.mountpoint.startswith("pv.")}
    used: Counter[str] = Counter()
    groups: dict[str, Any] = {}
    for row in arrays:
        for member in row.members:
            used[member] += 1
            if member not in pieces and not getattr(row, "preexist", False):
                yield _undefined(row, f"raid {row.mountpoint}", member, pieces, f"part {member} --size=…")
        yield from _enough(row)
    for row in handler.volgroup.vgList:
        if row.vgname in groups:
            yield Fault(KIND, row.lineno, f"The volume group {row.vgname} is made twice.", "Name all its parts in one.")
        groups[row.vgname] = row
        for piece in row.physvols:
            used[piece] += 1
            if piece not in pieces:
                yield _undefined(row, f"volgroup {row.vgname}", piece, pieces, f"part {piece} --size=… --grow")
    for piece, times in used.items():
        if times > 1:
            yield Fault(KIND, pieces.get(piece, 0), f"{piece} is used {times} times.", "Use each piece once.")
    for piece, line in pieces.items():
        if piece not in used and not piece.startswith("btrfs."):
            yield Fault(KIND, line, f"{piece} is made, and nothing is made of it.", "Use it in raid or volgroup.")
    yield from _volumes(handler.logvol.lvList, groups)


def _enough(row: Any) -> Iterator[Fault]:
    fewest = {"RAID0": 2, "RAID1": 2, "RAID5": 3, "RAID6": 4, "RAID10": 4}.get(str(row.level).upper(), 1)
    if row.members and len(row.members) - int(row.spares or 0) < fewest:
        problem = f"{row.level} of {len(row.members)} members is not possible."
        yield Fault(KIND, row.lineno, problem, f"Name at least {fewest}.")


def _volumes(volumes: list[Any], groups: dict[str, Any]) -> Iterator[Fault]:
    pools = {(row.vgname, row.name) for row in volumes if getattr(row, "thin_pool", False)}
    names: Counter[tuple[str, str]] = Counter()
    for row in volumes:
        names[row.vgname, row.name] += 1
        if names[row.vgname, row.name] > 1:
            yield Fault(KIND, row.lineno, f"{row.vgname} has two volumes named {row.name}.", "Name one otherwise.")
        if row.vgname not in groups and not getattr(row, "preexist", False):
            yield _undefined(row, f"logvol {row.mountpoint}", row.vgname, groups, f"volgroup {row.vgname} pv.…")
        pool = getattr(row, "pool_name", None)
        if pool and (row.vgname, pool) not in pools:
            yield _undefined(row, f"logvol {row.mountpoint}", pool, [name for _, name in pools], "logvol … --thinpool")


def _mounted(handler: Any, found: Kickstart, parts: list[Any]) -> Iterator[Fault]:
    """There is a root file system, and no place is mounted twice."""
    rows = [*parts, *handler.logvol.lvList, *handler.raid.raidList]
    at: dict[str, int] = {}
    for row in rows:
        if row.mountpoint.startswith("/"):
            if row.mountpoint in at:
                problem = f"{row.mountpoint} is mounted twice, first in line {at[row.mountpoint]}."
                yield Fault(KIND, row.lineno, problem, "Keep one of them.")
            at.setdefault(row.mountpoint, row.lineno)
    others = found.named("autopart", "ostreecontainer", "btrfs", "stratisfs", "mount", "liveimg")
    if "/" not in at and not others:
        yield Fault(
            KIND, 0, "No root file system is made, so Anaconda would stop and ask.", "Add: part / --size=4096 --grow"
        )


def _undefined(row: Any, who: str, name: str, known: Iterable[str], fix: str) -> Fault:
    there = ", ".join(sorted(known)) or "none"
    return Fault(KIND, row.lineno, f"{who} uses {name}, which is not made; there is: {there}.", f"Add: {fix}")


def _disks(said: str | None) -> list[str]:
    return [disk.strip().removeprefix("/dev/") for disk in (said or "").replace("|", ",").split(",") if disk.strip()]


def _same(disk: str, pattern: str) -> bool:
    """Anaconda allows wildcards; a shell variable stands for what %pre has found, and is compared as it is written."""
    return disk == pattern or fnmatch.fnmatchcase(disk, pattern)


def _fault(command: Command, problem: str, fix: str) -> Fault:
    return Fault(KIND, command.line, problem, fix)
