"""Upstreams as rows: what operators say of one, what the front sees of it, and what machines asked."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class SoftwareUpstream(Base):
    """What an operator says of an upstream. One without a url changes a default of the same name: see upstreams.py."""

    __tablename__ = "software_upstreams"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    url: Mapped[str] = mapped_column(String(500), default="")  # empty: the default's
    kind: Mapped[str] = mapped_column(String(3), default="apt")  # apt, yum
    max_bytes: Mapped[int] = mapped_column(BigInteger)  # of its packages in the cache
    freshness_s: Mapped[int]  # how old an index may be before the upstream is asked again
    offline: Mapped[bool] = mapped_column(default=False)
    keep_packages: Mapped[bool] = mapped_column(default=True)
    aliases: Mapped[list[str]] = mapped_column(default=list)  # HOST[:PORT]/PATH for which the proxy answers, too
    keyring: Mapped[str] = mapped_column(String(255), default="")  # a file that signatures of indexes are checked with
    version: Mapped[int] = mapped_column(default=1)  # the ETag
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]


class UpstreamState(Base):
    """What the front sees of an upstream, whether it is a row or a default; written by the front alone."""

    __tablename__ = "software_upstream_states"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    problem: Mapped[str] = mapped_column(Text, default="")
    sets: Mapped[list[Any]] = mapped_column(default=list)  # its index sets, see indexes/sets.py
    updated_at: Mapped[dt.datetime]


class UpstreamDay(Base):
    """What was asked of an upstream's mirror on one day, counted from the front's access log."""

    __tablename__ = "software_upstream_days"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)  # 2026-11-26, UTC
    requests: Mapped[int] = mapped_column(BigInteger, default=0)
    hits: Mapped[int] = mapped_column(BigInteger, default=0)
    misses: Mapped[int] = mapped_column(BigInteger, default=0)
    index_hits: Mapped[int] = mapped_column(BigInteger, default=0)
    index_misses: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_from_cache: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_from_upstream: Mapped[int] = mapped_column(BigInteger, default=0)
    errors: Mapped[int] = mapped_column(BigInteger, default=0)
    absent: Mapped[int] = mapped_column(BigInteger, default=0)  # what the upstream lacks, or lay not here while offline


class UpstreamMissing(Base):
    """A file that was asked for and could not be given."""

    __tablename__ = "software_upstream_missing"
    __table_args__ = (
        UniqueConstraint("name", "path"),
        Index(None, "name", "last_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32))
    path: Mapped[str] = mapped_column(String(500))
    why: Mapped[str] = mapped_column(String(10))  # absent, offline, upstream
    count: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[dt.datetime]
