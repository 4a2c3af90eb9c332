"""An import from end to end: what is served and booted afterwards, what it costs, what is refused, what goes on."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.provisioning import facts
from pxeapp.software import releases
from pxeapp.software.content import garbage, space
from pxeapp.software.content import store as store_module
from pxeapp.software.content.store import Store
from pxeapp.software.isos import importing as work
from pxeapp.software.isos import service, taking
from pxeapp.software.isos.models import SoftwareMedium
from pxeapp.software.isos.orders import Wanted
from pxeapp.software.models import Release
from pxeapp.software.repositories import openpgp
from pxeapp.software.tasks.running import Run, Stopped
from tests.software.conftest import Reply, UpstreamServer
from tests.software.isos import making
from tests.software.isos.conftest import Importer

pytestmark = making.needs_programs


def medium(database: Database, name: str) -> dict[str, Any]:
    with database.read() as session:
        return service.wire(service.get(session, name))


def release(database: Database, name: str) -> dict[str, Any]:
    with database.read() as session:
        return releases.wire(releases.get(session, name))


def refused(task: dict[str, Any]) -> str:
    assert task["state"] == "failed", task
    return str(task["problem"])


def nothing_is_left(settings: Settings, database: Database, store: Store) -> bool:
    """No row, no tree, no journal, no staging; and nothing that would not be collected."""
    with database.read() as session:
        rows = [*session.scalars(select(SoftwareMedium)), *session.scalars(select(Release))]
        held = garbage.marked(session, store)
    trees = [path for path in service.folder(settings).glob("*") if path.is_dir()]
    journals = list((store.root / taking.FOLDER).glob("*"))
    staging = list(settings.media_dir.glob(".staging-*")) if settings.media_dir.is_dir() else []
    garbage.sweep(store, held, now=time.time() + 2 * garbage.GRACE_S)
    return [*rows, *trees, *journals, *staging, *store, *store.incoming.glob("*")] == []


def test_a_dvd_is_served_as_a_tree_and_boots(
    importing: Importer, settings: Settings, database: Database, dvd: Path
) -> None:
    sha256 = hashlib.sha256(dvd.read_bytes()).hexdigest()
    task = importing(dvd, sha256=sha256)
    assert task["state"] == "done", task["problem"]
    assert task["result"] == {"media": "rocky-9.4", "release": "rocky-9.4", "remark": ""}
    shown = medium(database, "rocky-9.4")
    assert (shown["title"], shown["label"], shown["iso_sha256"]) == (
        "Rocky Linux 9.4 DVD", "Rocky-9-4-x86_64-dvd", sha256,
    )  # fmt: skip
    tree = service.folder(settings) / "rocky-9.4"
    assert (tree / ".treeinfo").is_file()
    assert (tree / "isolinux/vmlinuz").read_bytes() == making.KERNEL  # another name of the same file
    assert len(list(tree.glob("*/Packages/*/*.rpm"))) == 2
    made = release(database, "rocky-9.4")
    assert (made["ready"], made["installer"], made["version"]) == (True, "kickstart", "9.4")
    assert made["install_url"] == "{node_url}/repo/media/rocky-9.4"
    assert {each["name"]: each["url"] for each in made["repositories"]} == {
        "AppStream": "{node_url}/repo/media/rocky-9.4/AppStream", "BaseOS": "{node_url}/repo/media/rocky-9.4/BaseOS",
    }  # fmt: skip
    assert (settings.media_dir / "rocky-9.4" / made["kernel"]).read_bytes() == making.KERNEL
    said = {check["what"]: (check["verified"], check["says"]) for check in shown["checks"]}
    assert said["ISO"][0] is True
    assert said[".treeinfo"] == (True, "3 checksums in .treeinfo are right.")
    assert said["BaseOS/repodata/repomd.xml"][0] is True
    assert "1 packages" in said["BaseOS/repodata/repomd.xml"][1]
    assert said["BaseOS/repodata/repomd.xml.asc"][0] is False


def test_the_same_iso_again_costs_nothing_and_another_name_shares_its_files(
    importing: Importer, store: Store, database: Database, dvd: Path
) -> None:
    importing(dvd)
    before = sorted(path.name for path in store)
    assert "There is a medium rocky-9.4 already" in _order_problem(importing, Wanted(path=dvd.name, name="rocky-9.4"))
    assert importing(dvd, name="second")["state"] == "done"
    assert sorted(path.name for path in store) == before
    assert release(database, "second")["install_url"].endswith("/repo/media/second")
    assert importing(dvd)["state"] == "done"  # of the same image: nothing is another than before
    assert sorted(path.name for path in store) == before


def _order_problem(importing: Importer, wanted: Wanted) -> str:
    with pytest.raises((Invalid, Conflict)) as raised:
        importing.order(wanted)
    return raised.value.in_full


def test_what_is_wrong_with_an_order_is_said_before_anything_is_done(importing: Importer, dvd: Path) -> None:
    for wanted, said in (
        (Wanted(), "exactly one of upload, path and url"),
        (Wanted(path="x", url="http://h/x"), "exactly one of upload, path and url"),
        (Wanted(path="nothing.iso"), "is no file below"),
        (Wanted(path="../pxeapp.toml"), "is no file below"),
        (Wanted(path="/etc/passwd"), "is no file below"),
        (Wanted(upload="0" * 64), "no file of this SHA-256 was uploaded"),
        (Wanted(upload="x"), "upload: is not a SHA-256"),
        (Wanted(url="http://h/x.iso"), "sha256: is needed for what is downloaded"),
        (Wanted(url="ftp://h/x.iso", sha256="0" * 64), "is not an http or https URL"),
        (Wanted(path="x", name="../x"), "name: '../x' cannot be one"),
        (Wanted(path="x", name="media"), "name: 'media' cannot be one"),
        (Wanted(path="x", release="X"), "release: 'X' cannot be one"),
        (Wanted(path="x", release="x", make_release=False), "release: is named, and none is to be made"),
        (Wanted(path="x", install_url="x y"), "install_url"),
        (Wanted(path="x", kernel_args="a\nb"), "kernel_args"),
        (Wanted(upload="0" * 64, filename="a\x1b[2Jb"), "filename: holds a control character"),
        (Wanted(path="x", sha256="XYZ"), "sha256: is not a SHA-256"),
    ):
        assert said in _order_problem(importing, wanted), wanted
    link = importing.settings.data_dir / "incoming/link.iso"
    link.symlink_to(dvd)
    assert "is no file below" in _order_problem(importing, Wanted(path="link.iso"))


def test_an_upload_and_a_url_are_imported_as_a_file_is(
    importing: Importer, database: Database, upstream: UpstreamServer, uploaded: Callable[[Path], str], dvd: Path
) -> None:
    sha256 = uploaded(dvd)
    task = importing.order(Wanted(upload=sha256, filename="My DVD.iso"))
    assert (task["subject"], task["state"]) == ("My-DVD.iso", "done")
    assert medium(database, "rocky-9.4")["source"] == "My DVD.iso"
    assert "upload has" in _order_problem(importing, Wanted(upload=sha256, sha256="0" * 64))
    other = dvd.read_bytes() + bytes(2048)
    upstream.replies["/r.iso"] = Reply(other)
    url = f"{upstream.url}/r.iso"
    wrong = importing.order(Wanted(url=url, sha256="0" * 64, name="url"))
    assert "has SHA-256" in refused(wrong)
    task = importing.order(Wanted(url=url, sha256=hashlib.sha256(other).hexdigest(), name="url"))
    assert task["state"] == "done", task["problem"]
    assert medium(database, "url")["source"] == url


def test_a_download_goes_on_where_it_broke_off(
    importing: Importer, store: Store, upstream: UpstreamServer, dvd: Path
) -> None:
    content = dvd.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    half = len(content) // 2
    upstream.replies["/r.iso"] = Reply(content[:half], headers={"Content-Length": str(len(content))})
    wanted = Wanted(url=f"{upstream.url}/r.iso", sha256=sha256)
    assert "broke off" in refused(importing.order(wanted))
    assert store.partial(f"iso {sha256}") == half
    upstream.replies["/r.iso"] = Reply(
        content[half:], 206, headers={"Content-Range": f"bytes {half}-{len(content) - 1}/{len(content)}"}
    )
    task = importing.order(wanted)
    assert task["state"] == "done", task["problem"]
    assert upstream.last_headers["Range"] == f"bytes={half}-"


def test_el7_minimal_and_boot_are_made_releases_as_each_can(
    importing: Importer, settings: Settings, database: Database, rpms: tuple[Path, Path], tmp_path: Path
) -> None:
    old = making.iso(making.el7(tmp_path / "el7", *rpms), tmp_path / "CentOS-7.iso")
    assert "CentOS 7 DVD has one kernel" in refused(importing(old, hwe=True))
    assert importing(old)["result"]["release"] == "centos-7"
    assert release(database, "centos-7")["repositories"] == []
    boot = making.iso(making.el(tmp_path / "boot"), tmp_path / "boot.iso")
    task = importing(boot)
    assert task["state"] == "done"
    assert "has no packages, and no mirror of rocky 9 is known here" in task["result"]["remark"]
    assert task["result"]["remark"] in medium(database, "rocky-9.4-boot")["remarks"]
    with pytest.raises(NotFound):
        release(database, "rocky-9.4-boot")
    url = "http://mirror/rocky/9.4/BaseOS/x86_64/os"
    assert importing(boot, install_url=url, kernel_args="quiet")["result"]["release"] == "rocky-9.4-boot"
    made = release(database, "rocky-9.4-boot")
    assert made["install_url"] == url
    assert made["kernel_args"] == "inst.stage2={node_url}/repo/media/rocky-9.4-boot quiet"
    fields = ("name", "family", "version", "installer", "install_url", "kernel_args", "repositories", "settings")
    spec = facts.release_spec(**{name: made[name] for name in fields}, node_url="http://n:8081")
    assert spec.kernel_args == "inst.stage2=http://n:8081/repo/media/rocky-9.4-boot quiet"


def test_a_live_server_is_served_as_its_iso_and_is_not_kept_twice(
    importing: Importer, settings: Settings, database: Database, store: Store, tmp_path: Path
) -> None:
    iso = making.iso(making.ubuntu_live(tmp_path / "live", hwe=True), tmp_path / "ubuntu 24.04.iso", "Ubuntu")
    task = importing(iso, hwe=True)
    assert task["state"] == "done", task["problem"]
    tree = service.folder(settings) / "ubuntu-24.04.1"
    assert (tree / "ubuntu-24.04.iso").read_bytes() == iso.read_bytes()
    assert not (tree / "casper/ubuntu-server-minimal.squashfs").exists()
    made = release(database, "ubuntu-24.04.1")
    assert made["install_url"] == "{node_url}/repo/media/ubuntu-24.04.1/ubuntu-24.04.iso"
    assert (made["installer"], made["version"]) == ("autoinstall", "24.04")
    assert (settings.media_dir / "ubuntu-24.04.1" / made["kernel"]).read_bytes() == b"newer"
    assert made["settings"]["memory_mib"] == 2 * iso.stat().st_size // 1024**2 + 1024
    assert (
        f"A machine needs {made['settings']['memory_mib']} MiB of memory"
        in medium(database, "ubuntu-24.04.1")["remarks"][0]
    )
    assert not store.has(hashlib.sha256(making.STAGE2).hexdigest())
    checks = {check["what"]: check["verified"] for check in medium(database, "ubuntu-24.04.1")["checks"]}
    assert checks["md5sum.txt"] is True


def test_ubuntus_server_of_before_brings_its_own_network_installer(
    importing: Importer, database: Database, tmp_path: Path
) -> None:
    iso = making.iso(making.ubuntu_server(tmp_path / "bionic"), tmp_path / "ubuntu-18.04.6-server-amd64.iso", "Ubuntu")
    assert importing(iso)["result"]["release"] == "ubuntu-18.04.6"
    made = release(database, "ubuntu-18.04.6")
    assert made["settings"]["net_image"] == "{node_url}/repo/media/ubuntu-18.04.6/install/filesystem.squashfs"
    assert made["settings"]["allow_unauthenticated"] is True  # this one has no Release.gpg


def test_a_debian_disc_is_served_with_its_links_and_says_why_it_cannot_install(
    importing: Importer, settings: Settings, database: Database, tmp_path: Path
) -> None:
    iso = making.iso(making.debian(tmp_path / "disc", version="13.1.0"), tmp_path / "debian-13-DVD-1.iso", "Debian")
    task = importing(iso)
    assert task["state"] == "done", task["problem"]
    tree = service.folder(settings) / "debian-13.1"
    assert (tree / "dists/stable/Release").read_bytes() == (tree / "dists/trixie/Release").read_bytes()
    shown = medium(database, "debian-13.1")
    assert "were left out: debian." in shown["remarks"][0]
    assert task["result"]["release"] == ""
    assert task["result"]["remark"].startswith("No release was made: ")
    checks = {check["what"]: check["verified"] for check in shown["checks"]}
    assert checks == {"ISO": False, "md5sum.txt": True, "dists/trixie/Release": False}
    netinst = making.iso(making.debian(tmp_path / "net", "NETINST"), tmp_path / "netinst.iso", "Debian")
    remark = importing(netinst)["result"]["remark"]
    assert "No mirror named 'debian' is known" in remark


def test_a_signature_counts_when_this_machine_has_its_key(
    importing: Importer, settings: Settings, database: Database, tmp_path: Path
) -> None:
    ours, other = openpgp.make("Rocky <r@x>", algorithm="ed25519"), openpgp.make("Other <o@x>", algorithm="ed25519")
    making.repository(tmp_path / "tree/BaseOS")
    tree = making.el(tmp_path / "tree")
    repomd = tree / "BaseOS/repodata/repomd.xml"
    signature = repomd.with_name("repomd.xml.asc")
    signature.write_bytes(openpgp.sign_detached(repomd.read_bytes(), [other.private]))

    def says(name: str) -> tuple[bool, str]:
        task = importing(making.iso(tree, tmp_path / f"{name}.iso"), name=name)
        assert task["state"] == "done", task["problem"]
        check = medium(database, name)["checks"][-1]
        return check["verified"], check["says"]

    assert says("none") == (False, "BaseOS/repodata/repomd.xml is signed; this machine has no key of its publisher.")
    keys = making.write(settings.data_dir / "keyrings/rocky", {"rocky.asc": ours.public})
    assert keys.is_dir()
    verified, sentence = says("unknown")
    assert not verified
    assert "is signed by a key that is not in the keyring" in sentence
    signature.write_bytes(openpgp.sign_detached(repomd.read_bytes(), [ours.private]))
    assert says("known") == (True, "BaseOS/repodata/repomd.xml is signed by a key of its publisher.")
    signature.write_bytes(openpgp.sign_detached(b"something else", [ours.private]))
    assert "altered, or damaged" in refused(importing(making.iso(tree, tmp_path / "bad.iso"), name="bad"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda tree: (tree / "images/pxeboot/vmlinuz").write_bytes(b"other" * 99), "images/pxeboot/vmlinuz in"),
        (lambda tree: next(tree.glob("BaseOS/Packages/*/*.rpm")).write_bytes(b"other"), "is not what"),
        (lambda tree: next(tree.glob("BaseOS/Packages/*/*.rpm")).unlink(), "which is not on it"),
        (lambda tree: next(tree.glob("AppStream/repodata/*-primary.xml.*")).write_bytes(b"other"), "is not what"),
        (lambda tree: next(tree.glob("AppStream/repodata/*-filelists.xml.*")).unlink(), "which is not on it"),
        (lambda tree: (tree / "BaseOS/repodata/repomd.xml").write_text("<x"), "is no index"),
        (lambda tree: (tree / "BaseOS/repodata/repomd.xml").write_text("<!DOCTYPE x []><x/>"), "declares entities"),
    ],
)
def test_a_medium_that_is_not_what_it_says_is_refused_whole_and_leaves_nothing(
    damage: Callable[[Path], object], said: str, importing: Importer, settings: Settings, database: Database,
    store: Store, dvd_tree: Path, tmp_path: Path,
) -> None:  # fmt: skip
    tree = tmp_path / "tree"
    shutil.copytree(dvd_tree, tree)
    damage(tree)
    assert said in refused(importing(making.iso(tree, tmp_path / "x.iso")))
    assert nothing_is_left(settings, database, store)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"kernel kernel", b"kernel kernal", "install.amd/vmlinuz in x.iso is not what md5sum.txt says"),
        (b"grub-pc 1.0\n", b"grub-pc 1.1\n", "is not what"),
        (b" ./README.txt", b" ./README.tx_", "md5sum.txt of x.iso names README.tx_, which is not on it"),
    ],
)
def test_a_damaged_debian_disc_is_refused_whole(
    before: bytes, after: bytes, said: str, importing: Importer, settings: Settings, database: Database, store: Store,
    tmp_path: Path,
) -> None:  # fmt: skip
    iso = making.changed(making.iso(making.debian(tmp_path / "tree"), tmp_path / "x.iso"), before, after)
    assert said in refused(importing(iso))
    assert nothing_is_left(settings, database, store)


def test_hostile_and_broken_images_leave_nothing(
    importing: Importer, settings: Settings, database: Database, store: Store, dvd: Path, tmp_path: Path
) -> None:
    tree = making.el(tmp_path / "tree")
    (tree / "evil").symlink_to("../../../etc/passwd")
    assert "leaves the tree" in refused(importing(making.iso(tree, tmp_path / "link.iso")))
    cut = tmp_path / "cut.iso"
    cut.write_bytes(dvd.read_bytes()[: -100 * 2048])
    assert "is cut off" in refused(importing(cut))
    assert "has SHA-256" in refused(importing(dvd, sha256="0" * 64))
    assert nothing_is_left(settings, database, store)


def test_replacing_is_on_purpose_and_keeps_the_files_of_before_beside(
    importing: Importer, settings: Settings, database: Database, dvd: Path, tmp_path: Path
) -> None:
    importing(dvd, release="nine")
    importing(dvd)
    making.repository(tmp_path / "tree/BaseOS")
    newer = making.iso(making.el(tmp_path / "tree", version="9.5", kernel=b"newer"), tmp_path / "newer.iso")
    assert "There is a medium rocky-9.4 already" in _order_problem(importing, Wanted(path=dvd.name, name="rocky-9.4"))
    task = importing(newer, name="rocky-9.4", replace=True)
    assert task["state"] == "done", task["problem"]
    assert medium(database, "rocky-9.4")["version"] == "9.5"
    assert release(database, "rocky-9.4")["version"] == "9.5"
    assert medium(database, "rocky-9.4")["remarks"] == [
        "Releases that boot a kernel of the image before install from it, too: nine."
    ]
    tree = service.folder(settings) / "rocky-9.4"
    assert "9.5" in (tree / ".treeinfo").read_text()
    assert list(tree.glob("BaseOS/Packages/*/*.rpm"))  # a machine in the middle of an installation goes on


def test_an_appliance_that_was_restored_serves_its_media_again_or_says_that_they_are_gone(
    importing: Importer, settings: Settings, database: Database, store: Store, dvd: Path, tmp_path: Path
) -> None:
    importing(dvd)
    shutil.rmtree(service.folder(settings))
    service.keep_served(settings, database, now())
    assert (service.folder(settings) / "rocky-9.4/.treeinfo").is_file()  # linked anew out of the store
    shutil.rmtree(store.root)
    shutil.rmtree(service.folder(settings))
    for _ in range(2):
        service.keep_served(settings, database, now())
    assert medium(database, "rocky-9.4")["remarks"] == [service.LOST]
    making.repository(tmp_path / "tree/BaseOS")
    newer = making.iso(making.el(tmp_path / "tree", version="9.5"), tmp_path / "newer.iso")
    assert importing(newer, name="rocky-9.4", replace=True)["state"] == "done"
    with database.read() as session:
        assert garbage.marked(session, store)  # nothing that is lost is asked for
    assert (service.folder(settings) / "rocky-9.4/.treeinfo").is_file()


def test_a_name_that_is_taken_is_refused_before_the_image_is_read(
    importing: Importer, database: Database, store: Store, dvd: Path, tmp_path: Path
) -> None:
    importing(dvd)
    files = len(list(store))
    making.repository(tmp_path / "tree/BaseOS")
    other = making.iso(making.el(tmp_path / "tree", version="9.4"), tmp_path / "other.iso")
    assert "There is a medium rocky-9.4 already" in refused(importing(other))
    assert "There is a release rocky-9.4 already" in refused(importing(other, name="other", release="rocky-9.4"))
    assert len(list(store)) == files


def test_a_medium_goes_when_no_release_installs_from_it(
    importing: Importer, settings: Settings, database: Database, store: Store, dvd: Path
) -> None:
    importing(dvd)
    importing(dvd, name="rocky-9", release="nine")
    with pytest.raises(Conflict, match=r"rocky-9 is what nine installs from"):
        service.delete(database, settings, "rocky-9", actor="user:ops", now=now())
    with database.write() as session:
        releases.remove(session, "nine", actor="user:ops", now=now())
        releases.remove(session, "rocky-9.4", actor="user:ops", now=now())
    for name in ("rocky-9", "rocky-9.4"):
        service.delete(database, settings, name, actor="user:ops", now=now())
    with pytest.raises(NotFound):
        service.delete(database, settings, "rocky-9", actor="user:ops", now=now())
    assert nothing_is_left(settings, database, store)


def test_what_a_medium_holds_is_not_collected(
    importing: Importer, settings: Settings, database: Database, store: Store, dvd: Path
) -> None:
    importing(dvd)
    with database.read() as session:
        held = garbage.marked(session, store)
    assert garbage.sweep(store, held, now=time.time() + 2 * garbage.GRACE_S).files == 0
    assert len(held) == len(list(store))


class Killed(BaseException):
    """The process ends here."""


def _run(settings: Settings, database: Database, store: Store, iso: Path, at: int) -> Run:
    """A run that is killed at its `at`th word, unless it has ended before."""

    class Dying(Run):
        words = 0

        def _count(self) -> None:
            Dying.words += 1
            if Dying.words == at:
                raise Killed

        def progress(self, done: int, total: int = 0, *, unit: str = "", says: str = "") -> None:
            self._count()

        def says(self, sentence: str) -> None:
            self._count()

    return Dying(settings, database, store, 1, "media.import", "x", asdict(Wanted(path=iso.name)), "user:ops", "test")


def test_an_import_that_is_killed_anywhere_goes_on_and_reads_nothing_twice(
    settings: Settings, database: Database, store: Store, dvd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(dvd, settings.data_dir / "incoming" / dvd.name)
    read: list[list[str]] = []
    stream = taking.contents.stream

    def noted(image: Any, listing: Any, known: Any = ()) -> Any:
        read.append([])
        for path, size, content in stream(image, listing, known):
            yield path, size, content
            read[-1].append(path)

    monkeypatch.setattr(taking.contents, "stream", noted)
    kills = 0
    while True:
        try:
            result = work.run(_run(settings, database, store, dvd, 16))
            break
        except Killed:
            kills += 1
            assert kills < 20
    assert kills >= 3
    assert result == {"media": "rocky-9.4", "release": "rocky-9.4", "remark": ""}
    done = [path for each in read for path in each]
    assert len(done) == len(set(done))  # each file was read to its end once, in whichever of the tries
    assert release(database, "rocky-9.4")["ready"]
    assert not list((store.root / taking.FOLDER).glob("*.jsonl"))


def test_an_import_that_is_stopped_leaves_the_medium_of_before(
    importing: Importer, settings: Settings, database: Database, store: Store, dvd: Path, tmp_path: Path
) -> None:
    importing(dvd)
    making.repository(tmp_path / "tree/BaseOS")
    newer = making.iso(making.el(tmp_path / "tree", version="9.5"), tmp_path / "newer.iso")
    (settings.data_dir / "incoming/newer.iso").write_bytes(newer.read_bytes())
    options = asdict(Wanted(path="newer.iso", name="rocky-9.4", replace=True))
    run = Run(settings, database, store, 1, "media.import", "x", options, "user:ops", "test", stopping=True)
    with pytest.raises(Stopped):
        work.run(run)
    assert medium(database, "rocky-9.4")["version"] == "9.4"


def test_a_full_disk_is_a_sentence_before_and_while_and_what_is_there_stays(
    importing: Importer, database: Database, store: Store, dvd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing(dvd)
    making.repository(tmp_path / "tree/BaseOS")
    other = making.iso(making.el(tmp_path / "tree", version="9.5"), tmp_path / "other.iso")
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patched:
        patched.setattr(space.shutil, "disk_usage", lambda _folder: usage(100 * space.GIB, 0, space.GIB + 1000))
        said = refused(importing(other))
    assert "Importing other.iso needs" in said
    assert "1000 bytes are free" in said
    assert medium(database, "rocky-9.4")["version"] == "9.4"

    calls = 0
    fsync = os.fsync

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(store_module.os, "fsync", full)
        said = refused(importing(other))
    assert re.search(r"The disk of .* is full: \d+ of \d+ bytes of other.iso were taken", said)
    assert medium(database, "rocky-9.4")["version"] == "9.4"
    assert list((store.root / taking.FOLDER).glob("*.jsonl"))  # it goes on from there
    assert importing(other)["result"]["media"] == "rocky-9.5"
