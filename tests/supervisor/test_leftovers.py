"""A record of processes is believed only about those that it means: numbers are given to others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp.supervisor.leftovers import Record
from tests.supervisor.children import alive


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_what_is_on_record_is_ended_once(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    record = Record(tmp_path / "record")
    assert record.end_all() == []
    record.write([sleeper.pid])
    assert record.end_all() == [sleeper.pid]
    assert not alive(sleeper.pid)
    assert record.end_all() == []


@pytest.mark.parametrize("place", [1, 2])
def test_a_process_of_the_same_number_that_began_later_or_after_a_reboot_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], place: int
) -> None:
    path = tmp_path / "record"
    record = Record(path)
    record.write([sleeper.pid])
    words = path.read_text().split()
    words[place] = "1"
    path.write_text(" ".join(words) + "\n")
    assert record.end_all() == []
    assert alive(sleeper.pid)


@pytest.mark.parametrize("text", ["", "\n\n", "x", "1", "-1 0 0", "99999999 None boot", "\0" * 100])
def test_a_damaged_record_ends_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "record").write_text(text)
    assert Record(tmp_path / "record").end_all() == []
