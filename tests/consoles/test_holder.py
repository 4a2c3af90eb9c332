"""The console process: one line, many viewers, keys in their order, recordings that begin by themselves."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.bmc.models import PowerAction
from pxeapp.consoles import door, held, keeping, recordings
from pxeapp.consoles.models import ConsoleRecording
from pxeapp.db import now
from pxeapp.errors import Conflict, Unavailable
from pxeapp.machines.models import Bmc
from pxeapp.provisioning.models import Deployment
from tests.consoles.conftest import Desk, wait_until

pytestmark = pytest.mark.network


class Browser:
    """What a browser makes of the events."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.screen = b""
        self.last = ""
        self.standing: dict[str, Any] = {}
        self.missed = 0
        self._rest = b""
        sock.settimeout(0.2)

    def look(self) -> Browser:
        try:
            self._rest += self.sock.recv(65536)
        except TimeoutError:
            return self
        *events, self._rest = self._rest.split(b"\n\n")
        for event in events:
            fields = dict(line.split(": ", 1) for line in event.decode().splitlines() if ": " in line)
            self.last = fields.get("id", self.last)
            kind, data = fields.get("event"), fields.get("data", "")
            if kind == "said":
                self.screen += base64.b64decode(data)
            elif kind == "anew":
                self.screen = b""
            elif kind == "missed":
                self.missed += int(data)
            elif kind == "standing":
                self.standing = json.loads(data)
        return self

    def sees(self, text: bytes) -> None:
        wait_until(lambda: text in self.look().screen, what=f"{text!r} on the screen")


@contextmanager
def watching(desk: Desk, *, after: str = "") -> Iterator[Browser]:
    with door.watch(desk.settings, desk.machine_id, after=after) as sock:
        browser = Browser(sock)
        wait_until(lambda: browser.look().standing.get("state") == "open", what="an open console")
        yield browser


def deployment(desk: Desk) -> int:
    with desk.database.write() as session:
        row = Deployment(
            machine_id=desk.machine_id, attempt=1, release="debian-13", role="base", requested_by="user:ada",
            requested_at=now(), step_since=now(), step_deadline=now(), deadline=now(), due_at=now(), admitted_at=now(),
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.id


def recording(desk: Desk) -> ConsoleRecording | None:
    with desk.database.read() as session:
        return session.scalar(select(ConsoleRecording))


def recorded(desk: Desk) -> str:
    row = recording(desk)
    if row is None or not recordings.path_of(desk.settings.data_dir, row.id).exists():
        return ""
    return "".join(text for _, text in recordings.events(recordings.path_of(desk.settings.data_dir, row.id)))


def test_many_see_what_one_machine_says_and_keys_arrive_in_their_order(desk: Desk) -> None:
    with watching(desk) as ada, watching(desk) as bob:
        desk.fake.says(b"login: ")
        ada.sees(b"login: ")
        bob.sees(b"login: ")
        for key in b"root\r":
            door.keys(desk.settings, desk.machine_id, bytes([key]))
        bob.sees(b"login: root\r\n")
        wait_until(lambda: ada.look().standing["viewers"] == 2, what="the number of viewers")


def test_who_comes_later_sees_what_was_said_and_who_comes_back_only_what_is_new(desk: Desk) -> None:
    with watching(desk) as ada:
        desk.fake.says(b"first ")
        ada.sees(b"first ")
        with watching(desk) as bob:
            bob.sees(b"first ")
        last = ada.last
    desk.fake.says(b"second ")
    with watching(desk, after=last) as ada:
        ada.sees(b"second ")
        assert ada.screen == b"second "


def test_positions_of_an_earlier_process_mean_nothing(desk: Desk) -> None:
    with watching(desk) as ada:
        desk.fake.says(b"before ")
        ada.sees(b"before ")
        last = ada.last
    desk.restart()
    with watching(desk, after=last) as ada:
        desk.fake.says(b"after")
        ada.sees(b"after")
        assert ada.screen == b"after", "it begins with an empty screen"


def test_a_viewer_who_does_not_read_holds_nobody_up_and_is_told_what_it_missed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "KEPT", 20_000)
    with watching(desk) as slow, watching(desk) as quick:
        for number in range(120):
            desk.fake.says(b"%04d" % number + b"." * 8000)
            quick.sees(b"%04d" % number)
            quick.screen = b""
        wait_until(lambda: b"0119" in slow.look().screen, what="the end of it")
        assert slow.missed > 0


