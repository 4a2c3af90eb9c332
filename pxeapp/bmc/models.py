"""Power actions: one row per wish, walked through its phases by the BMC worker and by nobody else.

The row is both the order and the record. Before each command the intent is committed, the
command is sent once, and only an observation moves the row on. See bmc/power.py for the table.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
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
