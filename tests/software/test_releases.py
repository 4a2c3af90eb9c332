from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from pxeapp.audit import AuditRow
from pxeapp.config import Settings
from pxeapp.db import Base, Database
from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.prepared import reading
from pxeapp.software import adding, media, releases
from pxeapp.software.models import Release
from pxeapp.software.releases import Description
from pxeapp.storage.faults import DatabaseUnavailable
from tests.software.conftest import Reply, UpstreamServer

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
ROCKY = Description("rocky-9", "rocky", "9", install_url="{node_url}/repo/rocky-9")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a kernel and an initrd as an install tree has them."""
    folder = tmp_path / "tree"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "vmlinuz").write_bytes(b"kernel 1")
    (folder / "images" / "initrd.img").write_bytes(b"initrd 1")
    return folder


def add(database: Database, settings: Settings, tree: Path, said: Description = ROCKY, **more: object) -> Release:
    """Add the tree as a release."""
    names = {"kernel": "images/vmlinuz", "initrd": "images/initrd.img", "actor": "user:test", "now": NOW}
    return adding.from_directory(database, settings, said, tree, **{**names, **more})  # type: ignore[arg-type]


def folders(settings: Settings) -> set[str]:
    """What lies in the media folder, locks aside."""
    found = settings.media_dir.rglob("*") if settings.media_dir.exists() else []
    return {str(path.relative_to(settings.media_dir)) for path in found if path.is_file() and path.name != ".lock"}


def actions(database: Database) -> list[tuple[str, str]]:
    """The audit's rows so far."""
    with database.read() as session:
        return [(row.action, row.subject) for row in session.scalars(select(AuditRow).order_by(AuditRow.id))]


def test_a_release_from_a_directory_is_bootable_and_audited(database: Database, settings: Settings, tree: Path) -> None:
    release = add(database, settings, tree)
    assert release.ready
    assert release.installer == "kickstart"
    assert release.kernel_sha256 == hashlib.sha256(b"kernel 1").hexdigest()
    assert (settings.media_dir / "rocky-9" / release.kernel).read_bytes() == b"kernel 1"
    assert actions(database) == [("release.add", "release:rocky-9")]
    with database.read() as session:
        assert releases.bootable(session, "rocky-9").initrd == release.initrd


def test_adding_a_name_twice_changes_nothing(database: Database, settings: Settings, tree: Path) -> None:
    first = add(database, settings, tree)
    before = folders(settings)
    (tree / "images" / "vmlinuz").write_bytes(b"kernel 2")
    with pytest.raises(Conflict, match="already"):
        add(database, settings, tree)
    assert folders(settings) == before
    assert media.problem(settings, first) == ""


def test_replacing_switches_to_new_files_and_keeps_the_former_for_those_who_download(
    database: Database, settings: Settings, tree: Path
) -> None:
    first = add(database, settings, tree).kernel
    for number in (2, 3):
        (tree / "images" / "vmlinuz").write_bytes(f"kernel {number}".encode())
        release = add(database, settings, tree, replace_existing=True)
    folder = settings.media_dir / "rocky-9"
    assert (folder / release.kernel).read_bytes() == b"kernel 3"
    assert not (folder / first).exists()
    assert len(list(folder.iterdir())) == 2
    assert [action for action, _ in actions(database)] == ["release.add", "release.replace", "release.replace"]


def test_a_failing_database_leaves_no_files(database: Database, settings: Settings, tree: Path) -> None:
    Base.metadata.drop_all(database.engine)
    with pytest.raises(DatabaseUnavailable, match="db upgrade"):
        add(database, settings, tree)
    assert folders(settings) == set()


@pytest.mark.parametrize("name", ["../secret", "images/../../secret", "link", "/etc/passwd", "nothing", "a b"])
def test_files_outside_the_directory_are_refused(database: Database, settings: Settings, tree: Path, name: str) -> None:
    (tree.parent / "secret").write_text("x")
    (tree / "link").symlink_to("../secret")
    with pytest.raises(Invalid) as caught:
        add(database, settings, tree, kernel=name)
    assert caught.value.problems[0].field == "file"
    assert folders(settings) == set()


def test_an_empty_kernel_is_refused(database: Database, settings: Settings, tree: Path) -> None:
    (tree / "images" / "vmlinuz").write_bytes(b"")
    with pytest.raises(Invalid) as caught:
        add(database, settings, tree)
    assert "empty" in str(caught.value.problems[0])
    assert folders(settings) == set()


