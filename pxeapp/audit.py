"""Who did what, when, to what: append-only. No state change goes without a row here."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, Session, mapped_column

from pxeapp.db import Base


class AuditRow(Base):
    """One change. `actor` is `user:NAME`, `token:NAME`, `node:MAC` or `system:PART`."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "subject", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime]
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(100))
    subject: Mapped[str] = mapped_column(String(200))
    details: Mapped[dict[str, Any]]


def record(session: Session, *, at: dt.datetime, actor: str, action: str, subject: str, **details: Any) -> None:
    """Add a row to the change's own transaction, so that neither exists without the other. Never pass a secret."""
    session.add(AuditRow(at=at, actor=actor, action=action, subject=subject, details=details))
