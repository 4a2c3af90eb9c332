"""Taking old rows out, after they were written to a file: the one way by which rows ever leave the database.

What was taken out, into which file with which hash, and where the chain goes on from stays in `audit_prunes`, from
which nothing ever goes. The file is on the disk, read back and compared before the first row is deleted.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from pxeapp.audit import chain, search
from pxeapp.audit.models import AuditPrune, AuditRow
from pxeapp.audit.recording import record
from pxeapp.db import one_at_a_time
from pxeapp.errors import Conflict, Invalid

AT_ONCE = 1000
KEPT = dt.timedelta(days=30)  # so much always stays


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was taken out."""

    rows: int
    through: int
    file: str
    sha256: str


def prune(session: Session, *, before: dt.datetime, file: Path, actor: str, now: dt.datetime) -> Pruned:
    """Export every row from before a moment and take it out; raises Conflict where the chain is broken.

    Needs a write transaction, which nobody else writes beside: on a large audit this takes a while.
    """
    if before > now - KEPT:
        raise Invalid(f"The last {KEPT.days} days stay in the database.", hint="Give an earlier moment.")
    one_at_a_time(session, "audit")
    found = chain.verify(session)
    if found.problems:
        raise Conflict(f"Nothing was taken out: {found.problems[0]}", hint="Look at it with: pxeapp audit verify")
    # Only what is old down to the first row that is not: the chain has one beginning.
    young = session.scalar(select(func.min(AuditRow.number)).where(AuditRow.at >= before))
    through = (young or found.number) - 1
    last = session.scalar(select(AuditRow).where(AuditRow.number == through))
    if last is None:
        return Pruned(0, found.pruned, "", "")
    written, sha256 = _write(session, through, file)
    session.add(
        AuditPrune(
            at=now, actor=actor[:200], through=through, hash=last.hash, rows=written, file=str(file), sha256=sha256
        )
    )
    session.flush()
    session.execute(delete(AuditRow).where(AuditRow.number <= through).execution_options(synchronize_session=False))
    record(
        session, at=now, actor=actor, action="audit.prune", subject="audit", rows=written, through=through,
        file=str(file), sha256=sha256,
    )  # fmt: skip
    return Pruned(written, through, str(file), sha256)


def _write(session: Session, through: int, file: Path) -> tuple[int, str]:
    """JSON lines, on the disk before anything is deleted; an existing file is never written over."""
    written, digest = 0, hashlib.sha256()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        for row in _rows(session, through):
            line = (json.dumps(search.shown(row)) + "\n").encode()
            target.write(line)
            digest.update(line)
            written += 1
        target.flush()
        os.fsync(target.fileno())
    with file.open("rb") as source:
        again = hashlib.file_digest(source, "sha256")
    if again.hexdigest() != digest.hexdigest():
        raise Conflict(f"{file} cannot be read back as it was written; nothing was taken out.")
    return written, digest.hexdigest()


def _rows(session: Session, through: int) -> Iterator[AuditRow]:
    after = 0
    while True:
        part = select(AuditRow).where(AuditRow.number > after, AuditRow.number <= through).order_by(AuditRow.number)
        rows = session.scalars(part.limit(AT_ONCE)).all()
        yield from rows
        if len(rows) < AT_ONCE:
            return
        after = rows[-1].number or through
        session.expunge_all()
