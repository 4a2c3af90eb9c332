"""The thread that shows consoles: one machine's words are work for its own viewers, and no viewer is forgotten."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from pxeapp.bmc.ports import SerialLine
from pxeapp.consoles import showing
from pxeapp.consoles.held import Held
from pxeapp.consoles.showing import Show, Viewer
from pxeapp.db import now
from tests.consoles.conftest import wait_until

NEVER_S = 3600.0


class Quiet(Held):
    """A console without a line: the test says what it hears, and how often it is asked for it is counted."""

    asked = 0

    def begin(self) -> None:
        """There is no thread."""

    def after(self, position: int) -> tuple[int, bytes]:
        self.asked += 1
        return super().after(position)

    def says(self, data: bytes) -> None:
        self._heard(data)


def no_line(*_: object) -> SerialLine:
    raise AssertionError("nobody opens it")


@pytest.fixture
def show() -> Iterator[Show]:
    found = Show()
    found.start()
    yield found
    found.stop()


@pytest.fixture
def no_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is served but for a reason."""
    monkeypatch.setattr(showing, "TIMER_S", NEVER_S)


def console(show: Show, number: int) -> Quiet:
    return Quiet(
        machine_id=number, name=f"node{number}", open=no_line, login=lambda: None, calm=lambda: True,
        changed=show.ring, clock=now,
    )  # fmt: skip


@contextlib.contextmanager
def watching(show: Show, held: Held) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    with ours:
        show.add(Viewer(theirs, held, "raw", held.end))
        yield ours


def read(sock: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = sock.recv(size - len(found))
        assert piece
        found += piece
    return found


@pytest.mark.usefixtures("no_rounds")
def test_a_word_of_one_machine_is_no_work_for_the_viewers_of_another(show: Show) -> None:
    loud, other = console(show, 1), console(show, 2)
    with watching(show, loud) as one, watching(show, loud) as two, watching(show, other) as three:
        other.says(b"hello")
        assert read(three, 5) == b"hello"
        loud.says(b".")
        assert read(one, 1) == read(two, 1) == b"."  # the turn that served the other is over
        before = other.asked
        for _ in range(50):
            loud.says(b".")
            assert read(one, 1) == read(two, 1) == b"."
        assert other.asked == before
        other.says(b"still there")
        assert read(three, 11) == b"still there"


@pytest.mark.usefixtures("no_rounds")
def test_no_viewer_misses_the_last_word_when_many_machines_speak_at_once(show: Show) -> None:
    consoles = [console(show, number) for number in range(20)]
    with contextlib.ExitStack() as stack:
        viewers = [(held, stack.enter_context(watching(show, held))) for held in consoles for _ in range(3)]
        speakers = [
            threading.Thread(target=lambda each=held: [each.says(b"word ") for _ in range(200)]) for held in consoles
        ]
        for speaker in speakers:
            speaker.start()
        for _, sock in viewers:
            assert read(sock, 1000) == b"word " * 200
        for speaker in speakers:
            speaker.join()


@pytest.mark.usefixtures("no_rounds")
def test_a_viewer_whose_socket_was_full_goes_on_as_soon_as_it_reads(show: Show) -> None:
    held = console(show, 1)
    with watching(show, held) as slow, watching(show, held) as quick:
        said = bytes(range(256)) * 900  # more than a socket holds, less than a console keeps
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        held.says(said)
        assert read(quick, len(said)) == said
        assert read(slow, len(said)) == said


@pytest.mark.usefixtures("no_rounds")
def test_how_many_look_is_told_to_the_others_when_one_comes_or_goes(show: Show) -> None:
    held = console(show, 1)
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    with ours:
        show.add(Viewer(theirs, held, "sse", held.end))
        with watching(show, held):
            told = b""
            while b'"viewers": 2' not in told:
                told += ours.recv(4096)
        told = b""
        while b'"viewers": 1' not in told:
            told += ours.recv(4096)


def test_what_nobody_rang_for_is_shown_with_the_next_round(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "TIMER_S", 0.05)
    held, loud = console(show, 1), console(show, 2)
    held.changed = lambda _: None
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(0.001):  # a thread that is always busy makes its rounds all the same
            loud.says(b".")

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        with watching(show, held) as sock:
            wait_until(lambda: held.asked, what="the first look")
            held.says(b"unheard")
            assert read(sock, 7) == b"unheard"
    finally:
        stop.set()
        speaker.join()
