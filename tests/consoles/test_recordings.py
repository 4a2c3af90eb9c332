"""Recordings: what is in the files, whatever happens to whoever writes them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from pxeapp.consoles import recordings
from pxeapp.consoles.models import ConsoleRecording
from pxeapp.consoles.recordings import Recorder
from pxeapp.db import Database
from pxeapp.errors import NotFound
from pxeapp.machines.models import Machine

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)


def at(seconds: float) -> dt.datetime:
    return T0 + dt.timedelta(seconds=seconds)


def recorder(path: Path) -> Recorder:
    return Recorder(path, started_at=T0, title="node1, attempt 1")


def test_a_recording_is_an_asciicast(tmp_path: Path) -> None:
    path = tmp_path / "consoles" / "1.cast"
    kept = recorder(path)
    kept.heard(b"Booting\r\n", now=at(0.5))
    kept.heard("löschen".encode()[:2], now=at(1))
    kept.heard("löschen".encode()[2:], now=at(1.5))
    kept.close()
    header, *events = [json.loads(line) for line in path.read_text().splitlines()]
    assert header["version"] == 2
    assert header["title"] == "node1, attempt 1"
    assert events == [[0.5, "o", "Booting\r\n"], [1.0, "o", "l"], [1.5, "o", "öschen"]]
    assert path.stat().st_mode & 0o077 == 0
    assert kept.size == path.stat().st_size


def test_after_a_crash_within_a_line_it_goes_on_with_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "1.cast"
    kept = recorder(path)
    kept.heard(b"before", now=at(1))
    kept.close()
    with path.open("ab") as file:
        file.write(b'[2.0,"o","torn')
    assert [text for _, text in recordings.events(path)] == ["before"]
    kept = recorder(path)
    kept.heard(b"after", now=at(3))
    kept.close()
    assert [text for _, text in recordings.events(path)] == ["before", "after"]


def test_a_machine_that_never_stops_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "SIZE_LIMIT", 1000)
    kept = recorder(tmp_path / "1.cast")
    for _ in range(100):
        kept.heard(b"x" * 100, now=at(1))
    assert kept.cut
    assert kept.size < 1200
    kept.close()
    assert recorder(tmp_path / "1.cast").cut, "after a restart as well"


def test_text_holds_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    path = tmp_path / "1.cast"
    kept = recorder(path)
    kept.heard(b"\x1b[2J\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07pla", now=at(1))
    kept.heard(b"in\x07\x9b\x00\r\nlast \x1b", now=at(2))
    kept.heard(b"[1mword", now=at(3))
    kept.close()
    assert "".join(recordings.as_text(path)) == "red\nplain�\nlast word"


def test_a_recording_without_its_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        list(recordings.lines(tmp_path / "9.cast"))


def test_the_old_and_the_too_many_are_deleted_with_their_files(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as session:
        machine = Machine(name="node1", mac="52:54:00:00:00:01", created_at=T0, updated_at=T0)
        session.add(machine)
        session.flush()
        for number, (days, size) in enumerate([(40, 10), (20, 600), (10, 600), (0, 600)], 1):
            ended = None if number == 4 else at(-days * 86400)
            session.add(
                ConsoleRecording(
                    id=number, machine_id=machine.id, deployment_id=number, started_at=at(0), ended_at=ended, size=size
                )
            )
    for number in (1, 2, 3, 4, 77):
        Recorder(recordings.path_of(tmp_path, number), started_at=T0, title="").close()
    monkeypatch.setattr(recordings, "TOTAL_LIMIT", 1000)
    with database.write() as session:
        files = recordings.forget_old(session, tmp_path, now=T0, days=30)
    assert sorted(path.stem for path in files) == ["1", "2", "77"], "too old, too much, of a deleted machine"
    with database.read() as session:
        assert [row.id for row in recordings.of_machine(session, machine.id)] == [4, 3]
