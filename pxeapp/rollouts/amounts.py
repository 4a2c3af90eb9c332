"""How many machines a number or a percentage means, and how long a text like 10m lasts.

Percentages are of the machines that the limit is about, counted when the rollout is made, and rounded so that the
cluster is the safer for it: how many may be down is rounded down but never below 1, how many must be up is rounded up,
how large a wave is is rounded down but never below 1. A limit is kept when it is reached and broken when it is
exceeded: `max_failures: 2` goes on after the second failure and stops after the third.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

_PERCENT = re.compile(r"(\d{1,3})\s*%")
_SPAN = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?")
LONGEST = dt.timedelta(days=90)


def _amount(said: Any) -> Any:
    if isinstance(said, bool) or not isinstance(said, int | str):
        raise ValueError('Write a number of machines, or a percentage: 2, or "20%".')  # noqa: TRY004 - pydantic's
    if isinstance(said, int):
        if not 0 <= said <= 100_000:
            raise ValueError("Write a number of machines from 0 to 100000.")
        return said
    found = _PERCENT.fullmatch(said.strip())
    if found is None:
        if said.strip().isdecimal():
            return _amount(int(said))
        raise ValueError('Write a number of machines, or a percentage: 2, or "20%".')
    if int(found[1]) > 100:
        raise ValueError("More than 100 % cannot be meant.")
    return f"{int(found[1])}%"


Amount = Annotated[
    int | str,
    BeforeValidator(_amount),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d{1,3}%$"}]}),
]


def may_be_down(amount: int | str, total: int) -> int:
    """How many of `total` may be down at once; a percentage means at least 1."""
    if isinstance(amount, int):
        return amount
    percent = _percent(amount)
    return max(1, total * percent // 100) if percent else 0


def must_be_up(amount: int | str, total: int) -> int:
    """How many of `total` must be up."""
    return amount if isinstance(amount, int) else math.ceil(total * _percent(amount) / 100)


def wave_size(amount: int | str, total: int) -> int:
    """How many machines a wave takes; at least 1 of a percentage."""
    return amount if isinstance(amount, int) else max(1, total * _percent(amount) // 100)


def may_fail(amount: int | str, total: int) -> int:
    """How many failures are borne; a percentage is rounded down and may mean none."""
    return amount if isinstance(amount, int) else total * _percent(amount) // 100


def _percent(amount: str) -> int:
    return int(amount.removesuffix("%"))


def span(said: Any) -> dt.timedelta:
    """A duration as operators write it: 90s, 10m, 1h30m, 2d, or seconds as a number; raises ValueError."""
    if isinstance(said, dt.timedelta):
        found = said
    elif isinstance(said, int) and not isinstance(said, bool):
        found = dt.timedelta(seconds=min(max(said, -1), 10**9))
    elif isinstance(said, str) and said and (parts := _SPAN.fullmatch(said.strip())) and any(parts.groups()):
        days, hours, minutes, seconds = (int(part or 0) for part in parts.groups())
        found = dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    else:
        raise ValueError("Write a duration: 90s, 10m, 1h30m or 2d.")
    if not dt.timedelta() <= found <= LONGEST:
        raise ValueError(f"Write a duration of at most {LONGEST.days} days.")
    return found


def as_text(length: dt.timedelta) -> str:
    """The shortest way to write it: 1h30m."""
    seconds = int(length.total_seconds())
    words = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        number, seconds = divmod(seconds, size)
        if number:
            words.append(f"{number}{unit}")
    return "".join(words) or "0s"


Span = Annotated[
    dt.timedelta,
    BeforeValidator(span),
    PlainSerializer(as_text, return_type=str),
    WithJsonSchema({"type": "string", "description": "A duration: 90s, 10m, 1h30m or 2d."}),
    Field(strict=False),
]
