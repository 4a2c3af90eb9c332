"""What is kept of a job: one row per order and one per machine, so that each can be reported."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class Job(Base):
    """One order. `finished_at` is None while it runs; a runner works on it under a lease."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str] = mapped_column(String(20))  # see provisioning/bulk.py
    options: Mapped[dict[str, Any]]
    requested_by: Mapped[str] = mapped_column(String(200))
    requested_at: Mapped[dt.datetime]
    total: Mapped[int]
    cancelled: Mapped[bool] = mapped_column(default=False)  # what waits is not begun any more
    finished_at: Mapped[dt.datetime | None] = mapped_column(index=True)
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[dt.datetime | None]


class JobItem(Base):
    """One machine of a job. No foreign key to it: the report stays when the machine goes."""

    __tablename__ = "job_items"
    __table_args__ = (Index(None, "job_id", "outcome", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    machine_id: Mapped[int]
    machine: Mapped[str] = mapped_column(String(63))  # its name when the job was ordered
    outcome: Mapped[str] = mapped_column(String(10), default="waiting")  # waiting, done, refused, cancelled
    detail: Mapped[str] = mapped_column(Text, default="")  # the sentence of a refusal
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what it led to: {"deployment": 7}
    at: Mapped[dt.datetime | None]
