"""What a kickstart's %pre writes for it to include, read as the commands that it becomes.

The lines stay where they stand, in a here-document of %pre, and the script around them is left out: so each keeps its
number, and whatever is wrong with it is said of the very line that somebody can change. Where the script asks for the
firmware there are two readings, one for BIOS and one for UEFI.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pxeapp.answers.checks import lines
from pxeapp.answers.checks.lines import Command, Section

FIRMWARE = ("bios", "uefi")
PATH = r"\"?(?P<path>[\w/.-]+)\"?"
HERE = re.compile(rf"\s*cat\s*(?:>+\s*{PATH}\s*)?<<(?P<dash>-?)\s*(?P<quote>['\"]?)(?P<word>\w+)(?P=quote)\s*")
HERE_TO = re.compile(rf"\s*cat\s*<<(?P<dash>-?)\s*(?P<quote>['\"]?)(?P<word>\w+)(?P=quote)\s*>+\s*{PATH}\s*")
FUNCTION = re.compile(r"(\w+)\s*\(\)\s*\{\s*(#.*)?")
CALL = re.compile(rf"\s*(?P<name>\w+)\b[^<>|&;]*>\s*{PATH}\s*")
ARGUMENT = re.compile(r"\$(?:\{(\d+)\}|(\d)|(only)\b|\{(only)\})")
VALUE = re.compile(r"[$`\\]")
# What a function may say beside its here-documents, and which firmware's lines come next. Any other word could change
# what is written, and then nobody can tell but the machine.
STATEMENTS = {
    "only=$(printf '%s,' \"$@\")": None,
    "only=${only%,}": None,
    "if [ -d /sys/firmware/efi ]; then": "uefi",
    "else": "bios",
    "fi": "",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A kickstart as one firmware has it. `partly` are files of which only the machine knows all: their commands."""

    text: str
    partly: dict[str, list[Command]] = field(default_factory=dict)


@dataclass(slots=True)
class _Piece:
    """A here-document: its numbered lines, whether the shell looks into it, and for which firmware alone it is."""

    lines: list[tuple[int, str]]
    plain: bool
    firmware: str = ""


@dataclass(slots=True)
class _File:
    """What is written to a path. `told`: by here-documents and nothing else; `once`: by one command."""

    pieces: list[_Piece] = field(default_factory=list)
    told: bool = True
    once: bool = True

    @property
    def certain(self) -> bool:
        """Whether its every line is known, once the disks have names."""
        texts = [text for piece in self.pieces if not piece.plain for _, text in piece.lines]
        return self.once and not any(VALUE.search(ARGUMENT.sub("", text)) for text in texts)

    def lines(self, firmware: str) -> list[tuple[int, str]]:
        """Its lines with this firmware; the first system disk is called sda, and so on."""
        every = [piece for piece in self.pieces if piece.firmware in ("", firmware)]
        disks = max((_highest(text) for piece in self.pieces for _, text in piece.lines), default=1)
        named = _naming([_disk(number) for number in range(disks)])
        return [
            (number, text if piece.plain else ARGUMENT.sub(named, text))
            for piece in every
            for number, text in piece.lines
        ]


def readings(text: str) -> list[Reading]:
    """The kickstart as Anaconda reads it once %pre has run: once, or with each firmware where these differ."""
    found = lines.split(text)
    wanted = {command.words[1]: command.line for command in found.unknown if len(command.words) > 1}
    files: dict[str, _File] = {}
    sections: dict[str, Section] = {}
    for section in found.sections:
        if section.name == "%pre" and section.end and not _torn(section):
            for path, file in _Script(section).files():
                if path in wanted:
                    files[path], sections[path] = _also(files.get(path), file), section
    files = {path: file for path, file in files.items() if file.told and file.pieces}
    told = {path: file for path, file in files.items() if file.certain}
    partly = {path: _commands(file, wanted[path]) for path, file in files.items() if path not in told}
    differs = any(piece.firmware for file in told.values() for piece in file.pieces)
    made = [_read(text, told, sections, wanted, firmware) for firmware in (FIRMWARE if differs else FIRMWARE[:1])]
    return [Reading(each, partly) for each in made]


