"""What a value of a document may be, as a table: texts, numbers, lists, mappings with their keys. In our own words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pxeapp.answers.checks.yaml_lines import Path


class Wrong(NamedTuple):
    """What does not fit, where, and what would."""

    path: Path
    problem: str
    fix: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text; with a pattern or choices, one of these."""

    pattern: str = ""
    choices: tuple[str, ...] = ()
    fix: str = ""

    def wrong(self, value: Any, path: Path, _version: str) -> Iterator[Wrong]:
        """Nothing, or what is wrong."""
        if not isinstance(value, str):
            yield Wrong(path, f"{_name(path)} is {_kind(value)}, not a text.", "Write a text, in quotes if need be.")
        elif self.choices and value not in self.choices:
            yield Wrong(path, f"{_name(path)} cannot be {value[:40]!r}.", f"Use {', '.join(self.choices)}.")
        elif self.pattern and not re.fullmatch(self.pattern, value):
            yield Wrong(path, f"{_name(path)} cannot be {value[:80]!r}.", self.fix or "Write it as the others are.")


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false; `words` are texts that are made one of them later."""

    words: tuple[str, ...] = ()

    def wrong(self, value: Any, path: Path, _version: str) -> Iterator[Wrong]:
        """Nothing, or what is wrong."""
        if not isinstance(value, bool) and value not in self.words:
            yield Wrong(path, f"{_name(path)} is {_kind(value)}, not true or false.", "Write true or false, unquoted.")


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number between bounds."""

    least: int = 0
    most: int = 2**63

    def wrong(self, value: Any, path: Path, _version: str) -> Iterator[Wrong]:
        """Nothing, or what is wrong."""
        if isinstance(value, bool) or not isinstance(value, int):
            yield Wrong(path, f"{_name(path)} is {_kind(value)}, not a whole number.", "Write a number, unquoted.")
        elif not self.least <= value <= self.most:
            yield Wrong(path, f"{_name(path)} cannot be {value}.", f"Use {self.least} to {self.most}.")


@dataclass(frozen=True, slots=True)
class Items:
    """A list of one kind of thing."""

    of: Shape
    least: int = 0

    def wrong(self, value: Any, path: Path, version: str) -> Iterator[Wrong]:
        """What is wrong with it or in it."""
        if not isinstance(value, list):
            yield Wrong(path, f"{_name(path)} is {_kind(value)}, not a list.", "Write each on a line of its own: - ...")
            return
        if len(value) < self.least:
            yield Wrong(path, f"{_name(path)} has {len(value)} entries.", f"It needs {self.least}.")
        for number, each in enumerate(value):
            yield from self.of.wrong(each, (*path, number), version)


@dataclass(frozen=True, slots=True)
class Key:
    """A key that is there from a version on."""

    shape: Shape
    since: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """A mapping of known keys; `others`: what any other key must be, where there may be others."""

    known: Mapping[str, Shape | Key] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    others: Shape | None = None
    advice: str = ""  # where unknown keys are to be looked up

    def wrong(self, value: Any, path: Path, version: str) -> Iterator[Wrong]:
        """What is wrong with it or in it."""
        if not isinstance(value, dict):
            yield Wrong(path, f"{_name(path)} is {_kind(value)}, not a mapping.", "Write its keys below it, indented.")
            return
        for name in self.required:
            if name not in value:
                yield Wrong(path, f"{_name(path)} has no {name}.", f"Add {name}.")
        for name, each in value.items():
            yield from self._entry(name, each, (*path, name), version)

    def _entry(self, name: str, value: Any, path: Path, version: str) -> Iterator[Wrong]:
        found = self.known.get(name, self.others)
        if found is None:
            near = _nearest(name, self.known)
            fix = f"Did you mean {near}?" if near else f"Take it out; known here: {', '.join(self.known)}."
            yield Wrong(path, f"{_name(path)} is no key that the installer knows; it would pass over it.", fix)
        elif isinstance(found, Key):
            if found.since and _number(version) < _number(found.since):
                fix = "Leave it out for this release."
                yield Wrong(path, f"{_name(path)} came with {found.since}; {version} does not know it.", fix)
            yield from found.shape.wrong(value, path, version)
        else:
            yield from found.wrong(value, path, version)


@dataclass(frozen=True, slots=True)
class Either:
    """One of several shapes: the first that fits, else what is wrong with the first of the same kind."""

    shapes: tuple[Shape, ...]

    def wrong(self, value: Any, path: Path, version: str) -> Iterator[Wrong]:
        """Nothing, or what is wrong."""
        all_wrong = [list(shape.wrong(value, path, version)) for shape in self.shapes]
        if all(all_wrong):
            # What is wrong deeper inside, or with a value of the right kind, says more.
            yield from max(all_wrong, key=lambda found: (len(found[0].path), ", not " not in found[0].problem))


@dataclass(frozen=True, slots=True)
class Anything:
    """Whatever it is."""

    def wrong(self, _value: Any, _path: Path, _version: str) -> Iterator[Wrong]:
        """Nothing."""
        yield from ()


@dataclass(frozen=True, slots=True)
class Nothing:
    """null."""

    def wrong(self, value: Any, path: Path, _version: str) -> Iterator[Wrong]:
        """Nothing, or what is wrong."""
        if value is not None:
            yield Wrong(path, f"{_name(path)} is {_kind(value)}, not null.", "Write null.")


Shape = Text | Flag | Number | Items | Keys | Either | Anything | Nothing


def _name(path: Path) -> str:
    return ".".join(str(part) for part in path) or "The document"


def _kind(value: Any) -> str:
    if value is None:
        return "empty"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), "something else")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _nearest(name: str, known: Iterable[str]) -> str:
    plain = name.replace("_", "-").lower()
    return next((each for each in known if each == plain or each.rstrip("s") == plain.rstrip("s")), "")
