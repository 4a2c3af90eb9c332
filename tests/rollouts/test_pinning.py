"""A rollout that patches from a channel keeps to one snapshot: refused while it is not there, held until it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxeapp.answers.models import Role
from pxeapp.db import Database
from pxeapp.errors import Conflict
from pxeapp.machines.models import Cluster, Machine
from pxeapp.provisioning.pinning import subject
from pxeapp.rollouts import pinning
from pxeapp.rollouts import service as rollouts
from pxeapp.rollouts.spec import Patch
from pxeapp.software.bundles import service as bundles
from pxeapp.software.models import Release
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.snapshots import channels, service, uses
from pxeapp.software.snapshots.models import SnapshotUse
from pxeapp.software.tasks import service as tasks
from tests.provisioning.conftest import add_deployment
from tests.rollouts.test_service import ACTOR, T0, Site, spec


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Site:
    made = Site(database, tmp_path)
    with database.write() as session:
        session.add(Cluster(name="prod", created_at=T0, updated_at=T0))
        for name in ("nova", "base"):
            row = SoftwareRepository(name=name, kind="deb", origin="local", created_at=T0, updated_at=T0)
            row.manifest = "1" * 64
            session.add(row)
        channels.create(session, "production", actor=ACTOR, now=T0)
        for name in ("a", "b"):
            service.take(session, name, repositories=["nova"], actor=ACTOR, now=T0)
        release = Release(name="debian-13", family="debian", version="13", installer="preseed")
        release.created_at = release.updated_at = T0
        release.install_url = "{node_url}/repo/base"
        session.add(release)
    return made


def test_it_keeps_to_what_the_channel_led_to_and_holds_that_until_it_ends(site: Site) -> None:
    site.add("compute", 3)
    with site.database.write() as session:
        channels.promote(session, "a", "production", actor=ACTOR, now=T0)
    number = site.create(spec(action={"patch": {"snapshot": "channel:production"}}))
    with site.database.write() as session:
        channels.promote(session, "b", "production", actor=ACTOR, now=T0)
        row = rollouts.get(session, number)
        assert row.spec["action"]["patch"]["snapshot"] == "a"
        used = uses.of(session, f"rollout:{number}") or {}
        assert (used["pin"], used["snapshot"]) == ("channel:production", "a")
        held_by = [holder for holder, _ in pinning.holders(session)]
        with pytest.raises(Conflict, match=f"held by rollout {number}"):
            service.delete(session, "a", held_by=held_by, actor=ACTOR, now=T0)
        row.finished_at = T0
        session.flush()
        assert list(pinning.holders(session)) == []


def test_what_is_not_there_or_lacks_what_its_machines_read_is_refused(site: Site) -> None:
    site.add("compute", 3, release="debian-13")
    for said, problem in (
        ("none", "There is no snapshot 'none'."),
        ("channel:production", "Channel production leads to no snapshot yet."),
        ("a", "snapshot a lacks the repository base."),
        ("../x", "is neither a snapshot nor a channel."),
    ):
        (refused,) = site.refused(spec(action={"patch": {"snapshot": said}}))
        assert refused.startswith("action.patch.snapshot: ")
        assert problem in refused


def test_the_script_is_told_our_address_or_what_apt_calls_a_snapshot() -> None:
    def told(said: str) -> str:
        return pinning.source(Patch(snapshot=said), "http://10.0.0.1:8081")

    assert told("2026-11") == "http://10.0.0.1:8081/repo/ snapshots/2026-11"
    assert told("channel:dev") == "http://10.0.0.1:8081/repo/ channels/dev"
    assert told("20261101T000000Z") == "20261101T000000Z"
    assert told("") == ""


def test_everybody_who_is_pinned_is_found_on_either_database(any_database: Database) -> None:
    with any_database.write() as session:
        release = Release(name="debian-13", family="debian", version="13", installer="preseed")
        release.created_at = release.updated_at = T0
        release.settings, release.repositories = {"snapshot": "a"}, [{"name": "x", "url": "{node_url}/repo/nova"}]
        role = Role(name="compute", vars={"snapshot": "channel:dev"})
        named = {"repositories": [{"name": "y", "url": "{node_url}/repo/snapshots/b/glance"}]}
        cluster = Cluster(name="prod", vars=named, created_at=T0, updated_at=T0)
        machine = Machine(name="m1", mac="52:54:00:00:00:01", vars={"snapshot": "c"}, created_at=T0, updated_at=T0)
        plain = Machine(name="m2", mac="52:54:00:00:00:02", vars={"site_x": "y"}, created_at=T0, updated_at=T0)
        session.add_all([release, role, cluster, machine, plain])
        session.flush()
        running = add_deployment(session, machine)
        session.add(
            SnapshotUse(subject=subject(running.id), machine="m1", at=T0, pin="c", snapshot="c", digest="0" * 64)
        )
        tasks.order(session, bundles.CREATE, "site", {"snapshots": ["d"], "since": "e"}, actor=ACTOR, now=T0)
    with any_database.read() as session:
        found = {(str(holder), str(holder.pin), *names) for holder, names in pinning.holders(session)}
    assert found == {
        ("release debian-13", "a", "nova"), ("role compute", "channel:dev"), ("cluster prod", "b", "glance"),
        ("machine m1", "c"), (f"deployment {running.id} of m1", "c"), ("bundle site", "d"), ("bundle site", "e"),
    }  # fmt: skip
