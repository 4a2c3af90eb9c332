"""Versions: numbered in the order of their transactions, kept in bounds, and never half."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.orm import Session

from pxeapp import versions
from pxeapp.db import Database
from pxeapp.errors import NotFound
from pxeapp.machines import networks
from pxeapp.machines.models import Network
from pxeapp.provisioning.proposals import never_written
from pxeapp.versions import NETWORKS

T0 = dt.datetime(2026, 11, 25, 20, 0, tzinfo=dt.UTC)
LATER = T0 + versions.FORGOTTEN + dt.timedelta(days=2)


def made(database: Database, name: str = "lan", *, at: dt.datetime = T0) -> None:
    with database.write() as session:
        networks.create(session, {"name": name, "cidr": "10.0.0.0/24"}, actor="user:ada", now=at)


def tagged(database: Database, vlan: int, *, at: dt.datetime = T0) -> None:
    with database.write() as session:
        networks.change(session, "lan", {"vlan": vlan}, actor="user:ada", now=at)


def told(database: Database, name: str = "lan") -> list[tuple[int | None, str, int | None]]:
    """Number, what was done, and the VLAN that it had, the newest first."""
    with database.read() as session:
        rows = versions.listing(session, NETWORKS, name)
        return [(row.number, row.action, row.body["vlan"] if row.body else None) for row in rows]


def changed_in_vain(session: Session) -> None:
    networks.change(session, "lan", {"vlan": 7}, actor="user:ada", now=T0)
    session.flush()
    raise ZeroDivisionError


def test_each_change_is_one_version_and_what_changes_nothing_is_none(any_database: Database) -> None:
    made(any_database)
    tagged(any_database, 7)
    tagged(any_database, 7)
    with any_database.write() as session, versions.because("  moved "):
        networks.change(session, "lan", {"vlan": 8}, actor="user:bob", now=T0)
        networks.delete(session, "lan", actor="user:bob", now=T0)
    assert told(any_database) == [(4, "delete", None), (3, "change", 8), (2, "change", 7), (1, "create", None)]
    with any_database.read() as session:
        row = versions.get(session, NETWORKS, "lan", 3)
        assert (row.author, row.comment, row.at) == ("user:bob", "moved", T0)
        with pytest.raises(NotFound, match="no version 5 of 'lan'"):
            versions.get(session, NETWORKS, "lan", 5)


def test_a_change_that_is_rolled_back_or_only_thought_of_leaves_none(any_database: Database) -> None:
    made(any_database)
    with pytest.raises(ZeroDivisionError), any_database.write() as session:
        changed_in_vain(session)
    with any_database.read() as session, never_written(session):
        networks.change(session, "lan", {"vlan": 9}, actor="nobody", now=T0)
    with any_database.write() as session:
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            changed_in_vain(session)
        networks.create(session, {"name": "other", "cidr": "10.1.0.0/24"}, actor="user:ada", now=T0)
    assert told(any_database) == [(1, "create", None)]
    assert told(any_database, "other") == [(1, "create", None)]


def test_what_was_there_before_there_were_versions_can_be_gone_back_to(database: Database) -> None:
    with database.write() as session:
        session.add(Network(name="lan", cidr="10.0.0.0/24", dns=[], ntp=[], domain="", vlan=3))
    tagged(database, 7)
    assert told(database) == [(2, "change", 7), (1, "found", 3)]


def test_many_at_once_get_numbers_without_gaps(any_database: Database) -> None:
    made(any_database)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda vlan: tagged(any_database, vlan), range(1, 7)))
    assert [number for number, _, _ in told(any_database)] == list(range(7, 0, -1))


def test_only_the_last_ones_are_kept_and_numbers_go_on(any_database: Database) -> None:
    made(any_database, "other")
    made(any_database)
    with any_database.write() as session:  # all in one transaction, which takes no disk a hundred times
        for number in range(versions.KEPT + 2):
            networks.change(session, "lan", {"vlan": 1 + number}, actor="user:ada", now=T0)
    found = told(any_database)
    assert len(found) == versions.KEPT
    assert [found[0][0], found[-1][0]] == [versions.KEPT + 3, 4]
    assert len(told(any_database, "other")) == 1


def test_of_what_was_deleted_long_ago_nothing_is_left(any_database: Database) -> None:
    for name, gone in (("lan", True), ("stays", False)):
        made(any_database, name)
        if gone:
            with any_database.write() as session:
                networks.delete(session, name, actor="user:ada", now=T0)
    with any_database.read() as session:
        assert [row.name for row in versions.deleted(session, NETWORKS, limit=10)] == ["lan"]
    made(any_database, "young", at=LATER - dt.timedelta(days=3))
    assert len(told(any_database)) == 2
    made(any_database, "last", at=LATER)
    assert told(any_database) == []
    assert len(told(any_database, "stays")) == 1


def test_what_came_again_after_its_deletion_is_not_forgotten(database: Database) -> None:
    made(database)
    with database.write() as session:
        networks.delete(session, "lan", actor="user:ada", now=T0)
    made(database)
    made(database, "last", at=LATER)
    assert [number for number, _, _ in told(database)] == [3, 2, 1]
    with database.read() as session:
        assert versions.deleted(session, NETWORKS, limit=10) == []


def test_a_very_long_author_and_comment_are_cut(database: Database) -> None:
    with database.write() as session, versions.because("x" * 10_000):
        networks.create(session, {"name": "lan", "cidr": "10.0.0.0/24"}, actor="user:" + "a" * 500, now=T0)
    with database.read() as session:
        row = versions.get(session, NETWORKS, "lan", 1)
        assert (len(row.author), len(row.comment)) == (200, versions.LONGEST_COMMENT)
