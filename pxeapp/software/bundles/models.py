"""What is kept of a bundle: one row for each that was made here, and for each that was imported."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base

MADE, IMPORTED = "made", "imported"


class Bundle(Base):
    """A bundle. The files of those that were made lie below `data_dir/bundles/NAME`."""

    __tablename__ = "software_bundles"
    __table_args__ = (UniqueConstraint("name", "direction"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63))
    direction: Mapped[str] = mapped_column(String(8))  # made, imported
    identity: Mapped[str] = mapped_column(String(64))  # SHA-256 of its index, which is what is signed
    signed_by: Mapped[list[str]] = mapped_column(default=list)  # fingerprints
    parts: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)  # of all parts
    contents: Mapped[dict[str, Any]] = mapped_column(default=dict)  # releases, snapshots, ... by name
    since: Mapped[str] = mapped_column(String(63), default="")  # the snapshot that the other side has already
    by: Mapped[str] = mapped_column(String(200))
    at: Mapped[dt.datetime]
