"""Roles: the built-in ones are there once, a site's own are checked by field."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from pxeapp.answers import roles
from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid, NotFound

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)


@pytest.fixture
def known(database: Database) -> Database:
    with database.write() as session:
        roles.ensure_builtin(session, now=T0)
    return database


def test_the_builtin_roles_come_once_and_a_sites_changes_stay(known: Database) -> None:
    with known.write() as session:
        roles.change(session, "compute", {"packages": {"el": ["vim"]}}, actor="user:ada", now=T0)
    with known.write() as session:
        roles.ensure_builtin(session, now=T0)
    with known.read() as session:
        assert [role.name for role in roles.listing(session)] == sorted(roles.builtin())
        assert roles.get(session, "compute").packages == {"el": ["vim"]}
        assert all(role.builtin for role in roles.listing(session))


def test_a_site_adds_a_role_of_its_own(known: Database) -> None:
    said = {"name": "ceph-osd", "packages": {"debian": ["ceph-osd"]}, "vars": {"layout": "lvm"}}
    with known.write() as session:
        assert roles.wire(roles.create(session, said, actor="user:ada", now=T0))["builtin"] is False
    with known.write() as session, pytest.raises(Conflict, match="already is a role ceph-osd"):
        roles.create(session, said, actor="user:ada", now=T0)
    with known.read() as session:
        assert [role.name for role in roles.listing(session, after="block", limit=1)] == ["ceph-osd"]
        with pytest.raises(NotFound, match="no role 'swift'"):
            roles.get(session, "swift")


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"name": "_storage"}, "name"),  # the templates' parts begin with an underscore
        ({"name": "../x"}, "name"),
        ({"name": "x\n"}, "name"),
        ({"name": "x", "packages": ["vim"]}, "packages"),
        ({"name": "x", "packages": {"suse": ["vim"]}}, "packages.suse"),
        ({"name": "x", "packages": {"el": "vim"}}, "packages.el"),
        ({"name": "x", "packages": {"el": ["vim; reboot"]}}, "packages.el"),
        ({"name": "x", "packages": {"debian": ["Foo"]}}, "packages.debian"),  # apt knows no capitals
        ({"name": "x", "packages": {"ubuntu": ["@Core"]}}, "packages.ubuntu"),
        ({"name": "x", "services": {"el": ["sshd\nreboot"]}}, "services.el"),
        ({"name": "x", "services": {"el": [7]}}, "services.el"),
        ({"name": "x", "vars": "layout"}, "vars"),
        ({"name": "x", "storage": None}, "storage"),
        ({"name": "x", "description": 7}, "description"),
    ],
)
def test_what_no_role_can_be_is_refused_by_field(known: Database, said: dict[str, Any], field: str) -> None:
    with known.write() as session, pytest.raises(Invalid) as refused:
        roles.create(session, said, actor="user:ada", now=T0)
    assert [problem.field for problem in refused.value.problems] == [field]
