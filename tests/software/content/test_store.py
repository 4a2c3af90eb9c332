"""The store: whole files only, each once, however they come and whatever breaks off."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.software.content import garbage
from pxeapp.software.content.manifest import Entry, Manifest
from pxeapp.software.content.store import Store

SHA = hashlib.sha256(b"hello").hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "software")


def broken_off(store: Store, data: bytes, *, key: str = "") -> Path:
    """A download whose server went away after these bytes; where it lay."""
    with contextlib.suppress(ConnectionError), store.receiving(key=key) as into:
        into.write(data)
        raise ConnectionError
    return into.path


def test_the_same_bytes_are_kept_once(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello")
    assert (
        store.add_bytes(b"hello") == store.add_file(tmp_path / "file") == store.add_file(tmp_path / "file", move=True)
    )
    assert [path.name for path in store] == [SHA]
    assert store.read(SHA) == b"hello"
    assert store.size(SHA) == 5
    assert not (tmp_path / "file").exists()
    assert store.path(SHA).stat().st_mode & 0o777 == 0o444


def test_a_file_that_is_moved_in_is_not_copied(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello")
    number = (tmp_path / "file").stat().st_ino
    assert store.path(store.add_file(tmp_path / "file", move=True).sha256).stat().st_ino == number


def test_a_wrong_hash_is_refused_and_nothing_stays(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"other")
    with pytest.raises(Invalid, match="has SHA-256"):
        store.add_file(tmp_path / "file", sha256=SHA)
    with (
        pytest.raises(Invalid, match=r"disk\.iso has SHA-256"),
        store.receiving(sha256=SHA, key="k", name="disk.iso") as into,
    ):
        into.write(b"other")
    assert list(store) == []
    assert store.partial("k") == 0
    assert (tmp_path / "file").exists()


def test_what_broke_off_goes_on_under_its_key(store: Store) -> None:
    broken_off(store, b"hel", key="k")
    assert store.partial("k") == 3
    with store.receiving(sha256=SHA, key="k") as into:
        assert into.received == 3
        into.write(b"lo")
    assert into.blob.sha256 == SHA
    assert store.partial("k") == 0


def test_what_an_earlier_try_left_can_be_thrown_away(store: Store) -> None:
    broken_off(store, b"stale", key="k")
    with store.receiving(sha256=SHA, key="k") as into:
        into.restart()
        into.write(b"hello")
    assert into.blob.size == 5


def test_one_key_comes_in_once_at_a_time(store: Store) -> None:
    with store.receiving(key="k") as into:
        into.write(b"hello")
        with pytest.raises(Conflict), store.receiving(key="k"):
            pass
    assert into.blob.sha256 == SHA


def test_who_opened_what_another_finished_meanwhile_does_not_write_to_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off(store, b"he", key="k")
    flock = fcntl.flock

    def slowly(descriptor: int, how: int) -> None:
        """Between our opening it and our lock, another has brought the rest and placed it."""
        monkeypatch.setattr(fcntl, "flock", flock)
        with store.receiving(sha256=SHA, key="k") as other:
            other.write(b"llo")
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", slowly)
    with store.receiving(key="k") as into:
        assert into.received == 0, "it begins anew, in a file of its own"
        into.restart()
        into.write(b"else")
    assert store.read(SHA) == b"hello"
    assert store.read(into.blob.sha256) == b"else"


def test_without_a_key_nothing_stays_of_what_broke_off(store: Store) -> None:
    broken_off(store, b"hel")
    assert list(store.incoming.iterdir()) == []


def test_a_writer_that_is_killed_leaves_nothing_half_in_the_pool(store: Store) -> None:
    script = (
        "import os, sys; from pathlib import Path; from pxeapp.software.content.store import Store\n"
        "with Store(Path(sys.argv[1])).receiving(key='k') as into:\n"
        "    into.write(b'hel'); into._handle.flush(); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(store.root)], timeout=60, check=False)
    assert list(store) == []
    with store.receiving(key="k", sha256=SHA) as into:
        into.write(b"lo")
    assert store.read(SHA) == b"hello"


def test_what_is_not_there_is_said(store: Store) -> None:
    assert not store.has(SHA)
    with pytest.raises(NotFound):
        store.read(SHA)


def test_what_nothing_holds_is_collected_and_what_was_just_asked_for_is_not(store: Store) -> None:
    held = store.add_bytes(b"held").sha256
    loose = store.add_bytes(b"loose").sha256
    asked = store.add_bytes(b"asked").sha256
    tree = Manifest([Entry("a/b", held, 4)]).save(store)
    for path in store:
        os.utime(path, (1.0, 1.0))
    assert store.has(asked)
    swept = garbage.sweep(store, {tree, held}, now=time.time(), grace_s=60.0)
    assert (swept.files, swept.bytes, swept.kept) == (1, 5, 3)
    assert store.has(held)
    assert store.has(asked)
    assert store.has(tree)
    assert not store.has(loose)


def test_a_download_that_was_given_up_is_collected_after_a_week(store: Store) -> None:
    for key, age in (("old", garbage.PARTIAL_S + 60), ("new", 60.0)):
        os.utime(broken_off(store, b"x", key=key), (time.time() - age,) * 2)
    garbage.sweep(store, set(), now=time.time())
    assert (store.partial("old"), store.partial("new")) == (0, 1)
