"""What is kept of a medium: where it came from, what is on it, what vouches for it, and which tree is served of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from pxeapp.db import Base


class SoftwareMedium(Base):
    """An imported medium, served at /repo/media/NAME/. Its files are in the store; the row names their manifest."""

    __tablename__ = "software_media"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    title: Mapped[str] = mapped_column(String(200))  # Rocky Linux 9.4 DVD
    layout: Mapped[str] = mapped_column(String(20))  # a key of layouts.LAYOUTS
    family: Mapped[str] = mapped_column(String(20))
    version: Mapped[str] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(String(20))  # dvd, boot, minimal, netinst, live-server, server, cd
    label: Mapped[str] = mapped_column(String(32), default="")  # the volume's
    source: Mapped[str] = mapped_column(Text)  # the upload's or file's name, or the URL
    iso_sha256: Mapped[str] = mapped_column(String(64))
    iso_bytes: Mapped[int] = mapped_column(BigInteger)
    iso: Mapped[str] = mapped_column(String(255), default="")  # its path in the tree, where it is served whole
    kernel: Mapped[str] = mapped_column(String(255), default="")
    initrd: Mapped[str] = mapped_column(String(255), default="")
    stage2: Mapped[str] = mapped_column(String(255), default="")
    repositories: Mapped[list[Any]] = mapped_column(default=list)  # [{"name", "path"}]
    checks: Mapped[list[Any]] = mapped_column(default=list)  # [{"what", "verified", "says"}]
    remarks: Mapped[list[Any]] = mapped_column(default=list)  # sentences: links left out, why there is no release
    files: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    manifest: Mapped[str] = mapped_column(String(64))
    previous: Mapped[str] = mapped_column(String(64), default="")  # the tree before it, whose files stay beside
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]


def kept(session: Session) -> Iterator[tuple[str, bool]]:
    """What the store keeps for media, see content/garbage.py."""
    for manifest, previous in session.execute(select(SoftwareMedium.manifest, SoftwareMedium.previous)):
        yield from ((manifest, True), (previous, True))
