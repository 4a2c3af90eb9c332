"""One row about the appliance as a whole, shared by all its processes on all its hosts."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base

ONLY = 1  # the number of the one row


class Appliance(Base):
    """`observing_since` is None while the appliance does its work."""

    __tablename__ = "appliance"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    clock_at: Mapped[dt.datetime | None]  # the newest time that a worker saw; see clock.py
    observing_since: Mapped[dt.datetime | None]
    observing_reason: Mapped[str] = mapped_column(Text, default="")
