"""Many files that the disk confirms together: none that a loss of power has spoiled is ever taken for right."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from pxeapp.software.content import unsynced
from pxeapp.software.content.store import Store

FILES = {hashlib.sha256(data).hexdigest(): data for data in (b"one", b"two", b"three")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "software")


def receive(store: Store, *hashes: str) -> None:
    for each in hashes:
        with store.receiving(sha256=each, durable=False) as into:
            into.write(FILES[each])


def lists(store: Store) -> list[Path]:
    return sorted(store.incoming.glob(f"{unsynced.PREFIX}*"))


def test_the_list_is_there_while_files_come_in_and_gone_when_they_are_confirmed(store: Store) -> None:
    with unsynced.together(store, FILES):
        (path,) = lists(store)
        assert set(path.read_text().split()) == set(FILES)
        receive(store, *FILES)
        assert unsynced.look(store) == 0, "its owner lives"
        assert path.exists()
    assert lists(store) == []
    assert [store.read(each) for each in FILES] == list(FILES.values())


def test_what_came_in_before_a_failure_stays(store: Store) -> None:
    first, *_ = FILES
    with contextlib.suppress(ConnectionError), unsynced.together(store, FILES):
        receive(store, first)
        raise ConnectionError
    assert lists(store) == []
    assert store.has(first)


def test_nothing_to_bring_needs_no_list(store: Store) -> None:
    with unsynced.together(store, []):
        assert lists(store) == []


def test_after_a_loss_of_power_what_is_wrong_goes_and_what_is_right_stays(store: Store) -> None:
    script = (
        "import os, sys; from pathlib import Path; from pxeapp.software.content import unsynced\n"
        "from pxeapp.software.content.store import Store\n"
        "from tests.software.content.test_unsynced import FILES, receive\n"
        "store = Store(Path(sys.argv[1]))\n"
        "with unsynced.together(store, FILES):\n"
        "    receive(store, *list(FILES)[:2]); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(store.root)], timeout=60, check=False)
    first, second, third = FILES
    assert len(lists(store)) == 1
    spoiled = store.path(first)  # as a disk leaves a file whose name it had written, and not its content
    spoiled.chmod(0o644)
    spoiled.write_bytes(bytes(3))
    assert unsynced.look(store) == 1
    assert not store.has(first)
    assert store.read(second) == FILES[second]
    assert not store.has(third)
    assert lists(store) == []
    assert unsynced.look(store) == 0