def test_keys_are_refused_where_nobody_has_it_open(desk: Desk) -> None:
    with pytest.raises(Conflict, match="Open it first"):
        door.keys(desk.settings, desk.machine_id, b"x")


def test_a_bmc_that_is_lost_is_opened_again_when_it_is_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "BACKOFF_S", (0.05,))
    with watching(desk) as ada:
        desk.fake.behave("silent")
        wait_until(lambda: ada.look().standing["state"] == "waiting", what="the loss")
        assert "No answer" in ada.standing["detail"]
        desk.fake.behave("answering")
        wait_until(lambda: ada.look().standing["state"] == "open", what="the line")
        desk.fake.says(b"back")
        ada.sees(b"back")


def test_a_wrong_password_is_not_tried_again_and_again(desk: Desk) -> None:
    desk.fake.behave("wrong_password")
    with door.watch(desk.settings, desk.machine_id) as sock:
        browser = Browser(sock)
        wait_until(lambda: browser.look().standing.get("state") == "waiting", what="the refusal")
        assert "refuses" in browser.standing["detail"]
        assert held.FOR_GOOD_S >= 300


def test_a_refused_login_is_counted_once_however_many_come_to_look(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "LINGER_S", 0.1)
    desk.fake.behave("wrong_password")
    for _ in range(10):  # each reloads the page
        with door.watch(desk.settings, desk.machine_id) as sock:
            browser = Browser(sock)
            wait_until(lambda: browser.look().standing.get("state") == "waiting", what="the refusal")  # noqa: B023
            assert "refuses" in browser.standing["detail"]
    wait_until(lambda: not desk.holder._held[desk.machine_id].runs, what="the end, when nobody looks")
    with door.watch(desk.settings, desk.machine_id) as sock:
        browser = Browser(sock)
        wait_until(lambda: browser.look().standing.get("state") == "waiting", what="the refusal, not forgotten")
        assert desk.fake.logins_refused() == 1
        door.ask(desk.settings, {"do": "take", "machine": desk.machine_id})
        wait_until(lambda: desk.fake.logins_refused() == 2, what="the try that somebody asked for")


def test_a_corrected_login_is_tried_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "CORRECTED_S", 0.05)
    desk.fake.behave("wrong_password")
    with door.watch(desk.settings, desk.machine_id) as sock:
        browser = Browser(sock)
        wait_until(lambda: browser.look().standing.get("state") == "waiting", what="the refusal")
        desk.fake.behave("answering")
        with desk.database.write() as session:
            session.scalars(select(Bmc)).one().username = "root"
        wait_until(lambda: browser.look().standing["state"] == "open", what="the line")
        assert desk.fake.logins_refused() == 1


def test_a_refused_login_is_tried_again_when_its_time_is_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "FOR_GOOD_S", 0.2)
    desk.fake.behave("wrong_password")
    with door.watch(desk.settings, desk.machine_id):
        wait_until(lambda: desk.fake.logins_refused() >= 3, what="the next tries")


def test_a_console_that_another_program_holds_is_taken_only_when_asked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.fake._state() as state:
        state["console_held"] = True
    monkeypatch.setattr(held, "BACKOFF_S", (0.05,))
    with door.watch(desk.settings, desk.machine_id) as sock:
        browser = Browser(sock)
        wait_until(lambda: browser.look().standing.get("state") == "waiting", what="the refusal")
        assert "Another program" in browser.standing["detail"]
        door.ask(desk.settings, {"do": "take", "machine": desk.machine_id})
        wait_until(lambda: browser.look().standing["state"] == "open", what="the line")


def test_a_line_that_was_given_away_stays_away_for_a_while_or_until_it_is_taken(desk: Desk) -> None:
    with watching(desk) as ada:
        door.ask(desk.settings, {"do": "release", "machine": desk.machine_id})
        wait_until(lambda: ada.look().standing["state"] == "closed", what="the release")
        assert "another program" in ada.standing["detail"]
        with door.watch(desk.settings, desk.machine_id):  # one more who looks does not take it back
            assert not desk.holder._held[desk.machine_id].wanted
        door.ask(desk.settings, {"do": "take", "machine": desk.machine_id})
        wait_until(lambda: ada.look().standing["state"] == "open", what="the line")


