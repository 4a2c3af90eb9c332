"""What a mirror is of: completed from its release, refused with every fault at once, kept as it was said, and due."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.errors import Conflict, Invalid
from pxeapp.software.mirrors import deb_index, deb_needs, installer, places, schedule, selection, service
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.udebs import suite
from tests.software.mirrors.upstream import udeb

SOURCE = {"upstream": "debian", "suite": "trixie", "components": ["main"]}


@pytest.mark.parametrize(
    ("release", "upstream", "known", "expected"),
    [
        ("debian-13", "debian", ["debian"], ["debian trixie main", "debian trixie-updates main"]),
        (
            "debian-12",
            "debian",
            ["debian", "debian-security"],
            ["debian bookworm main", "debian bookworm-updates main", "debian-security bookworm-security main"],
        ),
        (
            "ubuntu-24.04",
            "ubuntu",
            [],
            [f"ubuntu noble{end} main universe" for end in ("", "-updates", "-security")],
        ),
        ("rocky-9", "rocky", [], [f"rocky 9/{repo}/x86_64/os" for repo in ("BaseOS", "AppStream", "CRB")]),
        ("centos-9", "stream", [], [f"stream 9-stream/{repo}/x86_64/os" for repo in ("BaseOS", "AppStream", "CRB")]),
    ],
)
def test_a_releases_suites_or_repositories_become_the_sources(
    database: Database, release: str, upstream: str, known: list[str], expected: list[str]
) -> None:
    with database.read() as session:
        found = service.said(session, known, {"release": release, "upstream": upstream, "packages": ["a"]})
    assert [str(source) for source in found.sources] == expected
    assert found.kind == ("deb" if release.startswith(("debian", "ubuntu")) else "rpm")


def test_every_fault_is_said_at_once(database: Database) -> None:
    wrong: dict[str, Any] = {
        "kind": "deb", "architectures": ["am d64"], "at_once": 99, "every_hours": -1, "keyring": "../etc/shadow",
        "key": "no key", "versions": "some", "definitions": ["nova"], "roles": [{"role": "compute"}],
        "packages": ["a b c", "good (>= 1)", "x\ny"],
        "sources": [{"upstream": "", "suite": "../x", "components": ["main", "a b"]}],
    }  # fmt: skip
    with database.read() as session, pytest.raises(Invalid) as refused:
        service.said(session, [], wrong)
    fields = {problem.field for problem in refused.value.problems}
    assert fields == {
        "architectures", "at_once", "every_hours", "keyring", "key", "versions", "definitions", "family", "packages",
        "sources.0.upstream", "sources.0.suite", "sources.0.components",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["", "UP", "../x", "keys", "part", "a" * 64])
def test_a_name_that_is_no_folder_of_ours_is_refused(database: Database, name: str) -> None:
    with database.write() as session, pytest.raises(Invalid) as refused:
        service.create(session, [], name, {"sources": [SOURCE], "packages": ["a"]}, actor="x", now=now())
    assert "is no name for a repository" in refused.value.in_full


def test_what_is_said_is_what_is_read_again(database: Database) -> None:
    given = {
        "sources": [SOURCE], "packages": ["a"], "roles": [{"role": "compute", "vars": {"neutron": "ovn"}}],
        "release": "debian-13", "recommends": True, "every_hours": 6,
    }  # fmt: skip
    with database.write() as session:
        row = service.create(session, [], "web", given, description="for the web", actor="user:ops", now=now())
        before = service.read(row)
        shown = service.wire(row)
    assert (shown["suite"], shown["components"], shown["architectures"]) == ("trixie", ["main"], ["amd64"])
    assert selection.read("deb", ["amd64"], row.mirror) == before
    with database.write() as session:
        row = service.change(session, [], "web", {"packages": ["b"]}, actor="user:ops", now=now())
        assert (service.read(row).packages, service.read(row).roles) == (("b",), before.roles)
    with database.write() as session, pytest.raises(Conflict, match="stays one"):
        service.change(session, [], "web", {"kind": "rpm", "sources": [{"upstream": "x"}]}, actor="user:ops", now=now())


def test_a_suite_with_a_slash_is_published_as_one_word() -> None:
    source = selection.Source("uca", "", "noble-updates/epoxy", ("main",))
    chosen = selection.Selection("deb", (source,), ("amd64",))
    assert places.published(chosen) == ("noble-updates-epoxy", ["main"])


def test_a_mirror_is_due_once_in_its_time_and_never_where_nobody_asked() -> None:
    moment = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
    row = SoftwareRepository(name="web", mirror={"every_hours": 24, "state": {"tried_at": moment.isoformat()}})
    assert not schedule.is_due(row, None, moment + dt.timedelta(hours=21))
    assert schedule.is_due(row, None, moment + dt.timedelta(hours=24))
    # One that was cancelled, or never came to an end, waits for its turn as well.
    assert not schedule.is_due(row, moment + dt.timedelta(hours=20), moment + dt.timedelta(hours=24))
    row.mirror = {"every_hours": 24}
    assert schedule.is_due(row, None, moment)
    row.mirror = {"every_hours": 0}
    assert not schedule.is_due(row, None, moment + dt.timedelta(days=1000))


def test_a_due_mirror_is_ordered_once(database: Database, settings: Settings) -> None:
    with database.write() as session:
        given = {"sources": [SOURCE], "packages": ["a"], "every_hours": 1}
        service.create(session, [], "web", given, actor="user:ops", now=now())
    schedule.look(settings, database, now())
    with database.write() as session:
        (order,) = service.tasks.listing(session, limit=5)
        assert (order.kind, order.requested_by) == ("mirror.sync", "system:schedule")
        order.finished_at, order.outcome = now(), "cancelled"
    schedule.look(settings, database, now())
    with database.read() as session:
        assert len(service.tasks.listing(session, limit=5)) == 1


def test_components_that_we_made_ourselves_are_found(settings: Settings, tmp_path: Path) -> None:
    path = udeb(tmp_path, "base-installer", Depends="kernel")
    fields = {"Package": "base-installer", "Version": "1.0", "Architecture": "all", "Depends": "kernel"}
    root = settings.data_dir / "udebs" / "debian"
    suite.write(root, "pxeapp-debian-13", [suite.Member(path, fields)], now=now())
    (found,) = installer.made(settings, "pxeapp-debian-13")
    assert (found.name, found.source, found.package.size) == ("base-installer", installer.OURS, path.stat().st_size)
    assert installer.path(settings, "pxeapp-debian-13", found.package.path).read_bytes() == path.read_bytes()
    assert installer.made(settings, "nothing") == installer.made(settings, "../debian") == []


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("a", ["a"]),
        ("a (>= 1), b|c", ["a (>= 1)", "b | c"]),
        ("a:any (<< 1:2~)", ["a:any (<< 1:2~)"]),
        ("a (< 2)", ["a (<= 2)"]),
        ("a [amd64] <!nocheck>", ["a"]),
        ("a b", ["a b"]),
        (" , |", []),
    ],
)
def test_relations_are_read(said: str, read: list[str]) -> None:
    assert [str(need) for need in deb_needs.read(said)] == read


def test_a_field_that_goes_on_in_the_next_line_is_read_whole() -> None:
    text = "Package: a\nProvides: b,\n c (= 2)\nVersion: 1\nArchitecture: all\n"
    (found,) = deb_index.read(text, 0, "an index")
    assert list(found.provides) == [("b", ""), ("c", "2")]
    assert (found.version, found.architecture) == ("1", "all")
