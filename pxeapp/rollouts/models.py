"""Rollouts as rows: the order with its snapshot, a row for each machine, and one for each try of a step."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class Rollout(Base):
    """One order. The text and the plan are what they were when it was made: later edits do not reach it.

    `state`: planned, running, paused, aborting, then done, failed or aborted. The runner works on running and aborting
    ones under a lease; a paused one still brings what is in hand to its end.
    """

    __tablename__ = "rollouts"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), index=True)
    spec: Mapped[dict[str, Any]]  # see spec.py
    plan: Mapped[dict[str, Any]]  # see plan.py: waves, limits in numbers, the arithmetic of the invariants
    state: Mapped[str] = mapped_column(String(10), default="planned", index=True)
    reason: Mapped[str] = mapped_column(Text, default="")  # why it is paused, failed or aborted
    reason_code: Mapped[str] = mapped_column(String(40), default="")
    says: Mapped[str] = mapped_column(Text, default="")  # what it waits for now
    wave: Mapped[int] = mapped_column(default=0)  # the one that is worked on; 0: the canaries
    soak_until: Mapped[dt.datetime | None]  # its machines are all through and are being watched
    passed: Mapped[list[Any]] = mapped_column(
        default=list
    )  # what a person has said yes to: {"wave"}, {"failed"}, {"edits"}
    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[dt.datetime]
    started_at: Mapped[dt.datetime | None]
    deadline: Mapped[dt.datetime | None]
    due_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None] = mapped_column(index=True)
    version: Mapped[int] = mapped_column(default=1)  # the ETag; every change by a person counts it up
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_epoch: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[dt.datetime | None]


class RolloutMember(Base):
    """One machine of a rollout. No foreign key to it: the report stays when the machine goes.

    `state`: waiting, running, then done, failed, skipped or aborted. A failed one counts as down until it is retried or
    skipped, or serves again by itself.
    """

    __tablename__ = "rollout_members"
    __table_args__ = (
        UniqueConstraint("rollout_id", "machine_id"),
        Index(None, "rollout_id", "wave", "position"),
        Index(None, "state", "due_at"),
        Index(None, "machine_id", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    rollout_id: Mapped[int] = mapped_column(ForeignKey("rollouts.id", ondelete="CASCADE"))
    machine_id: Mapped[int]
    machine: Mapped[str] = mapped_column(String(63))  # its name when the rollout was made
    role: Mapped[str | None] = mapped_column(String(63))
    release: Mapped[str | None] = mapped_column(String(63))
    cluster: Mapped[str | None] = mapped_column(String(63))
    wave: Mapped[int]
    position: Mapped[int]  # within the wave
    state: Mapped[str] = mapped_column(String(10), default="waiting")
    step: Mapped[str] = mapped_column(String(12), default="")  # drain, patch, reinstall, run, reboot, verify, undrain
    says: Mapped[str] = mapped_column(Text, default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    reason_code: Mapped[str] = mapped_column(String(40), default="")
    hint: Mapped[str] = mapped_column(Text, default="")
    asked: Mapped[str] = mapped_column(String(10), default="")  # skip, retry or abort, until the runner has done it
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]
    step_deadline: Mapped[dt.datetime | None]
    due_at: Mapped[dt.datetime]
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_epoch: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[dt.datetime | None]


class RolloutStep(Base):
    """One try of one step on one machine, with what it remembers while it runs and what is left of it afterwards."""

    __tablename__ = "rollout_steps"
    __table_args__ = (UniqueConstraint("member_id", "step", "tries"), Index(None, "step", "outcome", "finished_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("rollout_members.id", ondelete="CASCADE"))
    step: Mapped[str] = mapped_column(String(12))
    tries: Mapped[int]
    started_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(10))  # None while it runs; done, failed, aborted
    code: Mapped[str] = mapped_column(String(40), default="")
    says: Mapped[str] = mapped_column(Text, default="")
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    memory: Mapped[dict[str, Any]] = mapped_column(default=dict)
    log: Mapped[bytes] = mapped_column(LargeBinary, default=b"", deferred=True)


class RolloutEvent(Base):
    """One line of a rollout's course, append-only: who began, ended, paused, and what the budget was then."""

    __tablename__ = "rollout_events"
    __table_args__ = (Index(None, "rollout_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    rollout_id: Mapped[int] = mapped_column(ForeignKey("rollouts.id", ondelete="CASCADE"))
    member_id: Mapped[int | None]
    at: Mapped[dt.datetime]
    kind: Mapped[str] = mapped_column(
        String(20)
    )  # start, wave, begin, step, done, fail, skip, pause, resume, soak, ...
    message: Mapped[str] = mapped_column(Text)
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
