"""A preseed's lines as debconf-set-selections in the installer's initrd reads them (a shell script: see its source).

`owner key type value`. Lines with `#` in their first column are comments; a backslash at the very end joins the next
line with one blank; blanks before a line are dropped, and so a comment that is set in becomes an owner called `#`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pxeapp.faults import Fault

TYPES = ("string", "boolean", "select", "multiselect", "note", "password", "text", "title", "error", "seen")
OWNER = re.compile(r"[a-z0-9][a-z0-9+.-]*")
KEY = re.compile(r"[A-Za-z0-9][\w+.-]*(/[\w+.@-]+)*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer, and the line it begins in."""

    line: int
    owner: str
    key: str
    kind: str
    value: str


def read(kind: str, text: str) -> Iterator[Entry | Fault]:
    """The entries, and what is wrong with the grammar of their lines."""
    pending: list[str] = []
    first = 0
    for number, raw in enumerate(text.split("\n"), 1):
        if raw.startswith("#") or not raw.strip():
            continue
        line = raw.replace("\r", "").lstrip()
        if "\r" in raw:
            yield Fault(kind, number, "The line holds a carriage return.", "Save the template with Unix line ends.")
        if line.startswith("#"):
            yield Fault(
                kind, number, "A comment begins in the first column only; this is read as an answer.", "Move # there."
            )
            continue
        if re.search(r"\\[ \t]+$", line):
            yield Fault(
                kind, number, "Blanks behind the backslash keep it from joining the next line.", "Take them out."
            )
        first = first if pending else number
        if line.endswith("\\"):
            pending.append(re.sub(r"\s*\\$", "", line))
            continue
        yield from _entry(kind, first, " ".join([*pending, line]))
        pending = []
    if pending:
        yield Fault(
            kind, first, "The file ends in a line that goes on, so that line is lost.", "Take the backslash out."
        )


def _entry(kind: str, number: int, line: str) -> Iterator[Entry | Fault]:
    found = re.fullmatch(r"(\S+)\s+(\S+)\s+(\S+)(\s.*)?", line, re.DOTALL)
    if found is None:
        yield Fault(
            kind,
            number,
            f"{line[:60]!r} is no answer: the installer stops reading here.",
            "Write: owner key type value",
        )
        return
    owner, key, of, rest = found[1], found[2], found[3], found[4] or ""
    value = rest[1:]
    if value != value.lstrip():
        yield Fault(kind, number, "More than one blank before the value becomes a part of it.", "Leave one blank.")
    if value.strip() and value != value.rstrip():
        yield Fault(kind, number, "Blanks at the end become a part of the value.", "Take them out.")
    if owner != "d-i" and not OWNER.fullmatch(owner):
        yield Fault(kind, number, f"{owner[:60]!r} is no owner.", "Write d-i, or the package that asks.")
    if not KEY.fullmatch(key):
        yield Fault(kind, number, f"{key[:60]!r} is no question.", "Write its name: component/question.")
    elif of not in TYPES:
        yield Fault(kind, number, f"{of[:60]!r} is no type.", f"Write one of {', '.join(TYPES)}.")
    else:
        yield Entry(number, owner, key, of, value.strip())
