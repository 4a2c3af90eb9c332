"""The chain over the audit: each row's hash covers the row and the hash before it, so that tampering is found.

A row gets its place at the very end of its own transaction. Until then nobody waits for anybody; from then on only a
few statements are left, which need nothing that others hold. Numbers have no gaps: a row that is gone leaves one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, bindparam, event, func, select, update
from sqlalchemy.orm import Session

from pxeapp.audit.models import AuditPrune, AuditRow
from pxeapp.audit.recording import ADDED
from pxeapp.audit.triggers import KEPT
from pxeapp.db import one_at_a_time

AT_ONCE = 1000
MOST_PROBLEMS = 50
_TABLE: Any = AuditRow.__table__
# An id is the database's affair: a restore may give others.
_CONTENT = tuple(_TABLE.c[name] for name in KEPT if name != "id")
_PLACE = (_TABLE.c.id, _TABLE.c.number, _TABLE.c.previous, _TABLE.c.hash)


@dataclass
class Verified:
    """What a look through the whole chain found."""

    rows: int = 0
    pruned: int = 0  # the number up to which rows were exported and taken out
    number: int = 0  # of the last row
    head: str = ""  # its hash: who keeps this elsewhere notices that the end was cut off
    problems: list[str] = field(default_factory=list)

    def say(self, problem: str) -> None:
        """Note a problem; of very many the first ones are enough."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def digest(number: int, previous: str, row: Row[Any]) -> str:
    """The hash of a row at its place, from the values as the database gives them back."""
    said: dict[str, Any] = {column.name: row._mapping[column] for column in _CONTENT}
    said["at"] = said["at"].isoformat()
    text = json.dumps([number, previous, said], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def seal(session: Session) -> None:
    """Give every row of this transaction its place; the caller commits right after it."""
    one_at_a_time(session, "audit")
    number, previous = last(session)
    fresh = select(_TABLE.c.id, *_CONTENT).where(_TABLE.c.number.is_(None)).order_by(_TABLE.c.id)
    places = []
    for row in session.execute(fresh).all():
        number += 1
        found = digest(number, previous, row)
        places.append({"row": row.id, "number": number, "previous": previous, "hash": found})
        previous = found
    if places:
        session.connection().execute(update(_TABLE).where(_TABLE.c.id == bindparam("row")), places)


def last(session: Session) -> tuple[int, str]:
    """Number and hash of the last row."""
    newest = select(_TABLE.c.number, _TABLE.c.hash).where(_TABLE.c.number.is_not(None))
    row = session.execute(newest.order_by(_TABLE.c.number.desc()).limit(1)).first()
    return (row.number, row.hash) if row is not None else beginning(session)


def beginning(session: Session) -> tuple[int, str]:
    """What the first row that is still there goes on from."""
    row = session.scalar(select(AuditPrune).order_by(AuditPrune.through.desc()).limit(1))
    return (row.through, row.hash) if row is not None else (0, "")


def holds(session: Session, said: str) -> bool:
    """Whether a hash that was noted down earlier is still one of the chain's."""
    if session.scalar(select(_TABLE.c.id).where(_TABLE.c.hash == said).limit(1)) is not None:
        return True
    return session.scalar(select(AuditPrune.id).where(AuditPrune.hash == said).limit(1)) is not None


def verify(session: Session) -> Verified:
    """Look at every row; needs no more memory for a million of them."""
    found = Verified()
    found.number, found.head = beginning(session)
    found.pruned = found.number
    early = select(func.count()).select_from(_TABLE).where(_TABLE.c.number <= found.number)
    if session.scalar(early):
        found.say(f"There are rows up to number {found.number}, which were exported and taken out.")
    after = found.number
    while True:
        part = select(*_PLACE, *_CONTENT).where(_TABLE.c.number > after).order_by(_TABLE.c.number).limit(AT_ONCE)
        rows = session.execute(part).all()
        for row in rows:
            _look_at(found, row)
        if len(rows) < AT_ONCE:
            break
        after = rows[-1].number
    if loose := session.scalar(select(func.count()).select_from(_TABLE).where(_TABLE.c.number.is_(None))):
        found.say(f"{loose} rows have no place in the chain: something else than pxeapp wrote them.")
    return found


def _look_at(found: Verified, row: Row[Any]) -> None:
    expected = found.number + 1
    if row.number != expected:
        gone = f"Row {expected} is" if row.number == expected + 1 else f"Rows {expected} to {row.number - 1} are"
        found.say(f"{gone} missing.")
    elif row.previous != found.head:
        found.say(f"Row {row.number} does not go on from the row before it.")
    if row.hash != digest(row.number, row.previous, row):
        found.say(f"Row {row.number} ({row.action} of {row.subject}) was changed.")
    found.rows += 1
    found.number, found.head = row.number, row.hash


@event.listens_for(Session, "before_commit")
def _at_the_end(session: Session) -> None:
    if session.info.get(ADDED) and not session.in_nested_transaction():
        session.flush()
        seal(session)
        session.info[ADDED] = False
