"""Reading an import file: JSON, YAML or CSV in, rows with their line numbers out. Nothing is judged here but syntax."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from pxeapp.errors import FieldProblem, Invalid

MAX_BYTES = 32 * 1024 * 1024
MAX_ROWS = 50_000
_LIST_COLUMNS = {"disks.data", "disks.keep"}
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the file, as it stands there, and the line it starts in."""

    line: int
    values: dict[str, Any]


def read(content: bytes, form: str) -> list[Record]:
    """The file's rows; raises Invalid with the line where the file itself is broken. `form`: json, yaml, csv."""
    if len(content) > MAX_BYTES:
        raise _broken(1, f"it has {len(content)} bytes; {MAX_BYTES} are possible")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _broken(content[: error.start].count(b"\n") + 1, "it is not UTF-8") from None
    records = []
    for record in FORMS[form](text):
        records.append(record)
        if len(records) > MAX_ROWS:
            raise _broken(record.line, f"it has more than {MAX_ROWS} rows")
    return records


def _json(text: str) -> Iterator[Record]:
    """An array of objects, or an object with `machines` or `items`; read object by object, so that lines are known."""
    decoder = json.JSONDecoder()
    lines = _LineCounter(text)
    position = _start_of_array(text, lines)
    while True:
        position = _skip(text, position)
        if text[position : position + 1] == "]":
            return
        try:
            value, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise _broken(lines.at(error.pos), f"it is not JSON: {error.msg}") from None
        except RecursionError:
            raise _broken(lines.at(position), "it is nested too deeply") from None
        yield _record(lines.at(position), value)
        position = _skip(text, end)
        if text[position : position + 1] == ",":
            position += 1
        elif text[position : position + 1] != "]":
            raise _broken(lines.at(position), "a comma or the end of the list is missing")


def _start_of_array(text: str, lines: _LineCounter) -> int:
    position = _skip(text, 0)
    if text[position : position + 1] == "{":
        match = re.compile(r'\{\s*"(machines|items)"\s*:\s*').match(text, position)
        if match is None:
            raise _broken(lines.at(position), 'it is neither a list nor an object that starts with "machines"')
        position = match.end()
    if text[position : position + 1] != "[":
        raise _broken(lines.at(position), "it is not a list of machines")
    return position + 1


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


class _LineCounter:
    """Line numbers for growing positions, counted once over the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._line = 1

    def at(self, position: int) -> int:
        if position < self._position:
            return self._text.count("\n", 0, position) + 1
        self._line += self._text.count("\n", self._position, position)
        self._position = position
        return self._line


class _Loader(yaml.CSafeLoader):
    """Safe, and without aliases: a few lines of them can unfold into gigabytes."""


def _yaml(text: str) -> Iterator[Record]:
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.AliasEvent):
                raise _broken(
                    event.start_mark.line + 1 if event.start_mark else 1,
                    "it uses an alias (*name); write the value out",
                )
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if isinstance(root, yaml.MappingNode):
                wanted = (value for key, value in root.value if key.value in ("machines", "items"))
                root = next(wanted, root)
            if not isinstance(root, yaml.SequenceNode):
                raise _broken(1, "it is not a list of machines")
            for node in root.value:
                yield _record(node.start_mark.line + 1, loader.construct_document(node))
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _broken(line, f"it is not YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _broken(1, f"it is not YAML: {error}") from None


def _csv(text: str) -> Iterator[Record]:
    """A header line, then one machine a line. Dots in a column's name nest: `bmc.address`, `labels.rack`."""
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if "mac" not in header or "name" not in header:
            raise _broken(1, "its first line must name the columns, at least name and mac")
        while True:
            line = reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                return
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise _broken(line, f"it has {len(cells)} columns, the first line has {len(header)}")
            yield Record(line, _nested(dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise _broken(reader.line_num, f"it is not CSV: {error}") from None


def _nested(flat: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    card = {
        name.removeprefix("interface."): text.strip() for name, text in flat.items() if name.startswith("interface.")
    }
    for name, text in flat.items():
        cell = text.strip()
        if not name or not cell or name.startswith("interface."):
            continue
        *parents, last = name.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = [part.strip() for part in cell.split(";") if part.strip()] if name in _LIST_COLUMNS else cell
    if any(card.values()):
        values["interfaces"] = [{"mac": values.get("mac", ""), **{key: text for key, text in card.items() if text}}]
    return values


def _record(line: int, value: Any) -> Record:
    if not isinstance(value, dict):
        raise _broken(line, "a machine must be an object with name and mac")
    return Record(line, {str(key): item for key, item in value.items()})


def _broken(line: int, problem: str) -> Invalid:
    return Invalid(
        f"The file cannot be read: line {line}: {problem}.", problems=[FieldProblem("file", f"{problem}.", "", line)]
    )


FORMS: dict[str, Callable[[str], Iterator[Record]]] = {"json": _json, "yaml": _yaml, "csv": _csv}
