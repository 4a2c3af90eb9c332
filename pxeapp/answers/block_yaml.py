"""YAML in block style, of plain values only. A general YAML library takes twenty times as long, on every machine's way.

A text is written as it is where nobody could take it for anything else, else in double quotes, escaped to ASCII. What
comes out is read back by `tests/answers/test_block_yaml.py` with a real parser, for any value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

# Letters first, so that it is no number, date or indicator; no colon and no `#`, which could end it.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._+@-]*(?: [A-Za-z0-9/._+@-]+)*")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}  # YAML 1.1 takes these for something else
LONGEST_KEY = 1000  # YAML's is 1024, quotes and escapes included
_NOT_PRINTABLE = re.compile(r"[\x7f]|[^\x00-\uffff]")


def dump(said: Mapping[str, Any]) -> str:
    """A mapping as a document of its own, ended by a newline; keys in their order."""
    return "\n".join(_lines(said, "")) + "\n"


def _lines(said: Any, indent: str) -> Iterator[str]:
    if isinstance(said, Mapping):
        for key, value in said.items():
            if len(head := _scalar(key)) > LONGEST_KEY:
                raise TypeError("a key is longer than YAML allows")
            yield from _entry(f"{indent}{head}:", value, indent)
    else:
        for value in said:
            if _is_block(value):
                first, *rest = _lines(value, f"{indent}  ")
                yield f"{indent}- {first[len(indent) + 2 :]}"
                yield from rest
            else:
                yield f"{indent}- {_flow(value)}"


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if _is_block(value):
        yield head
        yield from _lines(value, f"{indent}  ")
    else:
        yield f"{head} {_flow(value)}"


def _is_block(value: Any) -> bool:
    return isinstance(value, (Mapping, list, tuple)) and bool(value)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, (list, tuple)):
        return "[]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise TypeError(f"{type(value).__name__} is not written as YAML")


@lru_cache(maxsize=1024)
def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if _NOT_PRINTABLE.search(value):
        return "".join(_escaped(value))
    return json.dumps(value)


def _escaped(value: Iterable[str]) -> Iterator[str]:
    yield '"'
    for char in value:
        yield f"\\U{ord(char):08x}" if _NOT_PRINTABLE.match(char) else json.dumps(char)[1:-1]
    yield '"'
