"""Deployments: one row per attempt, with its netboot grant, its tokens and what it was given."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class Deployment(Base):
    """One attempt to bring a machine to a release and role.

    The reconciler works on rows whose `outcome` is None and `due_at` has come, under a lease
    whose epoch is compared in the same UPDATE that commits a step.
    """

    __tablename__ = "deployments"
    __table_args__ = (Index(None, "outcome", "due_at"), Index(None, "machine_id", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"))
    attempt: Mapped[int]  # counts per machine, from 1
    release: Mapped[str] = mapped_column(String(63))
    role: Mapped[str] = mapped_column(String(63))
    requested_by: Mapped[str] = mapped_column(String(200))
    requested_at: Mapped[dt.datetime]
    # Of a rollout's: what it is installed from is as it was then, see editions.py. None: as it is when it is asked for.
    as_of: Mapped[dict[str, int] | None] = mapped_column(JSON(none_as_null=True))
    step: Mapped[str] = mapped_column(String(20), default="requested")  # see provisioning/steps.py
    step_since: Mapped[dt.datetime]
    step_deadline: Mapped[dt.datetime]
    deadline: Mapped[dt.datetime]  # of the whole attempt
    due_at: Mapped[dt.datetime]
    progress: Mapped[str] = mapped_column(Text, default="")  # the installer's last word
    outcome: Mapped[str | None] = mapped_column(String(12))  # None while running; succeeded, failed, aborted
    reason: Mapped[str] = mapped_column(Text, default="")
    reason_code: Mapped[str] = mapped_column(String(40), default="")
    admitted_at: Mapped[dt.datetime | None] = mapped_column(index=True)  # its turn to be switched on; see admission.py
    finished_at: Mapped[dt.datetime | None]
    power_action_id: Mapped[int | None]
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_epoch: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[dt.datetime | None]

    # The one-shot, expiring right to netboot. armed -> claimed -> disarmed; see provisioning/grants.py
    grant: Mapped[str] = mapped_column(String(10), default="disarmed")
    armed_until: Mapped[dt.datetime | None]
    claimed_address: Mapped[str | None] = mapped_column(String(45))
    claimed_at: Mapped[dt.datetime | None]
    frozen: Mapped[bool] = mapped_column(default=False)  # a second claimant came from another address
    steps: Mapped[list[Any]] = mapped_column(
        default=list
    )  # [{"step", "at", "evidence"}] in the order they were reached


class NodeToken(Base):
    """A token that a machine presents; only its SHA-256 is kept."""

    __tablename__ = "node_tokens"
    __table_args__ = (UniqueConstraint("deployment_id", "scope"),)

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"))
    scope: Mapped[str] = mapped_column(String(10))  # config, callback
    expires_at: Mapped[dt.datetime]
    uses_left: Mapped[int | None]  # None: not counted


class Served(Base):
    """The record, by hash, of the exact bytes that a machine was given in this attempt."""

    __tablename__ = "served"
    __table_args__ = (UniqueConstraint("deployment_id", "kind", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"))
    at: Mapped[dt.datetime]
    kind: Mapped[str] = mapped_column(String(30))  # ipxe, grub, pxelinux, kickstart, preseed, kernel, initrd
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    # The bytes themselves, see keeping.py. None: from before they were kept. No foreign key: an answer never fails for
    # what is only kept of it.
    base: Mapped[str | None] = mapped_column(String(64), index=True)
    record: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)


class GivenBase(Base):
    """What many records say alike, once: they are written as what differs from it (see keeping.py)."""

    __tablename__ = "given_bases"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[dt.datetime]
    content: Mapped[bytes] = mapped_column(LargeBinary)


class NodeLog(Base):
    """A log that an installer sent, capped in size."""

    __tablename__ = "node_logs"
    __table_args__ = (UniqueConstraint("deployment_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(64))
    at: Mapped[dt.datetime]
    content: Mapped[bytes] = mapped_column(LargeBinary)


class DeploymentRecord(Base):
    """What is left of a finished attempt for the reports: narrow, so that 100,000 are summed up in a moment.

    It outlives its machine: numbers of a year do not change because a server was taken out of its rack.
    """

    __tablename__ = "deployment_records"
    __table_args__ = (Index(None, "machine_id", "finished_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_id: Mapped[int]
    machine_id: Mapped[int]
    machine: Mapped[str] = mapped_column(String(63))
    release: Mapped[str] = mapped_column(String(63))
    role: Mapped[str] = mapped_column(String(63))
    requested_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime] = mapped_column(index=True)
    outcome: Mapped[str] = mapped_column(String(12))
    reason_code: Mapped[str] = mapped_column(String(40))
    took_ms: Mapped[int] = mapped_column(BigInteger)
    # How long after the step before it each step was reached; None: it was not, or was only implied by a later one.
    armed: Mapped[int | None] = mapped_column(BigInteger)
    power_cycled: Mapped[int | None] = mapped_column(BigInteger)
    dhcp_seen: Mapped[int | None] = mapped_column(BigInteger)
    nbp_fetched: Mapped[int | None] = mapped_column(BigInteger)
    kernel_fetched: Mapped[int | None] = mapped_column(BigInteger)
    answer_fetched: Mapped[int | None] = mapped_column(BigInteger)
    installing: Mapped[int | None] = mapped_column(BigInteger)
    installed: Mapped[int | None] = mapped_column(BigInteger)
    first_boot: Mapped[int | None] = mapped_column(BigInteger)
    verified: Mapped[int | None] = mapped_column(BigInteger)


class Breaker(Base):
    """The one row that says whether machines that work may be reinstalled; see breaker.py."""

    __tablename__ = "breaker"

    id: Mapped[int] = mapped_column(primary_key=True)
    opened_at: Mapped[dt.datetime | None]  # None: closed
    reason: Mapped[str] = mapped_column(Text, default="")
    after_id: Mapped[int] = mapped_column(default=0)  # deployments up to this one are not counted any more
    reset_at: Mapped[dt.datetime | None]
    reset_by: Mapped[str | None] = mapped_column(String(200))
