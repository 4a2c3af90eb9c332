"""Silence counts only of those who answered before, and only when it lasts."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pxeapp import supervisor
from pxeapp.config import load
from pxeapp.processes.serve import _asked
from pxeapp.supervisor import liveness
from pxeapp.supervisor.liveness import Beats, Pulse, answers_http


def watched(answers: list[bool]) -> Pulse:
    """A pulse that was asked so often."""
    left: Iterator[bool] = iter(answers)
    stop = threading.Event()

    def ask() -> bool:
        answer = next(left, None)
        if answer is None:
            stop.set()
        return bool(answer)

    pulse = Pulse(ask, every_s=0.0, times=3)
    pulse.watch(stop)
    return pulse


@pytest.mark.parametrize(
    ("answers", "lost"),
    [
        ([], False),
        ([False] * 20, False),
        ([True, False], False),  # and one more, which ends the watching
        ([True, False, False, True, False], False),
        ([True, False, False], True),
        ([False, True, False, False, False], True),
    ],
)
def test_it_is_lost_when_it_answered_and_then_does_not_for_long(answers: list[bool], *, lost: bool) -> None:
    pulse = watched(answers)
    assert pulse.is_lost == lost
    pulse.begin()
    assert not pulse.is_lost


def serve_once(listener: socket.socket, reply: bytes | None) -> threading.Thread:
    def work() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(1000)
            if reply is None:
                peer.recv(1000)  # until the other side has had enough
            else:
                peer.sendall(reply)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.network
@pytest.mark.parametrize(
    ("reply", "there"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 503 No\r\n\r\n", True),
        (b"", False),
        (b"SSH-2", False),
        (None, False),
    ],
)
def test_any_answer_is_one(reply: bytes | None, there: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(liveness, "ANSWERS_WITHIN_S", 0.3)
    path = tmp_path / "sock"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        unix.listen()
        address = tcp.getsockname()
        asking: list[Callable[[], bool]] = [lambda: answers_http(address, "/"), lambda: answers_http(path, "/")]
        for listener, ask in zip((tcp, unix), asking, strict=True):
            thread = serve_once(listener, reply)
            assert ask() is there
            thread.join()
    assert not any(ask() for ask in asking)  # nobody listens any more


def test_each_part_is_asked_where_it_listens(tmp_path: Path) -> None:
    settings = load({"PXEAPP_DATA_DIR": str(tmp_path), "PXEAPP_HTTP_LISTEN": "0.0.0.0:8443"})
    assert {name: ask.args for name, ask in _asked(settings, front=True).items()} == {  # type: ignore[attr-defined]
        "web": (("127.0.0.1", 8443), "/healthz"),
        "node": (tmp_path / "run" / "node.sock", "/healthz"),
        "front": (("127.0.0.1", 8081), "/repo/"),
    }
    assert _asked(settings, front=False)["node"].args == (("127.0.0.1", 8081), "/healthz")  # type: ignore[attr-defined]


def test_a_beat_is_heard_once_and_only_of_the_process_that_was_started_last() -> None:
    beats = Beats()
    assert not beats.heard()
    first = beats.open()
    assert not beats.heard()
    for _ in range(3):
        os.write(first, b".")
    assert beats.heard()
    assert not beats.heard()
    second = beats.open()
    with pytest.raises(BrokenPipeError):
        os.write(first, b".")
    assert not beats.heard()
    os.write(second, b".")
    os.close(second)
    assert beats.heard()  # what it said before it ended
    assert not beats.heard()
    os.close(first)


def test_every_part_is_watched_for_silence_but_those_that_have_a_watchdog(tmp_path: Path) -> None:
    settings = load({"PXEAPP_DATA_DIR": str(tmp_path)})
    parts = supervisor.parts(front=True, dhcp=True, asked=_asked(settings, front=True))
    assert {part.name for part in parts if part.pulse is None} == {"bmc-worker", "console"}
