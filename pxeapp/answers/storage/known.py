"""A layout against what we know of a machine's disks: what cannot be right is refused before anything is deployed.

The hints are gone through in the order in which the machine's own script (boot/_disks.sh) does. Of a disk that
somebody has only named by its path we know no more than that: whatever a hint asks besides is open. While there is one,
there may be others that nobody has named, so that a hint which fits too few is no mistake.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from pxeapp.answers.storage.hints import WWN_PREFIXES, Hint
from pxeapp.answers.storage.language import places
from pxeapp.answers.storage.layout import Layout
from pxeapp.answers.storage.sizes import MIB, shown
from pxeapp.errors import FieldProblem
from pxeapp.machines.disks import KnownDisk as Disk

__all__ = ["Disk", "fits", "problems"]

PURPOSES = ("data", "keep")  # disks that no installer writes to
KEPT = "is to be kept"
TAKEN = "is used already"
LISTED = "Correct it, or add the disk that you mean to the machine's disks.free."


@lru_cache(maxsize=4096)
def problems(layout: Layout, disks: tuple[Disk, ...], where: str = "layout") -> tuple[FieldProblem, ...]:
    """Every hint that means a disk to keep or another number of disks than it says, and what is too small."""
    return (*_Choice(layout, disks, where).problems(), *_also_raw(layout, disks, where))


class _Choice:
    """The disks that are left, hint by hint."""

    def __init__(self, layout: Layout, disks: tuple[Disk, ...], where: str) -> None:
        self._layout = layout
        self._disks = disks
        self._where = where
        self._paths = frozenset(disk.path for disk in disks)
        self._whole = bool(disks) and all(disk.described for disk in disks)  # whoever describes disks, lists them all
        self._gone: dict[str, str] = {}  # by path: why no hint can mean it any more
        self._doubtful: set[str] = set()  # paths of disks that an earlier hint may mean

    def problems(self) -> Iterator[FieldProblem]:
        """What is wrong, in the order of the hints."""
        self._keep()
        if not self._layout.system:
            yield from self._own()
        written = {f"raw.{number}" for number, raw in enumerate(self._layout.raw) if raw.filesystem}
        for place, hint in places(self._layout):
            if not place.startswith("raw.") or place in written:
                yield from self._hint(hint, f"{self._where}.{place}", system=place.startswith("system."))

    def _keep(self) -> None:
        self._gone = {disk.path: KEPT for disk in self._disks if disk.purpose in PURPOSES}
        for hint in self._layout.untouched:
            for disk in self._disks:
                fit = self._fits(hint, disk)
                if fit:
                    self._gone[disk.path] = KEPT
                elif fit is None:
                    self._doubtful.add(disk.path)

    def _own(self) -> Iterator[FieldProblem]:
        """The machine's own system disk; else the first that nobody can pull out, and nobody here knows which."""
        own = [disk for disk in self._disks if disk.purpose == "system"][:1]
        yield from self._too_small(own)
        self._gone |= {disk.path: TAKEN for disk in own}
        if not own:
            self._doubtful |= self._paths

    def _hint(self, hint: Hint, where: str, *, system: bool) -> Iterator[FieldProblem]:
        meant = [(disk, fit) for disk in self._disks if (fit := self._fits(hint, disk)) is not False]
        kept = [disk for disk, fit in meant if fit and disk.purpose in PURPOSES] if hint.names_one else []
        for disk in kept:
            fix = "Take it out of the machine's disks there, or mean another one here."
            yield FieldProblem(where, f"means {disk.path}, which is one of the machine's disks to {_verb(disk)}.", fix)
        left = [(disk, fit) for disk, fit in meant if disk.path not in self._gone]
        certain = [disk for disk, fit in left if fit and disk.path not in self._doubtful]
        open_ones = [disk for disk, _ in left if disk not in certain]
        if hint.extreme:
            certain, open_ones = _outermost(hint, certain, open_ones)
        if len(certain) > hint.count:
            which = ", ".join(disk.path for disk in certain)
            fix = "Say more of the disk that you mean, for example its serial; or say a count."
            yield FieldProblem(where, f"is ambiguous: {len(certain)} of the machine's disks fit ({which}).", fix)
        elif self._whole and len(certain) + len(open_ones) < hint.count and not kept:
            yield FieldProblem(where, self._too_few(hint, [*certain, *open_ones], meant), LISTED)
        elif len(certain) == hint.count:
            self._gone |= {disk.path: TAKEN for disk in certain}
        else:
            self._gone |= {disk.path: TAKEN for disk in certain}
            self._doubtful |= {disk.path for disk in open_ones}
        if system:
            yield from self._limit(hint, where)
            yield from self._too_small(certain if len(certain) <= hint.count else [])

    def _too_few(self, hint: Hint, left: Sequence[Disk], meant: Sequence[tuple[Disk, bool | None]]) -> str:
        others = "".join(f" {disk.path} would, but {self._gone[disk.path]}." for disk, _ in meant if disk not in left)
        if not left:
            return f"fits none of the machine's disks ({hint}).{others}"
        return f"must fit {hint.count} of the machine's disks, but only {len(left)} can be meant ({hint}).{others}"

    def _limit(self, hint: Hint, where: str) -> Iterator[FieldProblem]:
        needed = self._layout.needed_mib * MIB
        if hint.most is not None and hint.most < needed:
            problem = f"asks for {shown(hint.most)} at most, but the volumes need {shown(needed)}."
            yield FieldProblem(where, problem, "Make the volumes smaller, or the disk larger.")

    def _too_small(self, disks: Iterable[Disk]) -> Iterator[FieldProblem]:
        needed = self._layout.needed_mib * MIB
        for disk in disks:
            if disk.size is not None and disk.size < needed:
                problem = f"need {shown(needed)} on each disk, but {disk.path} has {shown(disk.size)}."
                fix = "Make them smaller, or name a larger disk."
                yield FieldProblem(f"{self._where}.volumes", problem, fix)

    def _fits(self, hint: Hint, disk: Disk) -> bool | None:
        if hint.path and hint.path != disk.path and hint.path in self._paths:
            return False  # another of the machine's disks is there
        return fits(hint, disk)


