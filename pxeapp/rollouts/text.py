"""A rollout as somebody wrote it, in YAML or JSON: read with the line of each field, so that a refusal names its line.

Read from the parser's events, as an import is (machines/yaml_rows.py): bounded in depth, without aliases, and a key
that stands twice is refused rather than guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from pydantic import ValidationError

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines import wire
from pxeapp.machines.yaml_rows import MAX_DEPTH, PLAIN_TAGS, scalar
from pxeapp.rollouts.spec import Spec

LONGEST = 1024 * 1024  # characters: twenty thousand names fit in
REFUSED = "The rollout has errors; nothing was done."
UNREADABLE = "The text cannot be read."
TEXT = "text"  # the field of what is wrong with the text as a whole
# Where a field may be written in several ways, pydantic has a finding for each; this says it in one. Of what must have
# a form, it says only that it has not.
FIXES = {
    "name": "Use a-z, 0-9 and ._- within, at most 63 characters.",
    "by": "Write count, percent, rack, role, or label:KEY.",
    "domain": "Write rack, machine, or label:KEY.",
    "from": "Write HH:MM, as 22:00.",
    "to": "Write HH:MM, as 04:00.",
    "url": "Write http://HOST/PATH or https://HOST/PATH.",
    "server": "Write http://HOST:PORT or https://HOST:PORT.",
    "packages": "Write all, security, or names of packages: [openssl, libssl3].",
    "canary": "Write how many go first, or their names: [node1, node2].",
    "pause_after": "Write a list of canary, every, or numbers of waves: [canary, 2].",
}


@dataclass(frozen=True, slots=True)
class Written:
    """What was understood, and on which line each field of it stands."""

    spec: Spec
    lines: Mapping[str, int] = field(default_factory=dict)

    @contextmanager
    def locating(self) -> Iterator[None]:
        """What is refused inside is refused with the line of each problem's field."""
        try:
            yield
        except Invalid as error:
            raise self.located(error) from None

    def located(self, error: Invalid) -> Invalid:
        """The same refusal, each problem with the line of its field, or of what holds the field."""
        problems = [replace(each, line=each.line or line_of(self.lines, each.field)) for each in error.problems]
        return Invalid(error.sentence, problems=problems, hint=error.hint)


def read(text: str) -> Written:
    """Raises Invalid, with every problem at its field and line."""
    values, lines = _parsed(text)
    try:
        return Written(understood(values), lines)
    except Invalid as error:
        problems = [replace(each, line=line_of(lines, each.field)) for each in error.problems]
        raise Invalid(error.sentence, problems=problems, hint=error.hint) from None


def understood(values: Any) -> Spec:
    """The same of what was read already, from JSON say; raises Invalid."""
    if not isinstance(values, dict):
        raise Invalid(REFUSED, problems=[FieldProblem(TEXT, "is no object.", "Write NAME: VALUE in each line.")])
    try:
        return Spec.model_validate(values)
    except ValidationError as error:
        raise Invalid(REFUSED, problems=_problems(error, values)) from None


def line_of(lines: Mapping[str, int], place: str) -> int | None:
    """The line of a field; where it was left out, of the nearest that holds it."""
    while place:
        if place in lines:
            return lines[place]
        place = place.rpartition(".")[0]
    return None


def _problems(error: ValidationError, values: Any) -> list[FieldProblem]:
    """One for each field, in our words, with the field as it was written rather than as pydantic tried it."""
    found: dict[str, FieldProblem] = {}
    for raw, said in zip(error.errors(), wire.problems(error), strict=True):
        place, left = _place(raw["loc"], values)
        name = place.rpartition(".")[2] or TEXT
        if name in FIXES and (left or not said.fix):
            said = FieldProblem(place, "is not possible here.", FIXES[name])
        found.setdefault(place or TEXT, replace(said, field=place or TEXT))
    return list(found.values())


def _place(loc: tuple[int | str, ...], values: Any) -> tuple[str, bool]:
    """The path as far as it was written, and whether more of it was of pydantic's own making.

    What is missing is the last of the path and belongs to it; what names a branch of a union does not.
    """
    parts: list[str] = []
    present = values
    for number, part in enumerate(loc):
        if not _holds(present, part):
            missing = isinstance(present, Mapping) and number == len(loc) - 1
            return ".".join([*parts, str(part)] if missing else parts), not missing
        present = present[part]
        parts.append(str(part))
    return ".".join(parts), False


def _holds(present: Any, part: int | str) -> bool:
    if isinstance(present, list):
        return isinstance(part, int) and part < len(present)
    return isinstance(present, Mapping) and part in present


def _parsed(text: str) -> tuple[Any, dict[str, int]]:
    if len(text) > LONGEST:
        raise _broken(1, f"it is longer than {LONGEST} characters")
    lines: dict[str, int] = {}
    events = yaml.parse(text, Loader=yaml.CSafeLoader)
    value: Any = None
    try:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and lines:
                raise _broken(_line(event), "it has a second document; write one rollout")
            if isinstance(event, yaml.NodeEvent):  # the root; whatever is in it is taken by _value
                lines[""] = _line(event)
                value = _value(events, event, (), lines)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _broken(min(at, text.count("\n") + 1), f"it is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        at = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise _broken(at, f"it is not YAML: {str(error).splitlines()[0]}") from None
    return ({} if value is None else value), lines


def _value(events: Iterator[Any], event: Any, path: tuple[str, ...], lines: dict[str, int]) -> Any:
    if isinstance(event, yaml.AliasEvent):
        raise _broken(_line(event), f"it uses an alias (*{str(event.anchor)[:60]}); write the value out")
    if event.tag not in PLAIN_TAGS:
        raise _broken(_line(event), f"it uses the tag {str(event.tag)[:60]}; write the value without it")
    if len(path) > MAX_DEPTH:
        raise _broken(_line(event), f"it is nested more than {MAX_DEPTH} deep")
    if isinstance(event, yaml.SequenceStartEvent):
        return list(_items(events, path, lines))
    if isinstance(event, yaml.MappingStartEvent):
        return _object(events, path, lines)
    return scalar(event)


def _items(events: Iterator[Any], path: tuple[str, ...], lines: dict[str, int]) -> Iterator[Any]:
    for number, event in enumerate(events):
        if isinstance(event, yaml.SequenceEndEvent):
            return
        inner = (*path, str(number))
        lines[".".join(inner)] = _line(event)
        yield _value(events, event, inner, lines)


def _object(events: Iterator[Any], path: tuple[str, ...], lines: dict[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            break
        if not isinstance(event, yaml.ScalarEvent):
            raise _broken(_line(event), "a key must be a plain word")
        key = str(event.value)
        if key in found:
            raise _broken(_line(event), f"{key[:60]!r} stands twice in one object")
        inner = (*path, key)
        lines[".".join(inner)] = _line(event)
        found[key] = _value(events, next(events), inner, lines)
    return found


def _broken(line: int, problem: str) -> Invalid:
    return Invalid(UNREADABLE, problems=[FieldProblem(TEXT, f"{problem}.", "Correct it.", line)])


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
