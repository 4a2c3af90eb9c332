"""The file that web processes of a host share: seen by all of them, given back, and not needed."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pxeapp.traffic import shared as sharing
from pxeapp.traffic.rates import Rates
from pxeapp.traffic.shared import Shared
from pxeapp.traffic.tally import Tally
from tests.storage.disks import Disk

# In a process of its own: what is tried here is that no signal ends it.
COUNTS = """
import sys
from pathlib import Path
from pxeapp.traffic.rates import Rates
from pxeapp.traffic.tally import Tally

folder = Path(sys.argv[1])
rates, tally = Rates(folder / "requests"), Tally(folder / "tally")
print("made", flush=True)
sys.stdin.readline()
for client in range(2000):
    rates.take(f"client {client}", 60, now=float(client))
    tally.count("api", 200, 0.1)
print(rates.take("client 1999", 60, now=1999.0), next(iter(tally.each()))[1][1])
"""


def open_files(folder: Path) -> int:
    """Descriptors of files below this folder; what other tests have left is collected at any time."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += each.readlink().is_relative_to(folder)
    return found


def test_what_one_process_writes_the_other_reads(tmp_path: Path) -> None:
    one, other = Shared(tmp_path / "run" / "file", 8), Shared(tmp_path / "run" / "file", 8)
    with one.alone():
        one.write(0, b"hello")
    with other.alone():
        assert other.read(0, 8) == b"hello\0\0\0"
    one.close()
    other.close()
    assert (tmp_path / "run" / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("broken", [None, "a folder"])
def test_without_a_file_its_memory_is_its_own(tmp_path: Path, broken: str | None) -> None:
    before = open_files(tmp_path)
    shared = Shared(tmp_path if broken else None, 8)
    with shared.alone():
        shared.write(0, b"ok")
        assert shared.read(0, 2) == b"ok"
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


@pytest.mark.parametrize("when", ["before", "holes", "afterwards", "cut", "broken"])
def test_a_disk_that_is_full_or_broken_ends_nobody(tmp_path: Path, when: str) -> None:
    disk = Disk(tmp_path)
    try:
        if when == "holes":  # as they were made once, without room behind them
            for name in ("requests", "tally"):
                with (disk.place / name).open("wb") as file:
                    file.truncate(256 * 1024)
        if when in ("before", "holes"):
            disk.fill()
        counting = subprocess.Popen(
            [sys.executable, "-c", COUNTS, str(disk.place)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert counting.stdout is not None
        assert counting.stdout.readline() == "made\n"
        if when == "afterwards":
            disk.fill()
        elif when == "broken":
            disk.break_down()
        elif when == "cut":
            os.truncate(disk.place / "requests", 0)
            os.truncate(disk.place / "tally", 0)
        said, _ = counting.communicate("\n", timeout=60)
        assert (counting.returncode, said) == (0, "0.0 2000.0\n")
    finally:
        disk.take_away()


def test_a_file_is_shared_again_once_it_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "TRY_AGAIN_S", 0.0)
    place = tmp_path / "run"
    place.write_text("in the way of the folder")
    one, other = Shared(place / "file", 8), Shared(place / "file", 8)
    with one.alone():
        one.write(0, b"alone")
    with other.alone():
        assert other.read(0, 8) == bytes(8)
    place.unlink()
    with one.alone():
        one.write(0, b"again")
    with other.alone():
        assert other.read(0, 8) == b"again\0\0\0"
    one.close()
    other.close()
    assert open_files(tmp_path) == 0
