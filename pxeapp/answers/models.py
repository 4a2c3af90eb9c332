"""Roles, which say what a machine becomes, and the versions of a site's templates: rows, so that a site has its own."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import String, Text, UniqueConstraint
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


class TemplateVersion(Base):
    """One version of a site's own template. The newest counts on every host; it is written to its folder as a file."""

    __tablename__ = "template_versions"
    __table_args__ = (UniqueConstraint("path", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(String(255))  # kickstarts/base.ks
    number: Mapped[int]  # counts per path, from 1
    content: Mapped[str | None] = mapped_column(Text)  # None: deleted, so that ours counts again
    sha256: Mapped[str] = mapped_column(String(64))  # of the text; empty where it was deleted
    author: Mapped[str] = mapped_column(String(200))
    at: Mapped[dt.datetime]
    comment: Mapped[str] = mapped_column(Text, default="")