def _verb(disk: Disk) -> str:
    return "keep" if disk.purpose == "keep" else "hold data"


def _outermost(hint: Hint, certain: list[Disk], open_ones: list[Disk]) -> tuple[list[Disk], list[Disk]]:
    """The smallest or the largest, if we know all that it is compared with."""
    known = {disk: disk.size for disk in certain if disk.size is not None}
    if open_ones or len(known) < len(certain) or not known:
        return [], [*certain, *open_ones]
    size = min(known.values()) if hint.extreme == "smallest" else max(known.values())
    return [disk for disk in certain if disk.size == size], []


def _also_raw(layout: Layout, disks: Sequence[Disk], where: str) -> Iterable[FieldProblem]:
    """The machine's own system disk cannot be one that the layout leaves alone."""
    if layout.system:
        return
    for number, raw in enumerate(layout.raw):
        for disk in disks:
            if disk.purpose == "system" and not raw.filesystem and fits(raw.hint, disk) is True:
                fix = "Name another system disk, or take the hint out."
                yield FieldProblem(f"{where}.raw.{number}", f"means {disk.path}, which the system goes on.", fix)


def fits(hint: Hint, disk: Disk) -> bool | None:
    """Whether a disk is meant; None where we do not know enough of it."""
    answers: list[bool | None] = []
    if hint.path:
        answers.append(True if hint.path == disk.path else None)  # a disk has several paths
    if hint.serial:
        answers.append(_like(hint.serial, (disk.serial or "").lower()))
    if hint.wwn:
        answers.append(_like(hint.wwn, _wwn(disk.wwn or "")))
    if hint.model:
        answers.append(_model(hint.model, disk.model or ""))
    if hint.least is not None or hint.most is not None:
        low, high = hint.least or 0, hint.most
        answers.append(None if disk.size is None else low <= disk.size and (high is None or disk.size <= high))
    if hint.rotational is not None:
        answers.append(None if disk.rotational is None else hint.rotational == disk.rotational)
    if False in answers:
        return False
    return None if None in answers else True


def _like(asked: str, known: str) -> bool | None:
    """Kernel and udev write one number with and without the model before it, a WWN with and without its extension."""
    if asked == known:
        return True
    return None if not known or asked in known or known in asked or "nvme." in (asked[:5], known[:5]) else False


def _wwn(text: str) -> str:
    text = text.lower()
    for prefix in WWN_PREFIXES:
        text = text.removeprefix(prefix)
    return text


def _model(asked: str, said: str) -> bool | None:
    known = re.sub(r"[ _]+", "_", said.strip().lower())
    if known and fnmatch.fnmatchcase(known, asked):
        return True
    # The kernel keeps 16 characters of a SATA disk's model, udev all of them.
    plain = re.split(r"[*?]", asked, maxsplit=1)[0]
    return None if not known or plain.startswith(known) or (plain == asked and known.startswith(asked)) else False
