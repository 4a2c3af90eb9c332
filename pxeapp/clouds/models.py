"""Clouds as rows. The secret is encrypted and goes nowhere but to the cloud's own keystone."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class Cloud(Base):
    """How a cloud is reached: as a user in a project, or with an application credential, which has both in it."""

    __tablename__ = "clouds"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    auth_url: Mapped[str] = mapped_column(String(500))
    region: Mapped[str] = mapped_column(String(255), default="")  # empty: the only one there is
    interface: Mapped[str] = mapped_column(String(10), default="public")  # of the catalogue: public, internal, admin
    username: Mapped[str] = mapped_column(String(255), default="")
    user_domain: Mapped[str] = mapped_column(String(255), default="Default")
    project: Mapped[str] = mapped_column(String(255), default="")
    project_domain: Mapped[str] = mapped_column(String(255), default="Default")
    application_credential: Mapped[str] = mapped_column(String(64), default="")  # its id; then there is no username
    secret_encrypted: Mapped[str] = mapped_column(Text)
    ca: Mapped[str] = mapped_column(Text, default="")  # PEM; empty: those that this host trusts
    version: Mapped[int] = mapped_column(default=1)  # the ETag
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]
