"""What is kept of a task: one row, the order and the record of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class SoftwareTask(Base):
    """`outcome` is None until it has ended: done, failed, cancelled. A runner works on it under a lease."""

    __tablename__ = "software_tasks"
    __table_args__ = (Index(None, "finished_at", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))  # a key of software/kinds.py
    subject: Mapped[str] = mapped_column(String(120))  # what it works on, by name; one at a time of a kind
    options: Mapped[dict[str, Any]]
    requested_by: Mapped[str] = mapped_column(String(200))
    requested_at: Mapped[dt.datetime]
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(10))
    cancelled: Mapped[bool] = mapped_column(default=False)  # somebody asked for it to stop
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int] = mapped_column(BigInteger, default=0)  # 0: not known yet
    unit: Mapped[str] = mapped_column(String(10), default="")  # bytes, files, packages
    says: Mapped[str] = mapped_column(Text, default="")  # what it is at
    problem: Mapped[str] = mapped_column(Text, default="")  # why it failed, as a sentence
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    begun: Mapped[int] = mapped_column(default=0)  # how often: what ends the process each time is given up
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[dt.datetime | None]
