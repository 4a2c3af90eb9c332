"""What may be done with a console, for the API and the pages alike: looked at, typed into, broken, taken, released.

The audit says who opened it and who typed, never what: that may be a password.
"""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any, Literal

from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.config import Settings
from pxeapp.consoles import door
from pxeapp.db import Database
from pxeapp.errors import Conflict, FieldProblem, Invalid
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine

KEYS_LIMIT = 4096  # bytes at once; a paste of more comes in pieces
TOLD_EVERY = dt.timedelta(minutes=10)  # who goes on typing is noted again after this long
Act = Literal["break", "take", "release"]
_told: dict[tuple[str, int], dt.datetime] = {}
_lock = threading.Lock()


def has_console(row: Machine) -> bool:
    """Whether it has a BMC whose serial line we can open."""
    return row.bmc is not None and row.bmc.type in ("ipmi", "fake")


def refuse_without(row: Machine) -> None:
    """Raises Conflict for a machine that has none."""
    if not has_console(row):
        raise Conflict(
            f"{row.name} has no BMC that gives us its serial console.", hint="Add its IPMI BMC to the machine."
        )


def standing(settings: Settings, row: Machine) -> dict[str, Any]:
    """Whether it is open, and who watches."""
    if not has_console(row):
        return {"state": "none", "detail": "No BMC of it gives us a serial console.", "viewers": 0, "recording": None}
    return door.ask(settings, {"do": "state", "machine": row.id})


def opened(session: Session, row: Machine, *, actor: str, now: dt.datetime) -> None:
    """Note who looks; raises Conflict where there is no console."""
    refuse_without(row)
    audit.record(session, at=now, actor=actor, action="console.open", subject=row.name)


def type_keys(database: Database, settings: Settings, key: str, data: bytes, *, actor: str, now: dt.datetime) -> None:
    """Type on a machine's console, noting who before anything leaves; raises Invalid and Conflict."""
    data = typed(data)
    with database.read() as session:
        row = selectors.get(session, key)
        refuse_without(row)
    note_typing(database, row, actor=actor, now=now)
    door.keys(settings, row.id, data)


def note_typing(database: Database, row: Machine, *, actor: str, now: dt.datetime) -> None:
    """Note who types: in a transaction of its own, once in a while, and before the keys leave."""
    with _lock:
        before = _told.get((actor, row.id))
    if before is not None and abs(now - before) < TOLD_EVERY:
        return
    with database.write() as session:
        audit.record(session, at=now, actor=actor, action="console.type", subject=row.name)
    with _lock:  # only now is it written down: what could not be is said with the next key
        if len(_told) > 10_000:
            _told.clear()
        _told[actor, row.id] = now


def typed(data: bytes) -> bytes:
    """What may be sent at once; raises Invalid."""
    if not data or len(data) > KEYS_LIMIT:
        raise Invalid(
            f"Between 1 and {KEYS_LIMIT} bytes can be typed at once.",
            problems=[FieldProblem("text", f"{len(data)} bytes", "Send it in pieces.")],
        )
    return data


def act(database: Database, settings: Settings, key: str, what: Act, *, actor: str, now: dt.datetime) -> None:
    """A break, or taking it from another program, or giving it back; who asked for it is noted before it is done.

    The console process may take seconds to answer; no transaction waits for it.
    """
    with database.write() as session:
        row = selectors.get(session, key)
        refuse_without(row)
        audit.record(session, at=now, actor=actor, action=f"console.{what}", subject=row.name)
    door.ask(settings, {"do": what, "machine": row.id})
