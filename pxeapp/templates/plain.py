"""Variables on their way to the renderer: plain data, so that nothing of ours but their values is on the other side.

A dataclass arrives as a record of its name with all its attributes, properties included, and without its methods.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any


def pack(variables: Mapping[str, Any]) -> str:
    """As JSON in which each container says of what kind it is."""
    return json.dumps({name: _plain(value) for name, value in variables.items()})


def unpack(said: Mapping[str, Any]) -> dict[str, Any]:
    """The variables back from what `pack` wrote and JSON read, dataclasses as records."""
    return {name: _value(value) for name, value in said.items()}


PROPERTIES = (property, functools.cached_property)


class Record:
    """What a dataclass is to a template: attributes to read. Two with the same values are equal."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def __hash__(self) -> int:
        return hash(type(self).__name__)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"  # all of it could be a password's hash


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (str, PurePath)):
        return str(value)
    if isinstance(value, Mapping):
        return ["map", [[_plain(key), _plain(each)] for key, each in value.items()]]
    if isinstance(value, (list, tuple, set, frozenset)):
        kind = "list" if isinstance(value, list) else "tuple" if isinstance(value, tuple) else "set"
        return [kind, [_plain(each) for each in value]]
    if (is_dataclass(value) or hasattr(type(value), "model_fields")) and not isinstance(value, type):
        model: Any = type(value)
        names = _attributes(model)
        return ["record", model.__name__, {name: _plain(getattr(value, name)) for name in names}]
    raise TypeError(f"A template of the site cannot be given a {type(value).__name__}.")


@functools.cache
def _attributes(of: Any) -> tuple[str, ...]:
    """Everything public that is not a method: fields, properties, class variables."""
    if not is_dataclass(of):  # pydantic's, whose base class has attributes of its own
        own = [base for base in of.__mro__ if base.__module__.startswith("pxeapp.")]
        found = {name for base in own for name, value in vars(base).items() if isinstance(value, PROPERTIES)}
        return tuple(sorted({*of.model_fields, *found}))
    names = {field.name for field in fields(of)}
    names.update(name for name in dir(of) if not callable(inspect.getattr_static(of, name)))
    return tuple(sorted(name for name in names if not name.startswith("_")))


def _value(said: Any) -> Any:
    if not isinstance(said, list):
        return said
    kind, *rest = said
    if kind == "record":
        name, values = rest
        return _record(name)({key: _value(each) for key, each in values.items()})
    if kind == "map":
        return {_value(key): _value(each) for key, each in rest[0]}
    values = [_value(each) for each in rest[0]]
    return values if kind == "list" else tuple(values) if kind == "tuple" else set(values)


@functools.cache
def _record(name: str) -> type[Record]:
    """Of its own type, which "'AnswerSpec object' has no attribute 'nothing'" then names."""
    return type(name, (Record,), {"__module__": "builtins"})
