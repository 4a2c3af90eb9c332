"""A layout against what we know of a machine's disks: what cannot be right is refused before anything is deployed.

Of a disk that somebody has only named by its path we know no more than that: whatever a hint asks besides is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pxeapp.answers.storage.hints import Hint
from pxeapp.answers.storage.language import places
from pxeapp.answers.storage.layout import Layout
from pxeapp.answers.storage.sizes import MIB, shown
from pxeapp.errors import FieldProblem

PURPOSES = ("data", "keep")  # disks that no installer writes to


@dataclass(frozen=True, slots=True)
class Disk:
    """What a machine's row says of one of its disks."""

    path: str
    purpose: str = "system"
    serial: str = ""
    size: int | None = None


def problems(layout: Layout, disks: Sequence[Disk], where: str = "layout") -> Iterable[FieldProblem]:
    """Every hint that means a disk which is to be kept, or more disks than it may, and what is too small."""
    written = {f"raw.{number}" for number, raw in enumerate(layout.raw) if raw.filesystem}
    for place, hint in places(layout):
        if place.startswith("raw.") and place not in written:
            continue
        yield from _hint(hint, disks, f"{where}.{place}")
    yield from _sizes(layout, disks, where)
    yield from _also_raw(layout, disks, where)


def _hint(hint: Hint, disks: Sequence[Disk], where: str) -> Iterable[FieldProblem]:
    certain = [disk for disk in disks if fits(hint, disk) is True]
    for disk in certain:
        if disk.purpose in PURPOSES and hint.names_one:
            fix = "Take it out of the machine's disks there, or mean another one here."
            yield FieldProblem(where, f"means {disk.path}, which is one of the machine's disks to {_verb(disk)}.", fix)
    free = [disk for disk in certain if disk.purpose not in PURPOSES]
    if len(free) > hint.count and not hint.extreme:
        which = ", ".join(disk.path for disk in free)
        fix = "Say more of the disk that you mean, for example its serial; or say a count."
        yield FieldProblem(where, f"is ambiguous: {len(free)} of the machine's disks fit ({which}).", fix)


def _verb(disk: Disk) -> str:
    return "keep" if disk.purpose == "keep" else "hold data"


def _sizes(layout: Layout, disks: Sequence[Disk], where: str) -> Iterable[FieldProblem]:
    needed = layout.needed_mib * MIB
    if layout.system:
        meant = [disk for hint in layout.system for disk in disks if hint.names_one and fits(hint, disk) is True]
    else:
        meant = [disk for disk in disks if disk.purpose == "system"][:1]
    for disk in meant:
        if disk.size is not None and disk.size < needed:
            problem = f"need {shown(needed)} on each disk, but {disk.path} has {shown(disk.size)}."
            yield FieldProblem(f"{where}.volumes", problem, "Make them smaller, or name a larger disk.")
    for number, hint in enumerate(layout.system):
        if hint.most is not None and hint.most < needed:
            problem = f"asks for {shown(hint.most)} at most, but the volumes need {shown(needed)}."
            yield FieldProblem(f"{where}.system.{number}", problem, "Make the volumes smaller, or the disk larger.")


def _also_raw(layout: Layout, disks: Sequence[Disk], where: str) -> Iterable[FieldProblem]:
    """The machine's own system disk cannot be one that the layout leaves alone."""
    if layout.system:
        return
    for number, raw in enumerate(layout.raw):
        for disk in disks:
            if disk.purpose == "system" and fits(raw.hint, disk) is True:
                fix = "Name another system disk, or take the hint out."
                yield FieldProblem(f"{where}.raw.{number}", f"means {disk.path}, which the system goes on.", fix)


def fits(hint: Hint, disk: Disk) -> bool | None:
    """Whether a disk is meant; None where we do not know enough of it."""
    answers: list[bool | None] = []
    if hint.path:
        answers.append(True if hint.path == disk.path else None)  # a disk has several paths
    if hint.serial:
        answers.append(hint.serial == disk.serial.lower() if disk.serial else None)
    if hint.least is not None or hint.most is not None:
        low, high = hint.least or 0, hint.most
        answers.append(None if disk.size is None else low <= disk.size and (high is None or disk.size <= high))
    if hint.wwn or hint.model or hint.rotational is not None or hint.extreme:
        answers.append(None)
    if False in answers:
        return False
    return None if None in answers else True
