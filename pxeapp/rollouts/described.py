"""Every field of a rollout with its default and what it means: for docs/rollouts.md and for whoever writes one."""

from __future__ import annotations

import datetime as dt
import json
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pxeapp.rollouts.amounts import as_text
from pxeapp.rollouts.spec import Choice, Spec

# The fields of `machines` are those that GET /machines takes; their names say it.
NARROWING = "As GET /machines narrows its list."


@dataclass(frozen=True, slots=True)
class Described:
    """One field. `default` is empty where it must be said, or where what is in it has defaults of its own."""

    path: str
    needed: bool
    default: str
    meaning: str


def fields(model: type[BaseModel] = Spec, above: str = "") -> Iterator[Described]:
    """All of them, each before what is in it."""
    for name, info in model.model_fields.items():
        path = f"{above}{info.alias or name}"
        part, many = _part(info.annotation)
        if issubclass(model, Choice):
            yield Described(path, needed=False, default="", meaning=_said(part))
        else:
            needed = info.is_required()
            yield Described(path, needed, "" if part and not many else _default(info), _meaning(info))
        if part is not None:
            yield from fields(part, f"{path}{many}.")


def _part(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The model that a field holds, and how one of several is written."""
    within: Any = get_origin(annotation)
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind, "[]" if within is tuple else ".NAME" if within is dict else ""
    return None, ""


def _meaning(info: FieldInfo) -> str:
    words = info.description or NARROWING
    choices = [str(each) for each in _choices(info.annotation)]
    if all(each in words.lower() for each in choices):
        return words
    return f"{words} One of {', '.join(choices)}."


def _choices(annotation: Any) -> list[Any]:
    """Its words, where it has only some."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    inner = get_args(annotation) if get_origin(annotation) in (tuple, Union, types.UnionType) else ()
    return [each for kind in inner if kind is not Ellipsis for each in _choices(kind)]


def _default(info: FieldInfo) -> str:
    value = info.default
    if value is PydanticUndefined or value in ("", (), {}) or value is None:
        return ""
    if isinstance(value, dt.timedelta):
        return as_text(value)
    return json.dumps(value) if isinstance(value, bool | int | tuple) else str(value)


def _said(part: type[BaseModel] | None) -> str:
    return " ".join((part.__doc__ or "").split()) if part else ""
