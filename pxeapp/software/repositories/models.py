"""A repository's row: what it is, and which generation of it is served."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, String, Text, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from pxeapp.db import Base
from pxeapp.prepared import Prepared, Runner

RESERVED = ("media", "snapshots", "channels", "keys")  # what else lies below /repo/


class SoftwareRepository(Base):
    """One deb or rpm repository, served at /repo/NAME/. Its files are in the store; the row names their manifests."""

    __tablename__ = "software_repositories"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    kind: Mapped[str] = mapped_column(String(3))  # deb, rpm
    origin: Mapped[str] = mapped_column(String(10))  # local, mirror
    description: Mapped[str] = mapped_column(Text, default="")
    suite: Mapped[str] = mapped_column(String(63), default="")  # deb: dists/SUITE
    components: Mapped[list[str]] = mapped_column(default=list)  # deb
    architectures: Mapped[list[str]] = mapped_column(default=list)
    mirror: Mapped[dict[str, Any]] = mapped_column(default=dict)  # of what, and which part; see mirrors/
    manifest: Mapped[str] = mapped_column(String(64), default="")  # of the served tree; "": nothing was published yet
    previous: Mapped[str] = mapped_column(String(64), default="")  # of the tree before it, whose files stay beside
    packages: Mapped[str] = mapped_column(String(64), default="")  # the list of them in the store
    package_count: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    published_at: Mapped[dt.datetime | None]
    problem: Mapped[str] = mapped_column(Text, default="")  # why the last publication or sync failed
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]


_PUBLISHED = Prepared(
    select(SoftwareRepository.id).where(
        SoftwareRepository.name == bindparam("repository_name"), SoftwareRepository.manifest != ""
    )
)


def is_published(run: Runner, name: str) -> bool:
    """Whether one of this name is served, and signed by us; on the hot path of answers."""
    return run.first(_PUBLISHED, repository_name=name) is not None


def kept(session: Session) -> Iterator[tuple[str, bool]]:
    """What the store keeps for repositories, see content/garbage.py."""
    columns = (SoftwareRepository.manifest, SoftwareRepository.previous, SoftwareRepository.packages)
    for manifest, previous, packages in session.execute(select(*columns)):
        yield from ((manifest, True), (previous, True), (packages, False))
