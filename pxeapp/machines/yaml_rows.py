"""YAML rows, built from the parser's events: one row in memory at a time, a bounded depth, and no surprises.

PyYAML's own loader is not fit for what strangers wrote: `- - - -` a hundred thousand times ends the whole process in
its C composer, aliases unfold a few lines into gigabytes, a key that stands twice silently wins, and YAML 1.1 reads the
MAC address 52:54:00:12:34:56 as a number of base 60 and the serial number 0123 as an octal one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from pxeapp.machines.records import LIST_NAMES, Record, Twice, broken, record, unique

MAX_DEPTH = 30
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?[0-9]+\.[0-9]+([eE][-+]?[0-9]{1,3})?")
PLAIN_TAGS = (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_OPENING = (yaml.SequenceStartEvent, yaml.MappingStartEvent)

Events = Iterator[Any]


def rows(text: str) -> Iterator[Record]:
    """The machines in a list, or in an object that holds a list `machines` or `items`."""
    events: Events = yaml.parse(text, Loader=yaml.CSafeLoader)
    try:
        yield from _document(events)
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                raise broken(_line(event), "it has a second document; send one file for each")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        last = text.count("\n") + 1  # the parser counts one more when it stumbles over the end
        raise broken(min(line, last), f"it is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        raise broken(text.count("\n", 0, position) + 1, f"it is not YAML: {str(error).splitlines()[0]}") from None


def _document(events: Events) -> Iterator[Record]:
    root = next(event for event in events if not isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent))
    if isinstance(root, yaml.SequenceStartEvent):
        yield from _sequence(events)
        return
    found = False
    if isinstance(root, yaml.MappingStartEvent):
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = _value(events, event, 1)
            value = next(events)
            if key in LIST_NAMES and isinstance(value, yaml.SequenceStartEvent) and not found:
                found = True
                yield from _sequence(events)
            else:
                _value(events, value, 1)
    if not found:
        raise broken(1, "it is not a list of machines")


def _sequence(events: Events) -> Iterator[Record]:
    for event in events:
        if isinstance(event, yaml.SequenceEndEvent):
            return
        yield record(_line(event), _value(events, event, 1))


def _value(events: Events, event: Any, depth: int) -> Any:
    if isinstance(event, yaml.AliasEvent):
        raise broken(_line(event), f"it uses an alias (*{event.anchor}); write the value out")
    if event.tag not in PLAIN_TAGS:
        raise broken(_line(event), f"it uses the tag {event.tag[:60]}; write the value without it")
    if depth > MAX_DEPTH and isinstance(event, _OPENING):
        raise broken(_line(event), f"it is nested more than {MAX_DEPTH} deep")
    if isinstance(event, yaml.SequenceStartEvent):
        return list(_items(events, depth))
    if isinstance(event, yaml.MappingStartEvent):
        try:
            return unique(_pairs(events, depth))
        except Twice as twice:
            raise broken(_line(event), str(twice)) from None
    return scalar(event)


def _items(events: Events, depth: int) -> Iterator[Any]:
    for event in events:
        if isinstance(event, yaml.SequenceEndEvent):
            return
        yield _value(events, event, depth + 1)


def _pairs(events: Events, depth: int) -> Iterator[tuple[str, Any]]:
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            return
        if not isinstance(event, yaml.ScalarEvent):
            raise broken(_line(event), "a key must be a plain word")
        _value(events, event, depth)  # for its tag
        yield event.value, _value(events, next(events), depth + 1)


def scalar(event: Any) -> Any:
    """YAML 1.2's plain values; all else is the text that stands there: dates, yes, 0123, 52:54:00:12:34:56."""
    text: str = event.value
    if not event.implicit[0] or event.style:  # quoted, a block, or tagged !!str
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
