"""Snapshots, the channels that lead to one, and the record of who was given which."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from pxeapp.db import Base


class Snapshot(Base):
    """Repositories as they were at one moment. Nothing of it changes, and its name never means anything else.

    The row of a deleted one stays for that reason: machines, logs and histories name it.
    """

    __tablename__ = "software_snapshots"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    digest: Mapped[str] = mapped_column(String(64))  # over everything that is in it
    description: Mapped[str] = mapped_column(Text, default="")
    origin: Mapped[str] = mapped_column(String(200), default="")  # the bundle that brought it; "": taken here
    taken_by: Mapped[str] = mapped_column(String(200))
    taken_at: Mapped[dt.datetime]
    published_at: Mapped[dt.datetime | None]  # None: its trees are being made
    deleted_at: Mapped[dt.datetime | None]

    repositories: Mapped[list[SnapshotRepository]] = relationship(
        cascade="all, delete-orphan", order_by="SnapshotRepository.name"
    )


class SnapshotRepository(Base):
    """One repository of a snapshot, as `SoftwareRepository` was then."""

    __tablename__ = "software_snapshot_repositories"
    __table_args__ = (UniqueConstraint("snapshot_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("software_snapshots.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(3))
    description: Mapped[str] = mapped_column(Text, default="")
    suite: Mapped[str] = mapped_column(String(63), default="")
    components: Mapped[list[str]] = mapped_column(default=list)
    architectures: Mapped[list[str]] = mapped_column(default=list)
    manifest: Mapped[str] = mapped_column(String(64))
    served: Mapped[str] = mapped_column(String(64), default="")  # of a bundle: the same tree, signed by our key
    packages: Mapped[str] = mapped_column(String(64), default="")
    package_count: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)


class Channel(Base):
    """A name that leads to one snapshot after the other: dev, staging, production."""

    __tablename__ = "software_channels"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    position: Mapped[int]  # promotion goes from the lower to the next higher
    snapshot: Mapped[str | None] = mapped_column(String(63))  # what it is to lead to; None: nothing yet
    published: Mapped[str | None] = mapped_column(String(63))  # what it leads to on the disk
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]


class ChannelMove(Base):
    """One line of a channel's history: append-only, for as long as there is the channel."""

    __tablename__ = "software_channel_moves"
    __table_args__ = (Index(None, "channel", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(63))
    at: Mapped[dt.datetime]
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(10))  # promote, rollback
    snapshot: Mapped[str] = mapped_column(String(63))
    digest: Mapped[str] = mapped_column(String(64))
    before: Mapped[str | None] = mapped_column(String(63))
    forced: Mapped[bool] = mapped_column(default=False)  # it was not in the channel before this one
    reason: Mapped[str] = mapped_column(Text, default="")


class SnapshotUse(Base):
    """The record that somebody was given a snapshot: `subject` is deployment:12 or rollout:7."""

    __tablename__ = "software_snapshot_uses"
    __table_args__ = (Index(None, "subject"), Index(None, "snapshot", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(40))
    machine: Mapped[str] = mapped_column(String(63), default="")
    at: Mapped[dt.datetime]
    pin: Mapped[str] = mapped_column(String(80))  # as it was said: NAME, or channel:NAME
    snapshot: Mapped[str] = mapped_column(String(63))
    digest: Mapped[str] = mapped_column(String(64))


def kept(session: Session) -> Iterator[tuple[str, bool]]:
    """What the store keeps for snapshots, see content/garbage.py."""
    found = (
        select(SnapshotRepository.manifest, SnapshotRepository.served, SnapshotRepository.packages)
        .join(Snapshot, Snapshot.id == SnapshotRepository.snapshot_id)
        .where(Snapshot.deleted_at.is_(None))
    )
    for manifest, served, packages in session.execute(found):
        yield from ((manifest, True), (served, True), (packages, False))
