"""A kickstart's lines by section: its commands, its scripts, and what a %pre writes for it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
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
_WRITTEN = re.compile(r"cat >+\s*\"?([\w/.-]+)\"? <<-?\s*['\"]?(\w+)['\"]?\n(.*?)^\2$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: its words, the line it stands in, and whether it comes from a file that %pre writes."""

    line: int
    words: tuple[str, ...]
    written: bool = False

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
    """A section with its header and body; `first` is the line its body begins in."""

    name: str
    header: tuple[str, ...]
    line: int
    body: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The body."""
        return "".join(f"{each}\n" for each in self.body)


@dataclass(slots=True)
class Kickstart:
    """The whole file taken apart; `unknown` are includes that nothing in the file writes."""

    commands: list[Command] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    unknown: list[Command] = field(default_factory=list)

    def named(self, *names: str) -> list[Command]:
        """The commands of these names, in their order."""
        return [each for each in self.commands if each.name in names]


def split(text: str) -> Kickstart:
    """Take a kickstart apart. It may be wrong: what cannot be told is left out, and pykickstart complains of it."""
    found = Kickstart()
    inside: Section | None = None
    for number, line in enumerate(text.split("\n"), 1):
        first = line.split(None, 1)[0] if line.strip() else ""
        if inside is not None:
            if first == "%end":
                inside = None
            else:
                inside.body.append(line)
        elif first in SECTIONS:
            inside = Section(first, _words(line), number)
            found.sections.append(inside)
        elif first and not first.startswith("#") and (words := _words(line)):
            found.commands.append(Command(number, words))
    _include(found)
    return found


def _include(found: Kickstart) -> None:
    written = {
        path: body
        for section in found.sections
        if section.name.startswith("%pre")
        for path, _, body in _WRITTEN.findall(section.text)
    }
    commands: list[Command] = []
    for command in found.commands:
        if command.name == "%include" and len(command.words) > 1 and command.words[1] in written:
            commands += _written(written[command.words[1]], command.line)
        elif command.name in ("%include", "%ksappend"):
            found.unknown.append(command)
        else:
            commands.append(command)
    found.commands = commands


def _written(body: str, line: int) -> Iterator[Command]:
    for text in body.split("\n"):
        if text.strip() and not text.lstrip().startswith(("#", "%")) and (words := _words(text)):
            yield Command(line, words, written=True)


def _words(line: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(line, comments=True))
    except ValueError:
        return ()
