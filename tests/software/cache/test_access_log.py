from __future__ import annotations

import json
from pathlib import Path

import pytest

from pxeapp.software.cache.access_log import Log, summed


def line(**said: str) -> bytes:
    """As nginx writes one."""
    whole = {"at": "2026-11-26T06:34:12+00:00", "status": "200", "bytes": "100", "mirror": "debian", "file": "a.deb"}
    return json.dumps({**whole, "cache": "", "index": "", "received": "", **said}).encode()


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ({"cache": "HIT"}, {"hits": 1, "bytes_from_cache": 100}),
        ({"cache": "STALE", "received": "0, 12 : 7"}, {"hits": 1, "bytes_from_cache": 100, "bytes_from_upstream": 19}),
        ({"cache": "MISS", "received": "150"}, {"misses": 1, "bytes_from_upstream": 150}),
        ({"received": "150"}, {"misses": 1, "bytes_from_upstream": 150}),
        ({"index": "HIT", "received": "50"}, {"index_hits": 1, "bytes_from_cache": 100}),
        ({"index": "MISS", "received": "50"}, {"index_misses": 1}),
        ({"status": "304", "bytes": "0", "index": "HIT"}, {"index_hits": 1}),
        ({"status": "404"}, {"absent": 1}),
        ({"status": "504"}, {"absent": 1}),
        ({"status": "502"}, {"errors": 1}),
        ({"status": "499"}, {"errors": 1}),
    ],
)
def test_a_line_is_counted_for_what_it_cost(said: dict[str, str], counted: dict[str, int]) -> None:
    found = summed([line(**said)])["2026-11-26"]["debian"].numbers
    assert {key: value for key, value in found.items() if value} == {"requests": 1, **counted}


def test_what_is_none_of_ours_is_left_out() -> None:
    assert summed([b"", b"{", b"[]", b"null", line(mirror=""), line(status="x")]) == {}


def test_nothing_is_read_twice_over_a_restart_and_a_log_that_was_put_aside_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = Log(path)
    assert log.read()[0] == []
    path.write_bytes(b"one\ntwo\nhal")
    lines, place = log.read()
    assert lines == [b"one", b"two"]
    assert log.read()[0] == lines, "until it is counted"
    log.was_read(place)
    log = Log(path)
    assert log.read()[0] == []
    with path.open("ab") as more:
        more.write(b"f\n")
    log.rotate()
    path.write_bytes(b"new\n")
    lines, place = log.read()
    assert lines == [b"half"]
    log.was_read(place)
    lines, place = log.read()
    assert lines == [b"new"]
    log.was_read(place)
    assert log.is_being_read
    path.write_bytes(b"")
    assert log.read()[0] == []


def test_a_log_from_before_there_were_statistics_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(b"old\n")
    log = Log(path)
    assert log.read()[0] == []
