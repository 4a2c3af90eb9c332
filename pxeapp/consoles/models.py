"""What is kept of consoles: the recordings' rows; their text lies in files of the data directory."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class ConsoleRecording(Base):
    """What a machine's serial port said during one deployment; the file is `consoles/ID.cast`."""

    __tablename__ = "console_recordings"
    __table_args__ = (Index(None, "machine_id", "id"), Index(None, "ended_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"))
    deployment_id: Mapped[int | None] = mapped_column(unique=True)
    title: Mapped[str] = mapped_column(String(200), default="")
    started_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]  # None: it is being recorded
    size: Mapped[int] = mapped_column(default=0)  # bytes of the file when it was last looked at
    cut: Mapped[bool] = mapped_column(default=False)  # it said more than a recording may hold
    trouble: Mapped[str] = mapped_column(String(300), default="")  # why nothing, or not everything, was heard
