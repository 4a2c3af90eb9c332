"""Reading an import file: JSON, YAML or CSV in, rows with their line numbers out. Nothing is judged here but syntax."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from pxeapp.machines import yaml_rows
from pxeapp.machines.records import LIST_NAMES, Record, Twice, broken, record, unique

MAX_BYTES = 32 * 1024 * 1024
MAX_ROWS = 50_000
MAX_COLUMNS = 200
_LIST_COLUMNS = {"disks.data", "disks.keep"}
_FLAT = ("labels", "location")  # their keys may hold dots themselves: labels.example.org/rack
_SPACE = re.compile(r"[ \t\r\n]*")
_HOLDER = re.compile(rf'\{{\s*"({"|".join(LIST_NAMES)})"\s*:\s*')


def read(content: bytes, form: str) -> list[Record]:
    """The file's rows; raises Invalid with the line where the file itself is broken. `form`: json, yaml, csv."""
    if len(content) > MAX_BYTES:
        raise broken(1, f"it has {len(content)} bytes; {MAX_BYTES} are possible")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise broken(content[: error.start].count(b"\n") + 1, "it is not UTF-8") from None
    records = []
    for row in FORMS[form](text):
        records.append(row)
        if len(records) > MAX_ROWS:
            raise broken(row.line, f"it has more than {MAX_ROWS} rows")
    return records


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number that JSON knows")


def _json(text: str) -> Iterator[Record]:
    """An array of objects, or an object with `machines` or `items`; read object by object, so that lines are known."""
    decoder = json.JSONDecoder(object_pairs_hook=unique, parse_constant=_no_number)
    lines = _LineCounter(text)
    position, held = _start_of_array(text, lines)
    more = text[position : position + 1] != "]"
    while more:
        try:
            value, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise broken(lines.at(error.pos), f"it is not JSON: {error.msg}") from None
        except RecursionError:
            raise broken(lines.at(position), "it is nested too deeply") from None
        except Twice as twice:
            raise broken(lines.at(position), str(twice)) from None
        except ValueError as error:  # a number of thousands of digits, NaN
            raise broken(lines.at(position), f"it is not JSON: {str(error).split(';', 1)[0]}") from None
        yield record(lines.at(position), value)
        position = _skip(text, end)
        more = text[position : position + 1] == ","
        if more:
            position = _skip(text, position + 1)
        elif text[position : position + 1] != "]":
            raise broken(lines.at(position), "a comma or the end of the list is missing")
    _rest(text, _skip(text, position + 1), lines, held=held)


def _start_of_array(text: str, lines: _LineCounter) -> tuple[int, bool]:
    """Where the first machine stands, and whether an object holds the list."""
    position = _skip(text, 0)
    held = text[position : position + 1] == "{"
    if held:
        match = _HOLDER.match(text, position)
        if match is None:
            raise broken(lines.at(position), 'it is neither a list nor an object that starts with "machines"')
        position = match.end()
    if text[position : position + 1] != "[":
        raise broken(lines.at(position), "it is not a list of machines")
    return _skip(text, position + 1), held


def _rest(text: str, position: int, lines: _LineCounter, *, held: bool) -> None:
    """Behind the list nothing may follow but the end of the object that holds it: two files in one, a torn download."""
    if held:
        if text[position : position + 1] == ",":
            try:  # what else the object holds, such as our own lists' "next"
                json.loads("{" + text[position + 1 :])
            except (ValueError, RecursionError):
                raise broken(lines.at(position), "what follows the list is not JSON") from None
            return
        if text[position : position + 1] != "}":
            raise broken(lines.at(position), "the end of the object is missing")
        position = _skip(text, position + 1)
    if position != len(text):
        raise broken(lines.at(position), "something follows the end of the list")


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


def _csv(text: str) -> Iterator[Record]:
    """A header line, then one machine a line. Dots in a column's name nest: `bmc.address`, `labels.rack`."""
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if "mac" not in header or "name" not in header:
            raise broken(1, "its first line must name the columns, at least name and mac")
        _check_header(header)
        while True:
            line = reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                return
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise broken(line, f"it has {len(cells)} columns, the first line has {len(header)}")
            if any(cell.strip() and not name for name, cell in zip(header, cells, strict=True)):
                raise broken(line, "it has a value in a column without a name")
            yield Record(line, _nested(dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise broken(reader.line_num, f"it is not CSV: {error}") from None


def _check_header(header: list[str]) -> None:
    """A column twice, or `bmc` beside `bmc.address`: one of the two would be lost without a word."""
    if len(header) > MAX_COLUMNS:
        raise broken(1, f"it has {len(header)} columns; {MAX_COLUMNS} are possible")
    named = [name for name in header if name]
    for name in named:
        if named.count(name) > 1:
            raise broken(1, f"the column {name[:60]} stands twice in the first line")
        for parent in named:
            if name.startswith(f"{parent}.") and not parent.startswith(tuple(f"{head}." for head in _FLAT)):
                raise broken(1, f"the columns {parent[:60]} and {name[:60]} exclude each other")


def _nested(flat: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    card: dict[str, str] = {}
    for name, text in flat.items():
        cell = text.strip()
        if not cell:
            continue
        if name.startswith("interface."):
            card[name.removeprefix("interface.")] = cell
            continue
        head, dot, tail = name.partition(".")
        *parents, last = [head, tail] if dot and head in _FLAT else name.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = [part.strip() for part in cell.split(";") if part.strip()] if name in _LIST_COLUMNS else cell
    if card:
        values.setdefault("interfaces", [{"mac": values.get("mac", ""), **card}])
    return values


FORMS: dict[str, Callable[[str], Iterator[Record]]] = {"json": _json, "yaml": yaml_rows.rows, "csv": _csv}
