"""Secrets among variables: kept encrypted, opened only for an answer file, shown as three stars.

A sealed value stands where the value would stand, at any depth, so that everything that merges or copies variables
stays as it is: `{"$secret": CIPHERTEXT, "by": "user:ada", "at": "2026-11-25T20:00:00+00:00", "generated": false}`.
With `shown` it says what stands for it where only a part of it is secret: `http://***@proxy.example.org:3128`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Text, cast

from pxeapp.vault import Undecryptable, Vault

KEY = "$secret"
SHOWN = "***"  # what the API shows; sent back, it means: as it is
BEFORE = frozenset({"root_password_hash"})  # stood in the rows as it is before there were sealed values
KEPT = 1024  # opened values


def seal(vault: Vault, value: Any, *, by: str, now: dt.datetime, generated: bool = False) -> dict[str, Any]:
    """The value as it is kept."""
    return {KEY: vault.encrypt(json.dumps(value)), "by": by, "at": now.isoformat(), "generated": generated}


def is_sealed(value: Any) -> bool:
    """Whether this is a value as `seal` makes it."""
    return isinstance(value, Mapping) and isinstance(value.get(KEY), str)


def somewhere(column: Any) -> ColumnElement[bool]:
    """The rows whose variables hold a sealed value."""
    return cast(column, Text).contains(f'"{KEY}"')


def opened(vault: Vault, value: Mapping[str, Any]) -> Any:
    """The value; raises Undecryptable when the key file was replaced."""
    return _opened(vault, value[KEY])


@lru_cache(maxsize=KEPT)
def _opened(vault: Vault, ciphertext: str) -> Any:
    """Kept: a boot storm opens the same few secrets a thousand times, and whoever reads this memory has the key too."""
    return json.loads(vault.decrypt(ciphertext))


def shown(said: Mapping[str, Any]) -> dict[str, Any]:
    """Variables as anybody may see them."""
    return {name: SHOWN if name in BEFORE and value is not None else _masked(value) for name, value in said.items()}


def within(value: Any) -> Iterator[Mapping[str, Any]]:
    """Everything in it that is sealed, or says that it is, itself included."""
    if isinstance(value, Mapping):
        if KEY in value:
            yield value
        else:
            for each in value.values():
                yield from within(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from within(each)


def opened_within(where: str, value: Any, opened: Callable[[str, Mapping[str, Any]], Any]) -> Any:
    """The value with everything opened that is sealed in it; `opened` is told where that stands."""
    if isinstance(value, Mapping):
        if is_sealed(value):
            return opened(where, value)
        return {name: opened_within(f"{where}.{name}", each, opened) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [opened_within(f"{where}.{number}", each, opened) for number, each in enumerate(value)]
    return value


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        if is_sealed(value):
            return value.get("shown", SHOWN)
        return {name: _masked(each) for name, each in value.items()}
    return [_masked(each) for each in value] if isinstance(value, (list, tuple)) else value


def sealed_anew(vault: Vault, value: Any, present: Any, *, by: str, now: dt.datetime) -> Any:
    """The value sealed, or what is there already if it says the same: nothing changes when nothing changes."""
    if is_sealed(present):
        try:
            if opened(vault, present) == value:
                return present
        except Undecryptable:
            pass  # entering it again is the cure
    return seal(vault, value, by=by, now=now)