def test_every_problem_is_listed_at_once(database: Database, settings: Settings, tree: Path) -> None:
    said = Description(
        "Bad Name", "beos", "five", kernel_args="a\nb", install_url="ftp://x", repositories=[{"name": "r"}]
    )
    with pytest.raises(Invalid) as caught:
        add(database, settings, tree, said)
    fields = [problem.field for problem in caught.value.problems]
    assert fields == ["name", "family", "version", "kernel_args", "install_url", "repositories[0]"]


def test_an_installer_the_family_lacks_is_refused(database: Database, settings: Settings, tree: Path) -> None:
    with pytest.raises(Invalid) as caught:
        add(database, settings, tree, replace(ROCKY, installer="preseed"))
    assert caught.value.problems[0].fix == "Use kickstart."


@pytest.mark.parametrize(
    ("said", "field", "fix"),
    [
        (Description("u", "ubuntu", "22.04", "preseed"), "installer", "Use autoinstall."),
        (Description("u", "ubuntu", "18.04", "autoinstall", install_url="{media}/x.iso"), "installer", "Use preseed."),
        (Description("u", "ubuntu", "20.04", "kickstart"), "installer", "Use preseed or autoinstall."),
        (Description("u", "ubuntu", "14.04"), "version", "Use one of: 16.04, 18.04, 20.04, 22.04, 24.04, 26.04."),
        (Description("c", "centos", "8"), "version", "Use one of: 7, 9, 10."),
        (Description("u", "ubuntu", "24.04"), "install_url", "add-ubuntu ISO"),
    ],
)
def test_what_we_have_no_answers_for_is_refused_with_what_we_have(
    database: Database, settings: Settings, tree: Path, said: Description, field: str, fix: str
) -> None:
    with pytest.raises(Invalid) as caught:
        add(database, settings, tree, said)
    found = next(problem for problem in caught.value.problems if problem.field == field)
    assert found.fix.endswith(fix)
    assert folders(settings) == set()


def test_an_iso_beside_the_kernel_is_what_the_live_server_loads(
    database: Database, settings: Settings, tree: Path
) -> None:
    (tree / "noble.iso").write_bytes(b"iso")
    row = add(database, settings, tree, Description("noble", "ubuntu", "24.04"), files=["noble.iso"])
    place = f"{{node_url}}/media/noble/{row.kernel.partition('/')[0]}"
    assert (row.installer, row.install_url) == ("autoinstall", f"{place}/noble.iso")
    with database.write() as session:
        changed = releases.update(session, "noble", {"install_url": "{media}/other.iso"}, actor="user:test", now=NOW)
        assert changed.install_url == f"{place}/other.iso"


def test_a_changed_file_makes_it_not_ready_with_a_sentence_and_back(
    database: Database, settings: Settings, tree: Path
) -> None:
    release = add(database, settings, tree)
    path = settings.media_dir / "rocky-9" / release.kernel
    path.write_bytes(b"kernel X")
    broken = releases.verify(database, settings, "rocky-9", actor="user:test", now=NOW)
    assert (broken.ready, "has changed since it was verified" in broken.problem) == (False, True)
    with database.read() as session, pytest.raises(Conflict, match="not ready"):
        releases.bootable(session, "rocky-9")
    path.unlink()
    assert "is missing" in releases.verify(database, settings, "rocky-9", actor="user:test", now=NOW).problem
    path.write_bytes(b"kernel 1")
    assert releases.verify(database, settings, "rocky-9", actor="user:test", now=NOW).ready
    assert [action for action, _ in actions(database)].count("release.verify") == 3


def test_verifying_what_is_whole_writes_no_audit_row(database: Database, settings: Settings, tree: Path) -> None:
    add(database, settings, tree)
    releases.verify(database, settings, "rocky-9", actor="user:test", now=NOW)
    assert actions(database) == [("release.add", "release:rocky-9")]


