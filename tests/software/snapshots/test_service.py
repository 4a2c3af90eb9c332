"""A snapshot is what was there when it was taken, for ever, and goes only when nobody is pinned to it."""

from __future__ import annotations

import pytest

from pxeapp.db import now
from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.software.content.manifest import Manifest
from pxeapp.software.snapshots import channels, publishing, service, verifying
from pxeapp.software.snapshots.pins import Pin
from pxeapp.software.snapshots.service import Holder
from pxeapp.software.tasks import service as tasks
from tests.software import killing
from tests.software.snapshots.conftest import OPS, Site


def take(site: Site, name: str, *repositories: str) -> str:
    with site.database.write() as session:
        digest = service.take(session, name, repositories=repositories, actor=OPS, now=now()).digest
    site.work()
    return digest


def test_it_stays_what_it_was_while_its_repositories_change_and_go(site: Site) -> None:
    site.publish("nova", {"nova_1": "one"})
    manifest = site.publish("nova", {"nova_2": "two"})
    digest = take(site, "2026-11")
    before = site.served("snapshots/2026-11")
    assert before == {f"nova/{each.path}": each.sha256 for each in Manifest.load(site.store, manifest)}
    site.publish("nova", {"nova_3": "three"})
    site.publish("other", {"glance_1": "g"})
    assert take(site, "2026-12") != digest
    assert site.served("snapshots/2026-11") == before
    with site.database.read() as session:
        row = service.wire(service.get(session, "2026-11"))
    assert row["digest"] == digest
    assert row["published_at"] is not None
    assert [(each["name"], each["package_count"]) for each in row["repositories"]] == [("nova", 1)]


def test_what_was_killed_when_all_was_served_ends_at_the_next_try(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.publish("nova", {"nova_1": "one"})
    with site.database.write() as session:
        service.take(session, "s", actor=OPS, now=now())
    killing.killed_at_the_end(site.settings, site.database)
    before = site.served("snapshots/s")
    (published,) = site.work()
    assert (published.outcome, site.served("snapshots/s")) == ("done", before)
    with site.database.write() as session:
        channels.promote(session, "s", "dev", actor=OPS, now=now())
    with killing.killed_at(monkeypatch, publishing, "update"):  # the trees are there, the row does not say so
        site.work()
    killing.free(site.database)
    killing.killed_at_the_end(site.settings, site.database)
    (moved,) = site.work()
    assert (moved.outcome, site.served("channels/dev")) == ("done", before)
    with site.database.read() as session:
        assert channels.get(session, "dev").published == "s"


def test_taking_the_same_again_is_the_one_that_is_there_and_other_content_is_refused(site: Site) -> None:
    site.publish("nova", {"nova_1": "one"})
    assert take(site, "s") == take(site, "s")
    site.publish("nova", {"nova_2": "two"})
    with pytest.raises(Conflict, match="snapshot s already, with other content"):
        take(site, "s")


def test_a_name_that_was_deleted_never_means_anything_else(site: Site) -> None:
    site.publish("nova", {"nova_1": "one"})
    digest = take(site, "s")
    with site.database.write() as session:
        service.delete(session, "s", held_by=(), actor=OPS, now=now())
    site.work()
    assert not site.served("snapshots")
    with site.database.read() as session, pytest.raises(NotFound):
        service.get(session, "s")
    assert take(site, "s") == digest  # the same again may come back
    assert site.served("snapshots/s")
    with site.database.write() as session:
        service.delete(session, "s", held_by=(), actor=OPS, now=now())
    site.work()
    site.publish("nova", {"nova_2": "two"})
    with pytest.raises(Conflict, match="which was deleted"):
        take(site, "s")


def test_a_longer_name_that_begins_alike_is_another_one(site: Site) -> None:
    site.publish("nova", {"nova_1": "one"})
    take(site, "x" * 63)
    with site.database.read() as session, pytest.raises(NotFound):
        service.get(session, "x" * 64)


def test_what_cannot_be_taken_is_said(site: Site) -> None:
    with pytest.raises(Conflict, match="No repository is published"):
        take(site, "s")
    site.publish("nova", {"nova_1": "one"})
    with pytest.raises(NotFound, match="no repository 'glance'"):
        take(site, "s", "nova", "glance")
    for name in ("../x", "A", "channel:x", "a/b", "", "x" * 64, "a\n"):
        with pytest.raises(Invalid):
            take(site, name)


def test_it_is_not_deleted_while_somebody_is_pinned_to_it(site: Site) -> None:
    site.publish("nova", {"nova_1": "one"})
    take(site, "s")
    holders = [Holder("release", "debian-13", Pin("s")), Holder("role", "compute", Pin("s", channel=True))]
    with site.database.write() as session, pytest.raises(Conflict, match=r"held by release debian-13\. "):
        service.delete(session, "s", held_by=holders, actor=OPS, now=now())
    assert site.served("snapshots/s")


def test_verify_finds_what_was_altered_what_is_missing_and_what_does_not_belong(site: Site) -> None:
    site.publish("nova", {"nova_1": "one", "nova-api_1": "api"})
    take(site, "s")

    def verified() -> str:
        with site.database.write() as session:
            tasks.order(session, verifying.VERIFY, "s", {}, actor=OPS, now=now())
        (task,) = site.work()
        return task.problem or str(task.result["files"])

    assert verified() == "3"
    folder = site.settings.data_dir / "repo/snapshots/s/nova"
    altered = folder / "dists/stable/Packages"
    altered.chmod(0o644)
    altered.write_text("altered")
    (folder / "pool/main/n/nova/nova_1_amd64.deb").unlink()
    (folder / "dists/evil").write_text("x")
    said = verified()
    assert "nova/dists/stable/Packages has other content" in said
    assert "nova/pool/main/n/nova/nova_1_amd64.deb is missing" in said
    assert "nova/dists/evil does not belong to it" in said


def test_what_a_restored_backup_lacks_on_the_disk_is_made_again_and_what_it_has_too_much_goes(site: Site) -> None:
    site.publish("nova", {"nova_1": "one"})
    take(site, "s")
    served = site.served("snapshots/s")
    root = site.settings.data_dir / "repo/snapshots"
    (root / "s").rename(site.settings.data_dir / "lost")
    publishing.look(site.settings, site.database, now())
    site.work()
    assert site.served("snapshots/s") == served
    publishing.look(site.settings, site.database, now())
    assert site.work() == []  # all is as it should be