def _read(
    text: str, told: dict[str, _File], sections: dict[str, Section], wanted: dict[str, int], firmware: str
) -> str:
    rows = text.split("\n")
    for section in {section.line: section for section in (sections[path] for path in told)}.values():
        rows[section.line : section.end] = [""] * (section.end - section.line)
        rows[section.line] = "%end"  # behind the header, which is read as it stands
    for path, file in told.items():
        rows[wanted[path] - 1] = ""
        for number, line in file.lines(firmware):
            rows[number - 1] = line
    return "\n".join(rows)


class _Script:
    """A %pre taken apart, line by line: its functions, and what is written to which path."""

    def __init__(self, section: Section) -> None:
        self._rows = list(enumerate(section.body, section.line + 1))
        self._functions: dict[str, _File] = {}
        self._inside: _File | None = None
        self._firmware = ""

    def files(self) -> Iterator[tuple[str, _File]]:
        """Each path with what one command writes to it, in their order."""
        rows = iter(self._rows)
        for _, row in rows:
            here = HERE.fullmatch(row) or HERE_TO.fullmatch(row)
            if here is not None:
                piece = self._piece(here, rows)
                if here["path"]:
                    yield here["path"], _File([piece])
                elif self._inside is not None:
                    self._inside.pieces.append(piece)
            elif self._inside is None:
                yield from self._outside(row)
            elif row.rstrip() == "}":
                self._inside = None
            else:
                self._statement(row.strip())

    def _piece(self, here: re.Match[str], rows: Iterator[tuple[int, str]]) -> _Piece:
        body = []
        for number, row in rows:
            line = row.lstrip("\t") if here["dash"] else row
            if line == here["word"]:
                break
            body.append((number, line))
        return _Piece(body, bool(here["quote"]), self._firmware)

    def _outside(self, row: str) -> Iterator[tuple[str, _File]]:
        if (function := FUNCTION.fullmatch(row)) is not None:
            self._inside, self._firmware = _File(), ""
            self._functions[function[1]] = self._inside
        elif (call := CALL.fullmatch(row)) is not None and call["name"] in self._functions:
            yield call["path"], self._functions[call["name"]]

    def _statement(self, said: str) -> None:
        if not said or said.startswith("#"):
            return
        if said not in STATEMENTS:
            self._inside.told = False  # type: ignore[union-attr]
        elif (firmware := STATEMENTS[said]) is not None:
            self._firmware = firmware


def _also(before: _File | None, file: _File) -> _File:
    """Of two commands that write one file, nobody can tell which counts, or whether both do."""
    if before is None:
        return file
    return _File([*before.pieces, *file.pieces], told=before.told and file.told, once=False)


def _commands(file: _File, line: int) -> list[Command]:
    rows = [text for piece in file.pieces for _, text in piece.lines]
    return [command for text in rows if (command := lines.command(text, line)) is not None]


def _torn(section: Section) -> bool:
    """A section that another begins in: one of the two is not closed, and pykickstart says so."""
    return any(row.split(None, 1)[0] in lines.SECTIONS for row in section.body if row.strip())


def _highest(text: str) -> int:
    return max((int(found[1] or found[2] or 1) for found in ARGUMENT.finditer(text)), default=1)


def _naming(disks: Sequence[str]) -> Callable[[re.Match[str]], str]:
    def named(found: re.Match[str]) -> str:
        number = int(found[1] or found[2] or 0)
        return disks[number - 1] if number else ",".join(disks)

    return named


def _disk(number: int) -> str:
    """As the kernel calls the disks: sda to sdz, then sdaa."""
    letters = chr(ord("a") + number % 26)
    return f"sd{letters}" if number < 26 else f"sd{chr(ord('a') + number // 26 - 1)}{letters}"
