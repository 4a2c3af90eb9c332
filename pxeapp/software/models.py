"""Releases: what can be installed, and where its parts lie."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class Release(Base):
    """An installable operating system release.

    Kernel and initrd lie in `media_dir/NAME/`; each is verified against its SHA-256 before it
    becomes bootable (`ready`). `family` and `version` choose the answer file's template and
    rules; `installer` says which kind of answer file the installer reads.
    """

    __tablename__ = "releases"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)  # debian-13, rocky-9
    family: Mapped[str] = mapped_column(String(20))  # centos, rocky, alma, debian, ubuntu
    version: Mapped[str] = mapped_column(String(20))  # 7, 9, 10, 12, 13, 18.04, 20.04
    installer: Mapped[str] = mapped_column(String(12))  # kickstart, preseed, autoinstall
    kernel: Mapped[str] = mapped_column(String(255), default="")  # file below media_dir/NAME
    kernel_sha256: Mapped[str] = mapped_column(String(64), default="")
    initrd: Mapped[str] = mapped_column(String(255), default="")
    initrd_sha256: Mapped[str] = mapped_column(String(64), default="")
    kernel_args: Mapped[str] = mapped_column(Text, default="")  # added to the installer's own
    install_url: Mapped[str] = mapped_column(
        Text, default=""
    )  # the tree or mirror the installer reads; {node_url} is filled in
    repositories: Mapped[list[Any]] = mapped_column(default=list)  # [{"name", "url", "suite"?, "components"?, "key"?}]
    settings: Mapped[dict[str, Any]] = mapped_column(
        default=dict
    )  # e.g. {"udeb_suite": ..., "allow_unauthenticated": true}
    ready: Mapped[bool] = mapped_column(default=False)
    problem: Mapped[str] = mapped_column(Text, default="")  # why it is not ready
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]
