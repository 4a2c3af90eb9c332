"""partman's recipes: what `partman-auto/expert_recipe` and `partman-auto-raid/recipe` may say.

partman corrects what it cannot read without a word: a size becomes larger than any disk, a file system ext2, and a
stanza without its closing dot is dropped. Source: partman-auto's recipes.sh and partman-auto-raid.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

Wrong = tuple[str, str]  # what is wrong, what to write instead

SIZE = re.compile(r"\d+|\d+%|\d+\+\d+%")
SYSTEMS = ("btrfs", "ext2", "ext3", "ext4", "xfs", "jfs", "linux-swap", "fat16", "fat32", "hfs", "free")
ANY_SYSTEM = ("$default_filesystem",)
METHODS = ("format", "keep", "swap", "efi", "biosgrub", "lvm", "raid", "crypto", "newworld", "prep")
SPECIFIERS = (
    "method", "format", "use_filesystem", "filesystem", "mountpoint", "label", "device", "lv_name", "in_vg", "vg_name",
    "reserved_for_root", "usage", "bootable", "name", "$primary", "$bootable", "$legacy_boot", "$lvmok", "$lvmignore",
    "$defaultignore", "$iflabel", "$reusemethod", "$reuse", "$default_filesystem", "$gptonly", "$msdosonly",
    "$prep_bootable", "$raid",
)  # fmt: skip
RAID_LEVELS = {"0": 2, "1": 2, "5": 3, "6": 4, "10": 2}


@dataclass(slots=True)
class Stanza:
    """One partition or volume: its three sizes, its file system, and what is said of it in braces."""

    words: list[str]
    said: dict[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """How it is named in a complaint."""
        return self.said.get("mountpoint") or self.said.get("lv_name") or " ".join(self.words[:4])


def partitions(recipe: str) -> Iterator[Wrong]:
    """What is wrong with an expert recipe."""
    words = recipe.split()
    heads = [at for at, word in enumerate(words) if word in ("::", ":")]
    if len(heads) != 1 or heads[0] == 0:
        yield "The recipe has no name, or two.", "Begin it with one name: site-disks :: 1 1 1 free … ."
        return
    rest = words[heads[0] + 1 :]
    if not rest or rest[-1] != ".":
        yield "The last stanza has no closing dot, so partman drops it.", "End each stanza with a dot of its own: … } ."
    stanzas: list[Stanza] = []
    taken: list[str] = []
    for word in rest:
        if word == ".":
            stanza = Stanza(taken)
            stanzas.append(stanza)
            yield from _stanza(stanza)
            taken = []
        else:
            taken.append(word)
    yield from _together(stanzas)


def _stanza(stanza: Stanza) -> Iterator[Wrong]:
    words = stanza.words
    if len(words) < 4:
        yield f"{' '.join(words)!r} is no stanza.", "Begin it with: minimum priority maximum filesystem"
        return
    for name, word in zip(("minimum", "priority", "maximum"), words[:3], strict=True):
        if not SIZE.fullmatch(word) and not (name == "maximum" and word == "-1"):
            yield (
                f"The {name} {word!r} is no size.",
                "Write megabytes, a percentage of the memory as 100%, or -1 as maximum.",
            )
    lowest, _, highest = words[:3]
    if lowest.isdigit() and highest.isdigit() and int(highest) < int(lowest):
        yield f"The maximum {highest} is less than the minimum {lowest}.", "Make the maximum the larger one."
    if words[3] not in (*SYSTEMS, *ANY_SYSTEM):
        yield f"{words[3]!r} is no file system here: partman would make ext2.", f"Write one of {', '.join(SYSTEMS)}."
    yield from _braces(stanza)
    yield from _used(stanza)


def _used(stanza: Stanza) -> Iterator[Wrong]:
    """What a partition or volume is made for."""
    said, words = stanza.said, stanza.words
    method = said.get("method")
    if method is not None and method not in METHODS:
        yield f"{method!r} is no method.", f"Write one of {', '.join(METHODS)}."
    if "mountpoint" in said:
        for needed in ("use_filesystem", "filesystem"):
            if needed not in said and not (needed == "filesystem" and "$default_filesystem" in said):
                yield (
                    f"{stanza.shown} is mounted without {needed}.",
                    f"Add {needed}{{ {'ext4 ' * (needed[0] == 'f')}}}.",
                )
        if not said["mountpoint"].startswith("/"):
            yield f"The mount point {said['mountpoint']!r} does not begin with a slash.", "Write it as /var."
    if method == "format" and "format" not in said:
        yield f"{stanza.shown} has the method format and is not formatted.", "Add format{ }."
    if said.get("filesystem", words[3]) not in (*SYSTEMS, *ANY_SYSTEM):
        yield f"{said['filesystem']!r} is no file system.", f"Write one of {', '.join(SYSTEMS)}."
    if ("in_vg" in said or "lv_name" in said) and "$lvmok" not in said:
        yield f"{stanza.shown} is a volume that may not be one.", "Add $lvmok{ }."


def _braces(stanza: Stanza) -> Iterator[Wrong]:
    name = ""
    inside: list[str] = []
    for word in stanza.words[4:]:
        if name:
            if word == "}":
                stanza.said[name] = " ".join(inside)
                name, inside = "", []
            else:
                inside.append(word)
        elif word.endswith("{"):
            name = word[:-1]
            if name not in SPECIFIERS and not name.startswith("options/"):
                near = difflib.get_close_matches(name, SPECIFIERS, n=1)
                yield f"partman knows no {name}{{ }}.", f"Write {near[0]}{{ }}." if near else "Take it out."
        elif "{" in word or "}" in word:
            yield f"{word!r} is not read: braces stand alone.", "Put blanks inside the braces: method{ format }"
        else:
            yield f"{word!r} stands outside of braces.", "Take it out, or write name{ value }."
    if name:
        yield f"{name}{{ is not closed before the dot.", "Add a brace with blanks around it: }"


def _together(stanzas: list[Stanza]) -> Iterator[Wrong]:
    mounted = [stanza.said["mountpoint"] for stanza in stanzas if "mountpoint" in stanza.said]
    # Stanzas for one kind of disk label each may mount the same place.
    plain = [each.said["mountpoint"] for each in stanzas if "mountpoint" in each.said and "$iflabel" not in each.said]
    for place in sorted({place for place in plain if plain.count(place) > 1}):
        yield f"{place} is mounted twice.", "Keep one of the stanzas."
    if "/" not in mounted and not any(stanza.said.get("method") in ("raid", "lvm", "crypto") for stanza in stanzas):
        yield "No stanza is mounted at /, so partman stops and asks.", "Add a stanza with mountpoint{ / }."
    groups = {stanza.said["vg_name"] for stanza in stanzas if "vg_name" in stanza.said}
    for stanza in stanzas:
        group = stanza.said.get("in_vg")
        if group and groups and group not in groups:
            there = ", ".join(sorted(groups))
            yield f"{stanza.shown} is in the volume group {group}, which no stanza makes.", f"There is: {there}."


def arrays(recipe: str) -> Iterator[Wrong]:
    """What is wrong with a RAID recipe: level, number of disks and spares, file system, mount point, disks, a dot."""
    words = recipe.split()
    if not words or words[-1] != ".":
        yield (
            "The last array has no closing dot, so it is dropped.",
            "End each array with a dot: … /dev/sda1#/dev/sdb1 .",
        )
    taken: list[str] = []
    for word in words:
        if word == ".":
            yield from _array(taken)
            taken = []
        else:
            taken.append(word)


def _array(words: list[str]) -> Iterator[Wrong]:
    if len(words) not in (6, 7):
        yield (
            f"{' '.join(words)!r} is no array.",
            "Write: level disks spares filesystem mountpoint /dev/sda1#/dev/sdb1 .",
        )
        return
    level, count, spares, system, mountpoint, devices = words[:6]
    if level not in RAID_LEVELS:
        yield f"{level!r} is no RAID level.", f"Write one of {', '.join(RAID_LEVELS)}."
    elif count.isdigit() and int(count) < RAID_LEVELS[level]:
        yield f"RAID {level} of {count} disks is not possible.", f"Name at least {RAID_LEVELS[level]}."
    if count != str(len(devices.split("#"))):
        yield f"{count} disks are announced, and {len(devices.split('#'))} named.", "Make the number that of the disks."
    named = len(words[6].split("#")) if len(words) == 7 else 0
    if spares != str(named):
        yield f"{spares} spare disks are announced, and {named} named.", "Make the number that of the spares."
    if system not in (*SYSTEMS, "swap", "lvm", "crypto"):
        yield f"{system!r} is no file system.", f"Write one of {', '.join(SYSTEMS)}, swap or lvm."
    if mountpoint != "-" and not mountpoint.startswith("/"):
        yield f"The mount point {mountpoint!r} does not begin with a slash.", "Write it as /var, or - for none."
