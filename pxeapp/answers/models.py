"""Roles: what a machine becomes. They are rows, so that a site can add its own."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class Role(Base):
    """A role names packages per family, a storage layout and what the templates may use besides."""

    __tablename__ = "roles"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)  # base, compute, storage
    description: Mapped[str] = mapped_column(Text, default="")
    packages: Mapped[dict[str, Any]] = mapped_column(default=dict)  # {"debian": [...], "el": [...]}
    services: Mapped[dict[str, Any]] = mapped_column(default=dict)
    storage: Mapped[dict[str, Any]] = mapped_column(default=dict)
    vars: Mapped[dict[str, Any]] = mapped_column(default=dict)
    variables: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what it declares itself
    builtin: Mapped[bool] = mapped_column(default=False)
