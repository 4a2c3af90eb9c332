"""Hints: which disk is meant, by what it is rather than by the name that the kernel happens to give it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pxeapp.answers.storage import sizes
from pxeapp.errors import FieldProblem

PATH = re.compile(r"(?:/dev/)?(disk/by-(?:path|id)/[A-Za-z0-9._:+-]{1,200}|[a-z0-9]{2,32})")
SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,99}")
WWN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{3,99}")
MODEL = re.compile(r"[A-Za-z0-9*?][A-Za-z0-9 ._*?:/+-]{0,99}")
WWN_PREFIXES = ("0x", "naa.", "eui.")
EXTREMES = ("smallest", "largest")
MOST_DISKS = 64
KEYS = ("path", "serial", "wwn", "model", "size", "rotational")
FIX = f'Write {{"serial": "..."}}, or combine {", ".join(KEYS)}.'
_TEXTS: dict[str, tuple[re.Pattern[str], str]] = {
    "path": (PATH, "Write disk/by-path/..., disk/by-id/... or a name such as sda."),
    "serial": (SERIAL, "Write the serial number as lsblk -o SERIAL shows it, in quotes."),
    "wwn": (WWN, "Write it as lsblk -o WWN shows it, in quotes: 0x5000c500a1b2c3d4."),
    "model": (MODEL, "Write the model as lsblk -o MODEL shows it; * and ? stand for what differs."),
}


@dataclass(frozen=True, slots=True)
class Hint:
    """One or `count` disks; what is not said fits any. Texts are lower case, since tools disagree about theirs."""

    path: str = ""
    serial: str = ""
    wwn: str = ""
    model: str = ""
    least: int | None = None  # bytes
    most: int | None = None
    rotational: bool | None = None
    extreme: str = ""  # smallest, largest
    count: int = 1

    @property
    def names_one(self) -> bool:
        """Whether it is about one certain disk, whatever else that is: also one that could be pulled out."""
        return bool(self.path or self.serial or self.wwn)

    def __str__(self) -> str:
        said = [f"{name} {value}" for name in ("path", "serial", "wwn", "model") if (value := getattr(self, name))]
        if self.least is not None:
            said.append(f"at least {sizes.shown(self.least)}")
        if self.most is not None:
            said.append(f"at most {sizes.shown(self.most)}")
        if self.rotational is not None:
            said.append("rotational" if self.rotational else "not rotational")
        if self.extreme:
            said.append(f"the {self.extreme}")
        return ", ".join(said) or "any fixed disk"


def read(said: Any, where: str, *, more: tuple[str, ...] = ()) -> tuple[Hint, list[FieldProblem]]:
    """A hint, and what is wrong with it; a text is a path. `more` names keys that are somebody else's."""
    if isinstance(said, str):
        said = {"path": said}
    if not isinstance(said, Mapping):
        return Hint(), [FieldProblem(where, "is not a hint.", FIX)]
    problems = [
        FieldProblem(f"{where}.{str(key)[:63]}", "is not known.", f"Use {', '.join((*KEYS, 'count', *more))}.")
        for key in said
        if key not in (*KEYS, "count", *more)
    ]
    values: dict[str, Any] = {}
    for name, (pattern, fix) in _TEXTS.items():
        if name in said:
            value, wrong = _text(said[name], pattern)
            problems += [FieldProblem(f"{where}.{name}", problem, fix) for problem in wrong]
            values[name] = _normal(name, value)
    problems += _others(said, where, values)
    if not problems and not any(key in said for key in KEYS):
        problems.append(FieldProblem(where, "says nothing of the disk.", FIX))
    return (Hint() if problems else Hint(**values)), problems


def _text(value: Any, pattern: re.Pattern[str]) -> tuple[str, list[str]]:
    if isinstance(value, int) and not isinstance(value, bool):
        return "", [f"{value} is a number; YAML may have changed it."]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        return "", [f"{str(value)[:60]!r} is not possible."]
    return value, []


def _normal(name: str, value: str) -> str:
    if name == "path":
        return value.removeprefix("/dev/")
    value = value.lower()
    if name == "model":
        return re.sub(r"[ _]+", "_", value.strip())
    if name == "wwn":
        for prefix in WWN_PREFIXES:
            value = value.removeprefix(prefix)
    return value


def _others(said: Mapping[str, Any], where: str, values: dict[str, Any]) -> Iterable[FieldProblem]:
    size = said.get("size")
    if size in EXTREMES:
        values["extreme"] = size
    elif "size" in said:
        found = sizes.disk_range(size)
        if found is None:
            yield FieldProblem(f"{where}.size", f"{str(size)[:60]!r} is not a size.", sizes.DISK_FIX)
        else:
            values["least"], values["most"] = found
    if "rotational" in said:
        if not isinstance(said["rotational"], bool):
            yield FieldProblem(f"{where}.rotational", "is neither true nor false.", "Write true (spins) or false.")
        values["rotational"] = said["rotational"]
    count = said.get("count", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_DISKS:
        yield FieldProblem(f"{where}.count", "is not a number of disks.", f"Write 1 to {MOST_DISKS}.")
    elif count > 1 and (values.get("extreme") or any(values.get(name) for name in ("path", "serial", "wwn"))):
        yield FieldProblem(f"{where}.count", f"{count} disks cannot all be that one.", "Leave it out.")
    values["count"] = count
