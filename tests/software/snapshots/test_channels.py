"""Channels: in their order, back again, with a history; and what a client sees while one is exchanged."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import delete as sql_delete
from sqlalchemy import select

from pxeapp.audit.models import AuditRow
from pxeapp.db import now
from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.software.snapshots import channels, publishing, service
from pxeapp.software.snapshots.pins import Pin
from pxeapp.software.snapshots.service import Holder
from pxeapp.software.tasks.models import SoftwareTask
from tests.software.snapshots.conftest import OPS, Site


def taken(site: Site, name: str, held: Mapping[str, str]) -> None:
    site.publish("nova", held)
    with site.database.write() as session:
        service.take(session, name, repositories=["nova"], actor=OPS, now=now())
    site.work()


def promote(site: Site, snapshot: str, to: str = "", *, force: bool = False, reason: str = "") -> str:
    with site.database.write() as session:
        name = channels.promote(session, snapshot, to, force=force, reason=reason, actor=OPS, now=now()).name
    site.work()
    return name


def leads(site: Site) -> dict[str, str | None]:
    with site.database.read() as session:
        return {row.name: row.published for row in channels.listing(session)}


def test_a_snapshot_goes_from_one_channel_to_the_next_and_each_serves_it(site: Site) -> None:
    taken(site, "a", {"nova_1": "one"})
    assert [promote(site, "a") for _ in range(3)] == ["dev", "staging", "production"]
    assert site.served("channels/production") == site.served("snapshots/a")
    with site.database.write() as session, pytest.raises(Conflict, match="last channel already"):
        channels.promote(session, "a", actor=OPS, now=now())
    taken(site, "b", {"nova_2": "two"})
    with pytest.raises(Conflict, match="never in staging, which comes before production"):
        promote(site, "b", "production")
    assert leads(site) == {"dev": "a", "staging": "a", "production": "a"}
    promote(site, "b")
    promote(site, "a", "dev")
    promote(site, "b", "staging")  # it was in dev
    assert leads(site) == {"dev": "a", "staging": "b", "production": "a"}


def test_a_step_is_left_out_only_with_a_reason_which_the_history_keeps(site: Site) -> None:
    taken(site, "a", {"nova_1": "one"})
    with pytest.raises(Invalid, match="needs a reason"):
        promote(site, "a", "production", force=True, reason=" ")
    promote(site, "a", "production", force=True, reason="CVE-2026-1")
    with site.database.read() as session:
        (move,) = channels.history(session, "production", limit=10)
        said = channels.wire_move(move)
        assert channels.history(session, "dev", limit=10) == []
    assert (said["action"], said["snapshot"], said["before"]) == ("promote", "a", None)
    assert (said["forced"], said["reason"], said["actor"]) == (True, "CVE-2026-1", OPS)


def test_rolling_back_goes_to_the_one_before_and_again_to_the_one_before_that(site: Site) -> None:
    for number, name in enumerate("abc"):
        taken(site, name, {f"nova_{number}": name})
        promote(site, name, "dev")

    def back() -> str | None:
        with site.database.write() as session:
            channels.rollback(session, "dev", reason="it broke", actor=OPS, now=now())
        site.work()
        return leads(site)["dev"]

    assert [back(), back()] == ["b", "a"]
    assert site.served("channels/dev/nova/pool/main/n/nova").keys() >= {"nova_0_amd64.deb"}
    with site.database.write() as session, pytest.raises(Conflict, match="led to nothing before"):
        channels.rollback(session, "dev", actor=OPS, now=now())
    promote(site, "c", "dev")
    with site.database.write() as session:
        service.delete(session, "b", held_by=(), actor=OPS, now=now())
        with pytest.raises(Conflict, match="held by channel dev"):
            service.delete(session, "c", held_by=(), actor=OPS, now=now())


def test_a_channel_that_somebody_reads_a_repository_from_does_not_lose_it(site: Site) -> None:
    site.publish("glance", {"glance_1": "g"})
    taken(site, "a", {"nova_1": "one"})
    holder = Holder("role", "image", Pin("dev", channel=True))
    with site.database.write() as session, pytest.raises(Conflict, match="lacks glance, which role image reads"):
        channels.promote(session, "a", "dev", needed=[(holder, {"glance", "nova"})], actor=OPS, now=now())
    with site.database.write() as session:
        channels.promote(session, "a", "dev", needed=[(holder, {"nova"})], actor=OPS, now=now())


def test_one_more_channel_stands_where_it_is_put(site: Site) -> None:
    with site.database.write() as session:
        channels.create(session, "canary", before="production", actor=OPS, now=now())
        channels.create(session, "edge", actor=OPS, now=now())
        assert [row.name for row in channels.listing(session)] == ["dev", "staging", "canary", "production", "edge"]
        with pytest.raises(Conflict, match="already"):
            channels.create(session, "canary", actor=OPS, now=now())
        with pytest.raises(NotFound, match="no channel 'x'"):
            channels.create(session, "y", before="x", actor=OPS, now=now())
    taken(site, "a", {"nova_1": "one"})
    assert [promote(site, "a") for _ in range(4)] == ["dev", "staging", "canary", "production"]


def test_a_channel_is_deleted_once_nobody_reads_it_and_its_name_begins_anew(site: Site) -> None:
    taken(site, "a", {"nova_1": "one"})
    for _ in range(3):
        promote(site, "a")
    holders = [
        Holder("role", "compute", Pin("staging", channel=True)), Holder("release", "debian-13", Pin("staging")),
        Holder("machine", "node1", Pin("staging", channel=True)), Holder("cluster", "x", Pin("dev", channel=True)),
    ]  # fmt: skip
    with site.database.write() as session:
        with pytest.raises(Conflict, match="staging is read by machine node1, role compute"):
            channels.delete(session, "staging", held_by=holders, actor=OPS, now=now())
        with pytest.raises(NotFound):
            channels.delete(session, "none", held_by=(), actor=OPS, now=now())
    assert site.served("channels/staging")
    with site.database.write() as session:
        channels.delete(session, "staging", held_by=holders[1:2], actor=OPS, now=now())
        assert [(row.name, row.position) for row in channels.listing(session)] == [("dev", 1), ("production", 2)]
        row = session.scalars(select(AuditRow).where(AuditRow.action == "channel.delete")).one()
        assert (row.subject, row.details) == ("channel:staging", {"position": 2, "snapshot": "a"})
    site.work()
    assert site.served("channels/staging") == {}
    assert site.served("channels/dev") == site.served("snapshots/a")
    with site.database.write() as session:
        channels.create(session, "staging", before="production", actor=OPS, now=now())
        assert channels.history(session, "staging", limit=10) == []
        assert not channels.was_in(session, "staging", "a")


def test_what_a_deleted_channel_has_left_on_the_disk_is_found_after_a_crash(site: Site) -> None:
    taken(site, "a", {"nova_1": "one"})
    promote(site, "a", "dev")
    with site.database.write() as session:
        channels.promote(session, "a", "staging", actor=OPS, now=now())  # ordered, and not exchanged yet
        channels.delete(session, "staging", held_by=(), actor=OPS, now=now())
        channels.delete(session, "dev", held_by=(), actor=OPS, now=now())
        session.execute(sql_delete(SoftwareTask).where(SoftwareTask.kind == channels.WITHDRAW))  # the backup had none
    (task,) = site.work()
    assert "no channel 'staging'" in task.problem
    assert site.served("channels/dev")
    publishing.look(site.settings, site.database, now())
    site.work()
    assert site.served("channels") == {}
    with site.database.write() as session:
        service.delete(session, "a", held_by=(), actor=OPS, now=now())  # nothing leads to it any more


def test_a_client_in_the_middle_of_an_update_finds_what_its_index_names_and_never_something_else(site: Site) -> None:
    """It reads the index, then each package by the hash that stands there, again and again while channels move."""
    for number, name in enumerate("ab"):
        taken(site, name, {f"nova_{number}": name, "nova-common_1": "same in both", f"nova-api_{number}": name * 2})
    promote(site, "a", "dev")
    root = site.settings.data_dir / "repo/channels/dev/nova"
    over, seen, wrong = threading.Event(), set[str](), list[str]()

    def client() -> None:
        while not over.is_set():
            index = read(root / "dists/stable/Packages")
            for line in index.decode().splitlines():
                name, version, sha256 = line.split(" ")
                seen.add(f"{name}_{version}")
                data = read(root / f"pool/main/n/{name}/{name}_{version}_amd64.deb")
                if site.store.add_bytes(data).sha256 != sha256:
                    wrong.append(line)

    def read(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            wrong.append(str(error))
            return b""

    thread = threading.Thread(target=client)
    thread.start()
    try:
        for _ in range(5):
            promote(site, "b", "dev")
            promote(site, "a", "dev")
    finally:
        over.set()
        thread.join(30)
    assert wrong == []
    assert {"nova_0", "nova_1", "nova-common_1"} <= seen
