"""Power actions: one row per wish, walked through its phases by the BMC worker and by nobody else.

The row is both the order and the record. Before each command the intent is committed, the
command is sent once, and only an observation moves the row on. See bmc/power.py for the table.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class PowerAction(Base):
    """`goal` is on, off, cycle or netboot (off, boot device network, on); `phase` is where it stands."""

    __tablename__ = "power_actions"
    __table_args__ = (Index(None, "finished_at", "due_at"), Index(None, "machine_id", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"))
    deployment_id: Mapped[int | None]
    goal: Mapped[str] = mapped_column(String(10))
    boot_device: Mapped[str | None] = mapped_column(String(10))  # network, disk; None: leave as it is
    phase: Mapped[str] = mapped_column(String(20), default="requested")
    outcome: Mapped[str | None] = mapped_column(String(20))  # None while running; done, failed, unconfirmed, cancelled
    error_code: Mapped[str] = mapped_column(
        String(30), default=""
    )  # unreachable, wrong_password, refused, unconfirmed, ...
    error: Mapped[str] = mapped_column(Text, default="")  # the sentence
    requested_by: Mapped[str] = mapped_column(String(200))
    requested_at: Mapped[dt.datetime]
    phase_since: Mapped[dt.datetime]
    due_at: Mapped[dt.datetime]  # when the worker looks at it next
    deadline: Mapped[dt.datetime]  # past it the action fails with what was last observed
    finished_at: Mapped[dt.datetime | None]
    command_at: Mapped[
        dt.datetime | None
    ]  # when the last power command to this BMC was intended or left, by this action or before
    renewed: Mapped[int] = mapped_column(
        default=0
    )  # intents renewed after a crash, on a fresh observation; see power.py
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_epoch: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[dt.datetime | None]
    log: Mapped[list[Any]] = mapped_column(default=list)  # [{"at", "phase", "note"}]: intents, sends, observations


class BmcOrder(Base):
    """One question to a BMC, or a small command that is no power action; the worker asks, everybody reads the row.

    `kind` is a name from bmc/orders.py's table. A machine has at most one unfinished order of a kind.
    """

    __tablename__ = "bmc_orders"
    __table_args__ = (Index(None, "finished_at", "due_at"), Index(None, "machine_id", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(20))
    argument: Mapped[dict[str, Any]] = mapped_column(default=dict)
    outcome: Mapped[str | None] = mapped_column(String(20))  # None while it waits or runs; done, failed
    error_code: Mapped[str] = mapped_column(String(30), default="")
    error: Mapped[str] = mapped_column(Text, default="")  # the sentence
    requested_by: Mapped[str] = mapped_column(String(200))
    requested_at: Mapped[dt.datetime]
    due_at: Mapped[dt.datetime]
    deadline: Mapped[dt.datetime]  # past it the order fails, whoever held it
    finished_at: Mapped[dt.datetime | None]
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_epoch: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[dt.datetime | None]  # while it lies ahead, this BMC is being asked


class BmcFact(Base):
    """What a BMC said last, and when: one row a machine and kind, replaced by the next answer."""

    __tablename__ = "bmc_facts"

    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)  # sensors, boot_device, identity, sel
    seen_at: Mapped[dt.datetime]
    value: Mapped[dict[str, Any]]


class SelEntry(Base):
    """One line of a BMC's event log as we read it; it stays when the BMC's own log is cleared or wraps around."""

    __tablename__ = "sel_entries"
    __table_args__ = (UniqueConstraint("machine_id", "raw"), Index(None, "machine_id", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"))
    raw: Mapped[str] = mapped_column(String(32))  # the 16 bytes of the record, in hexadecimal
    record: Mapped[int]  # the BMC's own number; it begins anew after a clearing
    at: Mapped[dt.datetime | None]  # by the BMC's clock; None: before that was set
    sensor: Mapped[str] = mapped_column(String(100))
    event: Mapped[str] = mapped_column(String(200))
    severity: Mapped[str] = mapped_column(String(10))  # ok, warning, critical, failed
    asserted: Mapped[bool] = mapped_column(default=True)
    seen_at: Mapped[dt.datetime]  # when we first read it
