"""Webhooks, what each was sent, and how far the audit log has been told."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class Webhook(Base):
    """An address that is told of changes. Its secret is encrypted and goes nowhere but into signatures."""

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[str]] = mapped_column(default=list)  # machine.*, network.change; none: all
    secret_encrypted: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(default=True)
    problem: Mapped[str] = mapped_column(Text, default="")  # the last failure's sentence, or why it was disabled
    failures: Mapped[int] = mapped_column(default=0)  # since the last success
    failing_since: Mapped[dt.datetime | None]
    due_at: Mapped[dt.datetime]  # not tried before
    lease_until: Mapped[dt.datetime | None]
    version: Mapped[int] = mapped_column(default=1)  # the ETag; counts what an operator changed
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]


class Delivery(Base):
    """One change for one webhook."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (UniqueConstraint("webhook_id", "change_id", "replay"), Index(None, "webhook_id", "outcome", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    change_id: Mapped[int]  # the audit row's number; 0 for a test
    replay: Mapped[int] = mapped_column(default=0)  # counts the times an operator asked for it again
    event: Mapped[str] = mapped_column(String(100))
    body: Mapped[dict[str, Any]]
    outcome: Mapped[str] = mapped_column(String(10), default="waiting")  # waiting, delivered, failed
    attempts: Mapped[int] = mapped_column(default=0)
    status: Mapped[int | None]  # the receiver's last answer
    problem: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[dt.datetime] = mapped_column(index=True)
    finished_at: Mapped[dt.datetime | None]


class Told(Base):
    """How far the audit log has been turned into deliveries; one row."""

    __tablename__ = "webhooks_told"

    id: Mapped[int] = mapped_column(primary_key=True)
    change_id: Mapped[int]
