"""Whoever does not read is not waited for, whoever reads slowly is, and what was dropped is said."""

from __future__ import annotations

import os
import threading
import time

import pytest

from pxeapp.supervisor import voice
from pxeapp.supervisor.voice import Voice

LINE = "x" * 1000
SIZE = len(f"00:00:00 {LINE}\n")


class Heard:
    """A voice, and the pipe on which it is heard."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self.voice = Voice(writer)
        self.writer = writer
        self.voice.begin()

    def read(self, seconds: float = 30.0) -> list[str]:
        """Everything, until it has ended."""
        ending = threading.Thread(target=self._end, args=(seconds,))
        ending.start()
        with os.fdopen(self.reader) as pipe:
            lines = [line.rstrip()[9:] for line in pipe]
        ending.join(60)
        return lines

    def _end(self, seconds: float) -> None:
        self.voice.end(seconds)
        os.close(self.writer)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    monkeypatch.setattr(voice, "MOST", 20 * SIZE)
    monkeypatch.setattr(voice, "STUCK_S", 0.3)
    return Heard()


def test_what_was_said_is_written_in_order_to_the_end(heard: Heard) -> None:
    for number in range(15):
        heard.voice.say(str(number))
    assert heard.read() == [str(number) for number in range(15)]


def test_one_who_does_not_read_holds_nobody_up_and_hears_later_what_is_missing(heard: Heard) -> None:
    began = time.monotonic()
    for number in range(1000):  # the pipe takes 64 KiB, the queue 20 lines
        heard.voice.say(LINE, patient=number % 2 == 0)
    assert time.monotonic() - began < 20
    lines = heard.read()
    missing = [int(line.split()[1]) for line in lines if line.endswith("lines are missing: nobody read them")]
    assert lines.count(LINE) + sum(missing) == 1000
    assert missing


def test_a_slow_reader_is_waited_for(heard: Heard) -> None:
    def talk() -> None:
        for _ in range(300):
            heard.voice.say(LINE, patient=True)

    talking = threading.Thread(target=talk)
    talking.start()
    content = b""
    while talking.is_alive() or len(content) < 200 * SIZE:
        content += os.read(heard.reader, 8192)
        time.sleep(0.005)
    talking.join()
    assert content.count(b"\n") + len(heard.read()) >= 300
    assert b"missing" not in content


def test_at_the_end_nobody_is_waited_for_longer_than_said(heard: Heard) -> None:
    for _ in range(200):
        heard.voice.say(LINE)
    began = time.monotonic()
    heard.voice.end(0.2)
    assert time.monotonic() - began < 10
    heard.read()


def test_a_pipe_that_does_not_block_loses_nothing_and_one_that_is_closed_ends_nobody(heard: Heard) -> None:
    os.set_blocking(heard.writer, False)
    for _ in range(100):
        heard.voice.say(LINE, patient=True)
        if heard.voice._size > 10 * SIZE:
            os.read(heard.reader, 20 * SIZE)
    os.close(heard.reader)
    heard.voice.say("to nobody")
    heard.voice.end(30)
    assert not heard.voice._thread.is_alive()
    os.close(heard.writer)
