"""How a secret may stand in a file that we made: as it is, escaped for a URL, a shell or JSON, or in base64."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

SHORTEST = 4  # of what is masked by its text: the letter a stands everywhere


def spellings(values: Iterable[Any]) -> tuple[str, ...]:
    """Every spelling of every text in these values, the longest first: one secret may be the beginning of another."""
    found = {spelling for value in values for text in _texts(value) for spelling in _spellings(text)}
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def _texts(value: Any) -> Iterable[str]:
    """The texts in a secret that may be a list or an object; of an object its values, since its keys are ours."""
    if isinstance(value, str):
        if len(value) >= SHORTEST:
            yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)


@lru_cache(maxsize=1024)
def _spellings(text: str) -> frozenset[str]:
    plain = {
        text,
        quote(text),
        quote(text, safe=""),
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        text.replace("'", "'\"'\"'"),  # within the quotes of a shell
        text.replace("'", "''"),  # within those of YAML or SQL
    }
    return frozenset(plain | set(_encoded(text.encode())))


def _encoded(secret: bytes) -> Iterable[str]:
    """Its letters in base64, wherever it stands in what was encoded: three bytes are four letters, so three ways.

    The first and last letters depend on its neighbours as well; they stay, and say less than one byte each.
    """
    for before in range(3):
        lead = (8 * before + 5) // 6  # letters that hold a bit of what stands before
        whole = (8 * (before + len(secret))) // 6  # letters that hold nothing of what follows
        text = base64.b64encode(b"\0" * before + secret)[lead:whole].decode()
        if len(text) >= 2 * SHORTEST:
            yield text
            yield text.replace("+", "-").replace("/", "_")
