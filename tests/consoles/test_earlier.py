"""No screen begins black: what was seen before is shown to whoever comes when the line is opened anew."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from pxeapp.consoles import door, earlier, held, recordings
from pxeapp.consoles.models import ConsoleRecording
from pxeapp.consoles.recordings import Recorder
from pxeapp.db import now
from pxeapp.machines import selectors
from tests.consoles.conftest import Desk, wait_until
from tests.consoles.test_holder import watching

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
LINE = "━━━ 2026-11-24 02:00:03 UTC ━━━".encode()


def recorded(folder: Path, number: int, *words: bytes) -> Path:
    path = recordings.path_of(folder, number)
    recorder = Recorder(path, started_at=T0, title="attempt 1")
    for second, word in enumerate(words, start=1):
        recorder.heard(word, now=T0 + dt.timedelta(seconds=second))
    recorder.close()
    return path


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"of a line\r\nnext", b"next"),
        (b"2;1Hof a sequence\x1b[1mnext", b"\x1b[1mnext"),
        (b"one endless line", b"one endless line"),
        (b"", b""),
    ],
)
def test_a_piece_begins_with_a_line_or_a_sequence(said: bytes, shown: bytes) -> None:
    assert said[earlier.clean_start(said) :] == shown


def test_the_moment_stands_below_what_was_drawn_and_nothing_of_its_colours_goes_on() -> None:
    plain = earlier.below(b"login: ", T0)
    assert plain == b"login: \x1b[!p\x1b[0m\r\n" + "━━━ 2026-11-24 02:00:00 UTC ━━━\r\n".encode()
    drawn = earlier.below(b"\x1b[44m\x1b[10;20H[ OK ]", T0)
    assert b"\x1b[0m\x1b[999;1H\r\n" in drawn


def test_of_a_long_recording_only_the_end_is_read_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    path = recorded(tmp_path, 1, *(b"%05d " % number * 100 for number in range(2000)))
    assert path.stat().st_size > earlier.READ_BACK
    with path.open("ab") as file:
        file.write(b'[2001.0,"o","torn')
    seconds, said = earlier.last_words(path)
    assert seconds == 2000
    assert len(said) == earlier.SCREENFUL
    assert said.endswith(b"01999 01999 ")


def test_a_recording_in_which_nothing_was_said_has_no_last_words(tmp_path: Path) -> None:
    assert earlier.last_words(recorded(tmp_path, 1)) == (0.0, b"")


@pytest.mark.network
def test_after_the_line_was_given_back_the_next_viewer_sees_what_the_last_one_saw(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "LINGER_S", 0.1)
    with watching(desk) as ada:
        desk.fake.says(b"node1 login: ")
        ada.sees(b"node1 login: ")
        last = ada.last
    wait_until(lambda: not desk.holder._held, what="the end")
    for after in ("", last):  # a laptop that slept comes back as well
        with watching(desk, after=after) as bob:
            bob.sees(b"UTC")
            assert bob.screen.startswith(b"node1 login: ")
            desk.fake.says(b"new words")
            bob.sees(b"new words")
        wait_until(lambda: not desk.holder._held, what="the end")


@pytest.mark.network
def test_after_a_restart_the_end_of_the_newest_recording_is_shown(desk: Desk) -> None:
    with desk.database.write() as session:
        for number, began in ((1, T0 - dt.timedelta(days=1)), (2, T0), (3, T0 + dt.timedelta(hours=1))):
            session.add(
                ConsoleRecording(id=number, machine_id=desk.machine_id, title="", started_at=began, ended_at=now())
            )
    recorded(desk.settings.data_dir, 1, b"an older attempt")
    recorded(desk.settings.data_dir, 2, b"Installing\r\n", b"Done\r\n", b"login: ")
    with watching(desk) as ada:  # the newest attempt was over before the machine said a word; its file is gone
        ada.sees(LINE)
        assert ada.screen.startswith(b"Installing\r\nDone\r\nlogin: ")
        assert b"older" not in ada.screen
    with door.attach(desk.settings, desk.machine_id) as terminal:
        terminal.settimeout(20)
        seen = b""
        while LINE not in seen:
            seen += terminal.recv(4096)


@pytest.mark.network
def test_another_machine_with_the_number_of_a_deleted_one_shows_nothing_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "LINGER_S", 0.1)
    with watching(desk) as ada:
        desk.fake.says(b"a secret")
        ada.sees(b"a secret")
    wait_until(lambda: not desk.holder._held, what="the end")
    with desk.database.write() as session:
        selectors.get(session, "node1").name = "node2"
    with watching(desk) as bob:
        desk.fake.says(b"hello")
        bob.sees(b"hello")
        assert bob.screen == b"hello"
