"""Syncs against a real upstream over HTTP: what comes, what is not fetched twice, and what stays when it goes wrong."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.answers.roles import rows as roles
from pxeapp.config import Settings
from pxeapp.db import now
from pxeapp.errors import Conflict
from pxeapp.software.content import space
from pxeapp.software.content.store import Store
from pxeapp.software.mirrors import fetching, line, service, sync
from pxeapp.software.models import Release
from pxeapp.software.repositories import openpgp
from pxeapp.software.tasks.models import SoftwareTask
from tests.software import killing
from tests.software.mirrors.conftest import Appliance
from tests.software.mirrors.upstream import SUITE, Archive, Server, deb
from tests.software.repositories import served

COMMON = "pool/main/w/web-common_1.0_all.deb"
WHOLE = ["shell_1.0_amd64.deb", "web-common_1.0_all.deb", "web_1.0_all.deb"]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "PAUSE_S", 0.01)


def test_a_mirror_holds_what_was_asked_for_with_what_it_needs_and_follows_its_upstream(
    appliance: Appliance, archive: Archive, upstream: Server, tmp_path: Path
) -> None:
    appliance.create()
    task = appliance.sync()
    assert task["problem"] == ""
    assert task["result"]["fetched"]["packages"] == 3
    assert appliance.served() == WHOLE
    row = appliance.row()
    assert (row.package_count, row.problem, row.mirror["state"]["unsatisfied"]) == (3, "", [])
    # Nothing is new: nothing is fetched, nothing published.
    before, manifest = upstream.asked.copy(), row.manifest
    task = appliance.sync()
    assert set(upstream.asked - before) == {f"dists/{SUITE}/InRelease"}
    assert (task["result"]["changed"], appliance.row().manifest) == (False, manifest)
    # An update: what is new is fetched, and a client that has read the old index is still served.
    archive.add(deb(tmp_path, "web", "2.0", Depends="web-common (>= 1.0)"))
    archive.publish()
    asked = upstream.packages_asked()
    assert appliance.sync()["result"]["fetched"]["packages"] == 1
    assert upstream.packages_asked() == asked + 1
    assert appliance.row().package_count == 2
    assert appliance.served() == sorted([*WHOLE, "web_2.0_all.deb"])
    # One that has gone back in time, though well signed.
    archive.publish(now=now() - dt.timedelta(days=2))
    assert "older than the one that is published" in appliance.sync()["problem"]
    assert appliance.row().package_count == 2


def test_recommendations_base_and_installer_come_when_they_are_asked_for(appliance: Appliance) -> None:
    appliance.create(recommends=True, base=True, installer=True)
    assert appliance.sync()["problem"] == ""
    expected = [*WHOLE, "base-files_1.0_all.deb", "base-installer_1.0_all.udeb", "kernel-image-1.0-di_1.0_all.udeb"]
    assert appliance.served() == sorted([*expected, "web-doc_1.0_all.deb"])
    index = appliance.settings.data_dir / f"repo/web/dists/{SUITE}/main/debian-installer/binary-amd64/Packages"
    assert "Package: base-installer" in index.read_text()


def test_apt_installs_from_the_mirrored_part_with_the_upstream_gone(
    appliance: Appliance, upstream: Server, tmp_path: Path, our_key: openpgp.KeyPair
) -> None:
    if missing := served.missing(["apt-get", "dpkg"]):
        pytest.skip(f"needs {' '.join(missing)}")
    appliance.create()
    assert appliance.sync()["problem"] == ""
    upstream.shutdown()
    (tmp_path / "key.gpg").write_bytes(openpgp.binary_keyring(our_key.public.encode()))
    apt = served.Apt(tmp_path / "apt", f"file:{appliance.settings.data_dir}/repo/web", SUITE, tmp_path / "key.gpg")
    ran = apt.run("update")
    assert ran.returncode == 0, ran.stderr
    ran = apt.run("-y", "--no-install-recommends", "install", "web")
    assert ran.returncode == 0, ran.stderr
    assert (apt.folder / "usr/share/web-common/about").read_text() == "web-common 1.0\n"


def test_what_is_missing_upstream_is_named_with_who_asked(appliance: Appliance, archive: Archive) -> None:
    result = appliance.preview(packages=["broken", "shell", "no-such-thing"])["result"]
    missing = [(each["what"], each["by"]) for each in result["unsatisfied"]]
    assert missing == [("no-such-thing", ["you"]), ("what-nobody-has (>= 3)", ["broken"])]
    assert (result["packages"], result["missing"]) == (2, 2)
    for path in archive.root.rglob("*.udeb"):
        path.unlink()
    archive.publish()
    result = appliance.preview(installer=True)["result"]
    assert [each["what"] for each in result["unsatisfied"]] == ["components of the installer (udebs)"]


def test_what_apt_refuses_to_install_together_is_said_with_its_versions(
    appliance: Appliance, archive: Archive, tmp_path: Path
) -> None:
    for arch, version in (("amd64", "2.0"), ("i386", "1.0")):
        archive.add(deb(tmp_path / arch, "libsame", version, arch=arch, Multi_Arch="same"))
    archive.publish(architectures=("amd64", "i386"))
    appliance.create(packages=["libsame"], architectures=["amd64", "i386"])
    task = appliance.sync()
    said = appliance.row().mirror["state"]["remarks"]
    assert (task["problem"], task["result"]["remarks"]) == ("", said)
    assert "libsame (2.0 for amd64, 1.0 for i386). Sync again when" in said[0]
    # Nothing of it is said once the upstream is whole, nor of one architecture alone.
    archive.add(deb(tmp_path / "later", "libsame", "2.0", arch="i386", Multi_Arch="same"))
    archive.publish(architectures=("amd64", "i386"))
    appliance.sync()
    assert appliance.row().mirror["state"]["remarks"] == []
    assert appliance.preview(packages=["libsame"])["result"]["remarks"] == []


def test_a_preview_fetches_no_package(appliance: Appliance, upstream: Server) -> None:
    result = appliance.preview()["result"]
    assert (result["packages"], result["to_fetch"]["packages"], result["unsatisfied"]) == (3, 3, [])
    assert result["bytes"] == result["to_fetch"]["bytes"] > 400_000
    assert appliance.preview(everything=True, packages=[])["result"]["packages"] == 6
    assert upstream.packages_asked() == 0


def test_a_role_is_asked_anew_each_time(appliance: Appliance) -> None:
    with appliance.database.write() as session:
        session.add(
            Release(name="ours", family="debian", version="13", installer="preseed", created_at=now(), updated_at=now())
        )
        said = {"name": "tiny", "packages": {"debian": ["shell"]}}
        roles.create(session, said, actor="user:ops", now=now())
    given: dict[str, Any] = {"packages": [], "roles": [{"role": "tiny"}], "release": "ours"}
    assert appliance.preview(**given)["result"]["names"] == {"tiny": ["shell"]}
    with appliance.database.write() as session:
        roles.change(session, "tiny", {"packages": {"debian": ["web"]}}, actor="user:ops", now=now())
    result = appliance.preview(**given)["result"]
    assert (result["names"], result["packages"]) == ({"tiny": ["web"]}, 3)
    assert "is no variable" in appliance.preview(**{**given, "roles": [{"role": "tiny", "vars": {"a": 1}}]})["problem"]


def test_a_line_that_breaks_off_is_gone_on_with(appliance: Appliance, upstream: Server) -> None:
    upstream.cut[COMMON] = 150_000
    appliance.create()
    assert appliance.sync()["problem"] == ""
    assert upstream.ranges[COMMON] == ["bytes=150000-"]


def test_a_sync_that_failed_left_what_came_in_and_the_next_one_goes_on(
    appliance: Appliance, archive: Archive, upstream: Server
) -> None:
    appliance.create(at_once=1)
    (archive.root / COMMON).rename(archive.root / "aside")
    task = appliance.sync()
    assert f"has no {COMMON}, which its index names" in task["problem"]
    assert appliance.row().problem == task["problem"]
    (archive.root / "aside").rename(archive.root / COMMON)
    before = upstream.packages_asked()
    assert appliance.sync()["problem"] == ""
    assert (upstream.packages_asked(), appliance.row().problem) == (before + 1, "")


@pytest.mark.parametrize("already", [False, True])
def test_a_sync_that_was_killed_when_all_was_published_ends_at_the_next_try(
    already: bool, appliance: Appliance, archive: Archive, upstream: Server, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    appliance.create()
    if already:
        appliance.sync()
        archive.add(deb(tmp_path, "web", "2.0"))
        archive.publish()
    with appliance.database.write() as session:
        number = service.sync(session, "web", actor="user:ops", now=now()).id
    with killing.killed_at(monkeypatch, sync, "_remember"):
        appliance.work()
    killing.free(appliance.database)
    manifest, asked = appliance.row().manifest, upstream.packages_asked()
    killing.killed_at_the_end(appliance.settings, appliance.database)
    appliance.work()
    assert (appliance.task(number)["state"], appliance.task(number)["problem"]) == ("done", "")
    assert upstream.packages_asked() == asked
    assert appliance.row().mirror["state"]["unsatisfied"] == []
    assert appliance.row().manifest == manifest or not already  # what was published first of all is signed anew


LIES: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda content: content[:-1] + b"x", "has SHA-256"),
    (lambda content: content + b"more", "and its index says"),
    (lambda content: content[:-5], "and its index says"),
    (lambda _content: b"", "and its index says"),
]


def test_an_upstream_that_lies_is_refused_by_name_and_what_was_served_stays(
    appliance: Appliance, archive: Archive, tmp_path: Path
) -> None:
    appliance.create()
    appliance.sync()
    path = archive.add(deb(tmp_path, "web", "2.0", filler=3000))
    archive.publish()
    right = (archive.root / path).read_bytes()
    for lie, said in LIES:
        (archive.root / path).write_bytes(lie(right))
        task = appliance.sync()
        assert task["state"] == "failed"
        assert said in task["problem"]
        assert "web_2.0_all.deb" in task["problem"]
        assert appliance.served() == WHOLE
        assert appliance.row().problem == task["problem"]
        assert not list((appliance.store / "incoming").iterdir())  # nothing of a lie is gone on with


def test_an_upstream_that_changes_under_us_is_read_once_more(
    appliance: Appliance, archive: Archive, upstream: Server, tmp_path: Path
) -> None:
    appliance.create(at_once=1)

    def update() -> None:
        (archive.root / "pool/main/w/web_1.0_all.deb").unlink()
        archive.add(deb(tmp_path, "web", "2.0", Depends="web-common"))
        archive.publish()

    upstream.before_answer["pool/main/w/web_1.0_all.deb"] = update
    assert appliance.sync()["problem"] == ""
    assert appliance.served() == ["web-common_1.0_all.deb", "web_2.0_all.deb"]


def test_an_index_that_is_not_what_was_signed_is_refused(appliance: Appliance, archive: Archive) -> None:
    index = archive.root / f"dists/{SUITE}/main/binary-amd64/Packages.xz"
    index.write_bytes(index.read_bytes()[:-1] + b"x")
    appliance.create()
    task = appliance.sync()
    assert "and its signed Release file says" in task["problem"]
    assert appliance.served() == []


def test_an_expired_index_is_refused_unless_somebody_says_so(appliance: Appliance, archive: Archive) -> None:
    archive.valid_until = now() - dt.timedelta(days=1)
    archive.publish(now=now() - dt.timedelta(days=8))
    assert "was valid until" in appliance.preview()["problem"]
    assert appliance.preview(accept_expired=True)["problem"] == ""


def test_an_unsigned_index_is_refused_unless_somebody_says_so(appliance: Appliance, archive: Archive) -> None:
    archive.signed = False
    archive.publish()
    assert "is not signed" in appliance.preview()["problem"]
    task = appliance.preview(accept_unsigned=True)
    assert task["problem"] == ""
    assert "accept_unsigned" in task["result"]["remarks"][0]


def test_a_key_that_is_another_one_or_missing_is_a_sentence(appliance: Appliance, our_key: openpgp.KeyPair) -> None:
    assert "signed by a key that is not in the keyring" in appliance.preview(key=our_key.public)["problem"]
    assert "There is no key to verify" in appliance.preview(key="")["problem"]
    assert "There is no keyring nobodys in" in appliance.preview(key="", keyring="nobodys")["problem"]


def test_an_upstream_that_does_not_answer_is_a_sentence(appliance: Appliance, upstream: Server) -> None:
    appliance.create()
    appliance.sync()
    upstream.shutdown()
    upstream.server_close()
    task = appliance.sync()
    assert "does not answer" in task["problem"]
    assert appliance.served() == WHOLE


def test_an_upstream_that_this_appliance_may_not_contact_is_refused(appliance: Appliance) -> None:
    appliance.settings = replace(appliance.settings, fetch_networks=())
    appliance.create()
    assert "may not contact" in appliance.sync()["problem"]


def test_a_disk_without_room_is_a_sentence_before_anything_is_fetched(
    appliance: Appliance, upstream: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(appliance.settings.data_dir)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda _: usage._replace(total=10**12, free=10**9))
    appliance.create()
    assert "The mirror web needs" in appliance.sync()["problem"]
    assert upstream.packages_asked() == 0


@pytest.fixture
def small_disk(settings: Settings) -> Iterator[Path]:
    """The data directory on a disk of 8 MiB."""
    settings.data_dir.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(settings.data_dir)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(command, check=False, timeout=20).returncode:
        pytest.skip("needs root, to mount a small disk")
    yield settings.data_dir
    subprocess.run(["umount", str(settings.data_dir)], check=True, timeout=20)


def test_a_disk_that_becomes_full_is_a_sentence_and_the_next_sync_goes_on(
    small_disk: Path, appliance: Appliance, upstream: Server
) -> None:
    appliance.create()

    def fill() -> None:
        with (small_disk / "other").open("wb", buffering=0) as out, suppress(OSError):
            while True:
                out.write(bytes(65536))

    upstream.before_answer[COMMON] = fill
    task = appliance.sync()
    assert re.search(r"The disk became full while pool/\S+ came in", task["problem"]), task["problem"]  # one of three
    (small_disk / "other").unlink()
    assert appliance.sync()["problem"] == ""
    assert appliance.served() == WHOLE


def test_a_cancelled_sync_leaves_everything_as_it_was(appliance: Appliance, upstream: Server) -> None:
    appliance.create()
    held = upstream.held[COMMON] = threading.Event()

    def cancel() -> None:
        with appliance.database.write() as session:
            session.scalars(select(SoftwareTask)).one().cancelled = True

    upstream.before_answer[COMMON] = cancel
    threading.Timer(2.5, held.set).start()
    task = appliance.sync()
    assert task["state"] == "cancelled"
    assert (appliance.served(), appliance.row().manifest) == ([], "")


@pytest.mark.parametrize("point", [f"dists/{SUITE}/main/binary-amd64/Packages.xz", COMMON])
def test_a_worker_that_is_killed_is_gone_on_from_where_it_was(
    appliance: Appliance, upstream: Server, tmp_path: Path, point: str
) -> None:
    appliance.create(at_once=1)
    held = upstream.held[point] = threading.Event()
    with appliance.database.write() as session:
        number = service.sync(session, "web", actor="user:ops", now=now()).id
    environment = {
        **os.environ,
        "PXEAPP_DATA_DIR": str(appliance.settings.data_dir),
        "PXEAPP_DATABASE_URL": appliance.settings.database_url,
        "PXEAPP_FETCH_NETWORKS": "127.0.0.0/8",
    }
    command = [sys.executable, "-m", "pxeapp", "software-worker"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as worker:
        try:
            _until(lambda: upstream.asked[point] and _half_is_in(appliance, point))
        finally:
            worker.send_signal(signal.SIGKILL)
    held.set()
    before = upstream.asked.copy()
    with appliance.database.write() as session:  # nobody waits a minute for a lease in a test
        session.get_one(SoftwareTask, number).lease_until = now() - dt.timedelta(seconds=1)
    appliance.work()
    assert appliance.task(number)["state"] == "done"
    assert appliance.served() == WHOLE
    if point == COMMON:
        assert upstream.ranges[COMMON][-1] != "bytes=0-"
        again = upstream.asked - before
        assert not [path for path in again if path.endswith(".xz")]  # the index was in the store
        assert again["pool/main/s/shell_1.0_amd64.deb"] == 0


def _half_is_in(appliance: Appliance, point: str) -> bool:
    if point != COMMON:
        return True
    return any(path.stat().st_size > 100_000 for path in (appliance.store / "incoming").glob("*"))


def _until(what: Any) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_file_that_another_sync_is_fetching_is_waited_for(
    appliance: Appliance, archive: Archive, upstream: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = threading.Event()
    monkeypatch.setattr(fetching, "OTHER_S", 0.01)
    content = (archive.root / COMMON).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    store = Store(appliance.store)
    wanted = fetching.Wanted(line.place({}, appliance.settings, upstream.url), COMMON, sha256, len(content))

    def other() -> None:
        with store.receiving(sha256=sha256, key=f"mirror {sha256}") as incoming:
            begun.set()
            assert waited.wait(20)
            incoming.write(content)

    begun = threading.Event()
    thread = threading.Thread(target=other)
    thread.start()
    assert begun.wait(20)
    told = 0

    def tell(_count: fetching.Count) -> None:
        nonlocal told
        told += 1
        waited.set()  # half a second has gone by, and the file is still the other's

    count = fetching.fetch([wanted], store, tell=tell)
    thread.join()
    assert (store.read(sha256), upstream.packages_asked()) == (content, 0)
    assert (told > 0, count.files) == (True, 1)


def test_one_sync_at_a_time(appliance: Appliance) -> None:
    appliance.create()
    with appliance.database.write() as session:
        service.sync(session, "web", actor="user:ops", now=now())
    with pytest.raises(Conflict, match="works on web already"), appliance.database.write() as session:
        service.sync(session, "web", actor="user:ops", now=now())
    with pytest.raises(Conflict, match="syncs web"), appliance.database.write() as session:
        service.remove(session, "web", actor="user:ops", now=now())