def test_only_declared_files_of_ready_releases_are_served(database: Database, settings: Settings, tree: Path) -> None:
    (tree / "image.iso").write_bytes(b"image")
    release = add(database, settings, tree, files=["image.iso"])
    revision = release.kernel.split("/")[0]
    (settings.media_dir / "rocky-9" / revision / "extra").write_text("not declared")
    with reading(database) as run:
        assert media.locate(run, settings, "rocky-9", release.initrd).read_bytes() == b"initrd 1"
        assert media.locate(run, settings, "rocky-9", f"{revision}/image.iso").read_bytes() == b"image"
        for file in (f"{revision}/extra", "../rocky-9/" + release.kernel, "/etc/passwd", "", revision):
            with pytest.raises(NotFound):
                media.locate(run, settings, "rocky-9", file)
        with pytest.raises(NotFound):
            media.locate(run, settings, "other", release.kernel)


def test_a_link_out_of_the_release_is_not_served(database: Database, settings: Settings, tree: Path) -> None:
    release = add(database, settings, tree)
    path = settings.media_dir / "rocky-9" / release.kernel
    path.unlink()
    path.symlink_to("/etc/hostname")
    with reading(database) as run, pytest.raises(NotFound, match="missing on disk"):
        media.locate(run, settings, "rocky-9", release.kernel)


def test_an_operators_change_keeps_what_the_appliance_knows(database: Database, settings: Settings, tree: Path) -> None:
    add(database, settings, tree, replace(ROCKY, settings={"udeb_suite": "ours", "color": "red"}))
    with database.write() as session:
        changed = {"settings": {"color": "blue", "udeb_suite": "theirs"}, "kernel_args": "quiet"}
        releases.update(session, "rocky-9", changed, actor="user:test", now=NOW)
    with database.read() as session:
        release = releases.get(session, "rocky-9")
        assert release.settings == {"color": "blue", "udeb_suite": "ours"}
        assert release.kernel_args == "quiet"


def test_files_are_not_changed_by_an_update(database: Database, settings: Settings, tree: Path) -> None:
    add(database, settings, tree)
    with pytest.raises(Invalid), database.write() as session:
        releases.update(session, "rocky-9", {"kernel_sha256": "0" * 64}, actor="user:test", now=NOW)


def test_removed_releases_are_swept_and_others_kept(database: Database, settings: Settings, tree: Path) -> None:
    add(database, settings, tree)
    add(database, settings, tree, replace(ROCKY, name="rocky-10", version="10"))
    with database.write() as session:
        releases.remove(session, "rocky-9", actor="user:test", now=NOW)
    assert [path.name for path in releases.sweep(database, settings)] == ["rocky-9"]
    assert (settings.media_dir / "rocky-10").is_dir()
    with database.read() as session:
        assert [release.name for release in releases.listing(session)] == ["rocky-10"]


@pytest.mark.network
def test_a_release_from_urls_needs_both_checksums_right(
    database: Database, settings: Settings, upstream: UpstreamServer
) -> None:
    upstream.replies["/k"], upstream.replies["/i"] = Reply(b"kernel"), Reply(b"initrd")
    good = hashlib.sha256(b"initrd").hexdigest()

    def fetched(initrd_sha256: str) -> Release:
        return adding.from_url(
            database, settings, ROCKY, kernel_url=f"{upstream.url}/k",
            kernel_sha256=hashlib.sha256(b"kernel").hexdigest(), initrd_url=f"{upstream.url}/i",
            initrd_sha256=initrd_sha256, actor="user:test", now=NOW,
        )  # fmt: skip

    with pytest.raises(Invalid, match="has SHA-256"):
        fetched("0" * 64)
    assert folders(settings) == set()
    assert actions(database) == []
    assert fetched(good).ready


def test_urls_without_checksum_or_with_another_scheme_are_refused_by_field(
    database: Database, settings: Settings
) -> None:
    with pytest.raises(Invalid) as caught:
        adding.from_url(
            database, settings, ROCKY, kernel_url="ftp://x.example/k", kernel_sha256="", initrd_url="http://x.example/i",
            initrd_sha256="zz", actor="user:test", now=NOW,
        )  # fmt: skip
    assert [problem.field for problem in caught.value.problems] == ["kernel_url", "kernel_sha256", "initrd_sha256"]


def test_a_half_staged_release_is_cleared_away(database: Database, settings: Settings, tree: Path) -> None:
    shutil.rmtree(tree / "images")
    with pytest.raises(Invalid):
        add(database, settings, tree)
    assert not list(settings.media_dir.glob(".staging-*"))
