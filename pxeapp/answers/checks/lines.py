"""A kickstart's lines by section: its commands and its scripts."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SECTIONS = (
    "%pre",
    "%pre-install",
    "%post",
    "%onerror",
    "%traceback",
    "%packages",
    "%addon",
    "%anaconda",
    "%certificate",
)
SCRIPTS = ("%pre", "%pre-install", "%post", "%onerror", "%traceback")


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: its words, and the line it stands in."""

    line: int
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The command."""
        return self.words[0]

    def value(self, option: str) -> str | None:
        """An option's value, `--option=value` or `--option value`; None when it is not there."""
        for at, word in enumerate(self.words):
            if word.startswith(f"{option}="):
                return word.partition("=")[2]
            if word == option and at + 1 < len(self.words):
                return self.words[at + 1]
        return None


@dataclass(slots=True)
class Section:
    """A section with its header and body; `line` is the header's, `end` that of %end, 0 where there is none."""

    name: str
    header: tuple[str, ...]
    line: int
    end: int = 0
    body: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The body."""
        return "".join(f"{each}\n" for each in self.body)


@dataclass(slots=True)
class Kickstart:
    """The whole file taken apart. `unknown` are includes that nothing in the file writes, `partly` those of which only
    the machine knows every value: their commands are there, and pykickstart has not read them."""

    commands: list[Command] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    unknown: list[Command] = field(default_factory=list)
    partly: list[Command] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether every command of it was read."""
        return not (self.unknown or self.partly)

    def named(self, *names: str) -> list[Command]:
        """The commands of these names, in their order."""
        return [each for each in self.commands if each.name in names]


def split(text: str, partly: Mapping[str, Sequence[Command]] | None = None) -> Kickstart:
    """Take a kickstart apart. It may be wrong: what cannot be told is left out, and pykickstart complains of it."""
    found = Kickstart()
    inside: Section | None = None
    for number, line in enumerate(text.split("\n"), 1):
        first = line.split(None, 1)[0] if line.strip() else ""
        if inside is not None:
            if first == "%end":
                inside.end = number
                inside = None
            else:
                inside.body.append(line)
        elif first in SECTIONS:
            inside = Section(first, _words(line), number)
            found.sections.append(inside)
        elif (said := command(line, number)) is not None:
            _place(said, found, partly or {})
    return found


def command(line: str, number: int) -> Command | None:
    """The command of a line; None where there is none."""
    words = _words(line)
    return Command(number, words) if words else None


def _place(said: Command, found: Kickstart, partly: Mapping[str, Sequence[Command]]) -> None:
    if said.name not in ("%include", "%ksappend"):
        found.commands.append(said)
    elif said.name == "%include" and len(said.words) > 1 and said.words[1] in partly:
        found.partly.append(said)
        found.commands += partly[said.words[1]]
    else:
        found.unknown.append(said)


def _words(line: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(line, comments=True))
    except ValueError:
        return ()
