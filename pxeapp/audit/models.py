"""The audit's tables, and the triggers by which the database itself refuses to change or forget a row."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import DDL, JSON, BigInteger, Index, String, Text, event
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.audit.triggers import POSTGRESQL, SQLITE
from pxeapp.db import Base


class AuditRow(Base):
    """One change or refusal. `actor` is `user:NAME`, `token:NAME`, `node:MAC`, `system:PART` or `nobody`."""

    __tablename__ = "audit"
    __table_args__ = (
        Index(None, "subject", "id"),
        Index(None, "actor", "id"),
        Index(None, "action", "id"),
        Index(None, "outcome", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(100))
    subject: Mapped[str] = mapped_column(String(200))
    details: Mapped[dict[str, Any]]
    outcome: Mapped[str] = mapped_column(String(8), default="done")  # done, refused
    address: Mapped[str] = mapped_column(String(45), default="")  # where the request came from; empty: no request
    request_id: Mapped[str] = mapped_column(String(64), default="")
    before: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)  # what changed, as it was
    after: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    # The chain, filled in at the end of the row's own transaction; see chain.py. Numbers have no gaps, ids may.
    number: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    previous: Mapped[str] = mapped_column(String(64), default="")
    hash: Mapped[str] = mapped_column(String(64), default="")


class AuditPrune(Base):
    """Old rows that were exported and then taken out: only up to `through` does the database let rows go."""

    __tablename__ = "audit_prunes"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime]
    actor: Mapped[str] = mapped_column(String(200))
    through: Mapped[int] = mapped_column(BigInteger)  # the number of the last row that was taken out
    hash: Mapped[str] = mapped_column(String(64))  # its hash, which the chain goes on from
    rows: Mapped[int] = mapped_column(BigInteger)
    file: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))  # of the file


for _dialect, _statements in (("sqlite", SQLITE), ("postgresql", POSTGRESQL)):
    for _statement in _statements:
        # On the later of the two tables: the triggers of one read the other.
        event.listen(AuditPrune.__table__, "after_create", DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]
AuditPrune.__table__.add_is_dependent_on(AuditRow.__table__)  # type: ignore[attr-defined]
