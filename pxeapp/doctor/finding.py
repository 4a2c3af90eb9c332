"""What a check looks at and what it says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pxeapp.config import Settings
from pxeapp.db import Database

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one thing, and what to do where it is not well."""

    status: Status
    sentence: str
    attempt: str = ""  # what to try


@dataclass(frozen=True, slots=True)
class Patient:
    """What every check may look at. `database` is only used by checks that need rows, once it is known to be sound."""

    settings: Settings
    database: Database
    now: dt.datetime


@dataclass(frozen=True, slots=True)
class Check:
    """A line of the table."""

    name: str
    look: Callable[[Patient], Finding]
    rows: bool = False  # it reads the database
    bare: bool = False  # it can be looked at before there is a data directory
    within_s: float = 30.0
    late: str = ""  # what to try when it takes longer, where that is no failure


def ok(sentence: str) -> Finding:
    """All is well."""
    return Finding("ok", sentence)


def warn(sentence: str, attempt: str) -> Finding:
    """The appliance works, but somebody should look."""
    return Finding("warn", sentence, attempt)


def fail(sentence: str, attempt: str) -> Finding:
    """Something that machines need does not work."""
    return Finding("fail", sentence, attempt)
