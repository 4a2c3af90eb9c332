"""The file that web processes of a host share: seen by all of them, given back, and not needed."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path

import pytest

from pxeapp.traffic.rates import Rates
from pxeapp.traffic.shared import Shared
from pxeapp.traffic.tally import Tally


def open_files(folder: Path) -> int:
    """Descriptors of files below this folder; what other tests have left is collected at any time."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += each.readlink().is_relative_to(folder)
    return found


def test_what_one_process_writes_the_other_reads(tmp_path: Path) -> None:
    one, other = Shared(tmp_path / "run" / "file", 8), Shared(tmp_path / "run" / "file", 8)
    with one.alone() as memory:
        memory[:5] = b"hello"
    with other.alone() as memory:
        assert memory[:] == b"hello\0\0\0"
    one.close()
    other.close()
    assert (tmp_path / "run" / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("broken", [None, "a folder"])
def test_without_a_file_its_memory_is_its_own(tmp_path: Path, broken: str | None) -> None:
    before = open_files(tmp_path)
    shared = Shared(tmp_path if broken else None, 8)
    with shared.alone() as memory:
        memory[:2] = b"ok"
        assert memory[:2] == b"ok"
    shared.close()
    assert open_files(tmp_path) == before


def test_rates_and_tally_give_their_files_back(tmp_path: Path) -> None:
    before = open_files(tmp_path)
    for made in (Rates(tmp_path / "rates"), Tally(tmp_path / "tally")):
        made.close()
    assert open_files(tmp_path) == before


def test_processes_count_together(tmp_path: Path) -> None:
    one, other = Tally(tmp_path / "tally"), Tally(tmp_path / "tally")
    one.count("api", 200, 0.02)
    other.count("api", 404, 9.0)
    kind, by_class, buckets, seconds = next(iter(one.each()))
    assert (kind, by_class) == ("api", (0, 1, 0, 1, 0))
    assert (buckets[1], buckets[-1], sum(buckets), seconds) == (1, 1, 2, 9.02)
    one.close()
    other.close()


def test_one_that_nobody_closed_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    shared = Shared(tmp_path / "file", 8)
    assert open_files(tmp_path) > 0
    del shared
    gc.collect()
    assert open_files(tmp_path) == 0