def test_the_line_waits_for_a_power_command_that_is_about_to_leave(desk: Desk) -> None:
    with desk.database.write() as session:
        action = PowerAction(
            machine_id=desk.machine_id, goal="on", phase="on_intended", requested_by="user:ada", requested_at=now(),
            phase_since=now(), due_at=now(), deadline=now(),
        )  # fmt: skip
        session.add(action)
        session.flush()
        number = action.id
    with door.watch(desk.settings, desk.machine_id) as sock:
        browser = Browser(sock)
        wait_until(lambda: browser.look().standing.get("state") == "calm", what="the calm")
        with desk.database.write() as session:
            session.get_one(PowerAction, number).phase = "on_sent"
        wait_until(lambda: browser.look().standing["state"] == "open", what="the line")


def test_the_line_is_given_back_when_nobody_looks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "LINGER_S", 0.1)
    with watching(desk):
        assert desk.holder._held
    wait_until(lambda: not desk.holder._held, what="the end")
    assert door.ask(desk.settings, {"do": "state", "machine": desk.machine_id})["state"] == "closed"


def test_a_deployment_is_recorded_from_its_beginning_and_a_little_longer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "EVERY", keeping.EVERY / 20)
    monkeypatch.setattr(keeping, "LAST_WORDS", keeping.LAST_WORDS / 20)
    number = deployment(desk)
    wait_until(lambda: recording(desk) is not None, what="the recording")
    wait_until(
        lambda: door.ask(desk.settings, {"do": "state", "machine": desk.machine_id})["state"] == "open", what="a line"
    )
    desk.fake.says(b"Installing\r\n")
    wait_until(lambda: "Installing" in recorded(desk), what="its words")
    with pytest.raises(Conflict, match="recorded"):
        door.ask(desk.settings, {"do": "release", "machine": desk.machine_id})
    with desk.database.write() as session:
        session.get_one(Deployment, number).outcome = "failed"
    desk.fake.says(b"Kernel panic\r\n")
    wait_until(lambda: (row := recording(desk)) is not None and row.ended_at is not None, what="the end")
    assert "Kernel panic" in recorded(desk)
    row = recording(desk)
    assert row is not None
    assert row.deployment_id == number
    assert row.size > 0


def test_after_a_restart_the_same_recording_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "EVERY", keeping.EVERY / 20)
    deployment(desk)
    for word in ("one ", "two "):
        wait_until(
            lambda: door.ask(desk.settings, {"do": "state", "machine": desk.machine_id})["state"] == "open", what="line"
        )
        desk.fake.says(word.encode())
        wait_until(lambda: recorded(desk).endswith("one " if word == "one " else "two "), what="its words")  # noqa: B023
        desk.restart()
    assert recorded(desk) == "one two "


def test_what_is_typed_is_in_no_recording(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "EVERY", keeping.EVERY / 20)
    monkeypatch.setattr("pxeapp.bmc.fake.FakeBmc.says", lambda *_: None)  # a machine that does not echo a password
    deployment(desk)
    wait_until(
        lambda: door.ask(desk.settings, {"do": "state", "machine": desk.machine_id})["state"] == "open", what="a line"
    )
    door.keys(desk.settings, desk.machine_id, b"hunter2\r")
    row = recording(desk)
    assert row is not None
    assert b"hunter2" not in recordings.path_of(desk.settings.data_dir, row.id).read_bytes()


def test_a_terminal_types_and_reads_on_one_connection(desk: Desk) -> None:
    with door.attach(desk.settings, desk.machine_id) as terminal:
        wait_until(
            lambda: door.ask(desk.settings, {"do": "state", "machine": desk.machine_id})["state"] == "open", what="line"
        )
        terminal.sendall(b"uname\r")
        seen = b""
        terminal.settimeout(20)
        while b"uname\r\n" not in seen:
            seen += terminal.recv(4096)


@pytest.mark.parametrize("said", [b"\n", b"nonsense\n", b"[]\n", b'{"do":"type"}\n', b'{"do":"x","machine":"y"}\n'])
def test_nonsense_at_the_door_is_answered_with_a_sentence(desk: Desk, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(door.socket_path(desk.settings)))
        sock.sendall(said)
        assert json.loads(door.read_line(sock))["error"]


def test_without_a_console_process_there_is_a_sentence(desk: Desk) -> None:
    desk.end()
    with pytest.raises(Unavailable, match="console process"):
        door.watch(desk.settings, desk.machine_id)
    desk.restart_after_end()
