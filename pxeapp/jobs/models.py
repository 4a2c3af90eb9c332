"""What is kept of a job: one row per order and one per machine, so that each can be reported.

A job that looks at its machines together, and changes none, has no rows of machines: it says how many it has looked at.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base

COMPARE = "diff"  # the action of a job that compares, see provisioning/comparing.py


class Job(Base):
    """One order. `finished_at` is None while it runs; a runner works on it under a lease."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str] = mapped_column(String(20))  # see provisioning/bulk.py; or COMPARE
    options: Mapped[dict[str, Any]]
    requested_by: Mapped[str] = mapped_column(String(200))
    requested_at: Mapped[dt.datetime]
    total: Mapped[int]
    cancelled: Mapped[bool] = mapped_column(default=False)  # what waits is not begun any more
    finished_at: Mapped[dt.datetime | None] = mapped_column(index=True)
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[dt.datetime | None]
    # Of a job without rows of machines: how many were looked at, and why all of it failed.
    reached: Mapped[int] = mapped_column(default=0, server_default="0")
    problem: Mapped[str | None] = mapped_column(Text)


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


class JobContent(Base):
    """What a job without rows of machines is to do, and what it found; sealed, for a template may say a secret."""

    __tablename__ = "job_contents"

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    wanted: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)  # None once the job has ended
    begun: Mapped[int] = mapped_column(default=0)  # how often: what ends the process each time is given up
    found: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
