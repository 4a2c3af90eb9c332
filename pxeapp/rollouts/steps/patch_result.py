"""What patch.sh found, as values, from its lines; and what went wrong, by a table of what package managers say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

NONE = "-"


class Change(NamedTuple):
    """One package: from a version to another; empty where there is none."""

    name: str
    old: str
    new: str

    def __str__(self) -> str:
        if not self.old:
            return f"{self.name} {self.new} is new"
        return f"{self.name} {self.old} is removed" if not self.new else f"{self.name} {self.old} -> {self.new}"


class Trouble(NamedTuple):
    """What went wrong: a code for the statistics, a sentence, and what to do."""

    code: str
    sentence: str
    hint: str


@dataclass(frozen=True, slots=True)
class Patched:
    """All that a run told. Packages are named as their tool does: libc6:amd64, bash.x86_64."""

    tool: str = ""
    before: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()  # what it meant to do
    held: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    reboot: bool = False
    reboot_why: str = ""
    trouble: Trouble | None = None

    @property
    def changed(self) -> list[Change]:
        """What was really done: the difference of the lists."""
        names = sorted({*self.before, *self.after})
        pairs = ((name, self.before.get(name, ""), self.after.get(name, "")) for name in names)
        return [Change(name, old, new) for name, old, new in pairs if old != new]


class Fault(NamedTuple):
    """How a package manager says it (the first group is the package, where one is named), and how we do."""

    pattern: str
    code: str
    sentence: str
    hint: str


# The first that is found counts: a full disk makes scripts fail too.
FAULTS = (
    Fault(
        r"No space left on device|don't have enough free space|at least \d+.?B more space needed|Not enough space",
        "disk_full", "Its disk is full.", "Make room on it (apt-get clean, old kernels, logs); then retry.",
    ),
    Fault(
        r"Read-only file system", "read_only", "A file system of it is read-only.",
        "Look at its disk: file systems become read-only after errors.",
    ),
    Fault(
        r"NO_PUBKEY|is not signed|GPG check FAILED|invalid signature|EXPKEYSIG|BADSIG|not correctly signed",
        "signature", "A repository's signature cannot be checked.", "Give the machine the repository's present key.",
    ),
    Fault(
        r"Snapshots? (?:are )?not supported", "snapshot", "A repository of it has no such snapshot.",
        "Name a snapshot that the repository has, or leave it out.",
    ),
    Fault(
        r"[Cc]ould not get lock|[Uu]nable to (?:lock|acquire)|Failed to obtain the transaction lock|exit_on_lock",
        "locked", "Another program holds the package manager's lock.", "See who does on the machine; then retry.",
    ),
    Fault(
        r"dpkg: error processing package (\S+) ",
        "package_script", "The package {} cannot be set up: its script failed.",
        "Its words are in the log; mend it on the machine (dpkg --configure -a), then retry.",
    ),
    Fault(
        r"dpkg: error processing archive \S*?/([^_/ ]+)_", "package_files", "The package {} cannot be unpacked.",
        "dpkg's words are in the log: often two packages have the same file.",
    ),
    Fault(
        r"%\w+\(([^)\s]+)\) scriptlet failed|[Ee]rror in \w+ scriptlet in rpm package (\S+)",
        "package_script", "A script of the package {} failed.", "Its words are in the log; reinstall the package.",
    ),
    Fault(
        r"unmet dependencies|Unable to correct problems|nothing provides|conflicting requests|^\s*Problem(?: \d+)?: ",
        "dependencies", "Its packages do not fit together.",
        "The tool's words are in the log; a repository may be missing.",
    ),
    Fault(
        r"Failed to fetch|Could not resolve|Temporary failure resolving|Failed to download|Cannot download|Curl error"
        r"|Could not connect|All mirrors were tried|repomd\.xml|does not have a Release file",
        "repository", "A repository does not answer, or has not what it lists.",
        "Look at the repository and at the way from the machine to it; then retry.",
    ),
)  # fmt: skip


def read(text: str) -> Patched:
    """Its lines as values; what is not known is passed over, so that a half-written one harms nothing."""
    lists: dict[str, dict[str, str]] = {"before": {}, "after": {}}
    names: dict[str, list[str]] = {"held": [], "absent": []}
    changes, said, told = [], [], {"tool": ("",), "reboot": ("no", ""), "trouble": ("", "")}
    for line in text.splitlines():
        kind, *words = line.split("\t")
        if kind in lists and len(words) == 2:
            lists[kind][words[0]] = words[1]
        elif kind in names and len(words) == 1:
            names[kind].append(words[0])
        elif kind == "change" and len(words) == 3:
            changes.append(Change(words[0], *("" if word == NONE else word for word in words[1:])))
        elif kind == "said":
            said.append(" ".join(words))
        elif kind in told and len(words) == len(told[kind]):
            told[kind] = tuple(words)
    code, sentence = told["trouble"]
    return Patched(
        tool=told["tool"][0],
        **lists,
        changes=tuple(changes),
        held=tuple(names["held"]),
        absent=tuple(names["absent"]),
        reboot=told["reboot"][0] == "yes",
        reboot_why=told["reboot"][1].strip(),
        trouble=_trouble(code, sentence, said) if code else None,
    )


def _trouble(code: str, sentence: str, said: Iterable[str]) -> Trouble:
    text = "\n".join(said)
    for fault in FAULTS:
        if found := re.search(fault.pattern, text, re.MULTILINE):
            name = next((group for group in found.groups() if group), "")
            return Trouble(fault.code, fault.sentence.replace("{}", name), fault.hint)
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
    return Trouble(code, f"{sentence} It said: {last.strip()[:200]}" if last else sentence, "Its words are in the log.")
