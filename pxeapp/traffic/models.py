"""Answers that are kept for whoever did not get them the first time."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class KeptAnswer(Base):
    """A request that came with an Idempotency-Key, and what was answered; `status` is None while it is worked on."""

    __tablename__ = "kept_answers"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # the hash of who asked and their key
    request: Mapped[str] = mapped_column(String(64))  # the hash of method, path and body
    at: Mapped[dt.datetime] = mapped_column(index=True)
    status: Mapped[int | None]
    headers: Mapped[dict[str, str]] = mapped_column(default=dict)
    # Encrypted: an answer may hold what is shown once.
    body: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
