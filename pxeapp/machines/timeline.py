"""The machine's timeline: every capability writes to it, nobody rewrites it."""

from __future__ import annotations

import datetime as dt
from typing import Any, Protocol

from sqlalchemy import bindparam, insert

from pxeapp.machines.models import Event
from pxeapp.prepared import Prepared

# A line as a prepared statement takes it, for whoever writes past the ORM; see prepared.py.
COLUMNS = ("machine_id", "deployment_id", "at", "source", "kind", "message", "evidence")
NOTED = Prepared(insert(Event).values({name: bindparam(name) for name in COLUMNS}).inline())


class Book(Protocol):
    """Whatever takes a line, to write it in the transaction that it belongs to: a session, as a rule."""

    def add(self, instance: Any, /) -> None:
        """Take it."""


def note(
    session: Book,
    *,
    machine_id: int,
    at: dt.datetime,
    source: str,
    kind: str,
    message: str,
    deployment_id: int | None = None,
    **evidence: Any,
) -> Event:
    """Append one event in the caller's transaction. `evidence` must be plain JSON without secrets."""
    event = Event(
        machine_id=machine_id,
        deployment_id=deployment_id,
        at=at,
        source=source,
        kind=kind,
        message=message,
        evidence=evidence,
    )
    session.add(event)
    return event
