"""How an installed machine is reached over ssh: the keys that it is known by, and where it was heard from last."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class Node(Base):
    """One machine's system as it answers on ssh. No row: it has never called in, and nobody has said its keys."""

    __tablename__ = "nodes"

    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"), primary_key=True)
    host_keys: Mapped[list[str]] = mapped_column(default=list)  # "ssh-ed25519 AAAA...": it must show one of them
    keys_from: Mapped[str] = mapped_column(String(200))  # first_boot, or the operator who said them
    keys_at: Mapped[dt.datetime]
    reported_address: Mapped[str] = mapped_column(String(45), default="")  # where its first boot called in from
    # What an operator says of it; empty: as the machine's own rows have it.
    address: Mapped[str] = mapped_column(String(253), default="")
    port: Mapped[int] = mapped_column(default=22)
    username: Mapped[str] = mapped_column(String(32), default="")
