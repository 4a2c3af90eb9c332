"""A machine's console in this terminal: keys one way, words the other; over a socket, or over the appliance's API."""

from __future__ import annotations

import base64
import binascii
import codecs
import contextlib
import os
import select
import socket
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator

import click

from pxeapp.client import Appliance, at
from pxeapp.errors import PxeError

LEAVE = b"~."  # at the beginning of a line, as ssh has it
KEYS = 1024  # bytes of what is typed or pasted, at once
AGAIN_S = 1.0
PATIENCE = 5  # times that it may break off, one after the other
MOST_LINE = 1024 * 1024  # of the event stream


def terminal(sock: socket.socket, *, typing: Callable[[], None]) -> None:
    """Pass keys and words on until somebody leaves; a terminal is as it was afterwards. `typing`: before keys leave."""
    keys, is_tty = sys.stdin.fileno(), sys.stdin.isatty()
    before = termios.tcgetattr(keys) if is_tty else None
    sock.settimeout(None)
    at_start, tilde = True, False
    try:
        if is_tty:
            tty.setraw(keys)
        watched = [keys, sock.fileno()]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if sock.fileno() in ready:
                data = sock.recv(65536)
                if not data:
                    return
                _write(data)
            if keys in ready:
                typed = os.read(keys, KEYS)
                if not typed:
                    watched.remove(keys)  # a pipe that ended: go on listening
                    continue
                if tilde and typed == LEAVE[1:]:
                    return
                if at_start and typed == LEAVE[:1]:
                    tilde = True
                    continue
                typing()
                sock.sendall((LEAVE[:1] if tilde else b"") + typed)
                tilde, at_start = False, typed.endswith((b"\r", b"\n"))
    finally:
        if before is not None:
            termios.tcsetattr(keys, termios.TCSADRAIN, before)
            click.echo("", err=True)


def _write(data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def console(own: Appliance, key: str) -> None:
    """A console of an appliance elsewhere: its stream of words, and each key a small request."""
    name = own.get(at("machines", key))["name"]
    here, there = socket.socketpair()
    line = _Line(own, key, there)
    with here, there:
        line.listen()
        click.echo(f"{name}'s console; `~.` closes it. Others who look see what you type.", err=True)
        line.start()
        terminal(here, typing=lambda: None)
    if line.trouble is not None:
        raise line.trouble


class _Line:
    """The two threads between a socket of ours and the appliance. Their end, or ours, closes the socket."""

    def __init__(self, own: Appliance, key: str, sock: socket.socket) -> None:
        self._own = own
        self._stream = at("machines", key, "console", "stream")
        self._keys = at("machines", key, "console", "keys")
        self._sock = sock
        self._last = ""
        self._events: Iterator[tuple[str, str]] = iter(())
        self.trouble: PxeError | None = None

    def listen(self) -> None:
        """Open it; raises what the appliance says against it."""
        self._events = self._open()
        self._say(*next(self._events, ("", "")))

    def start(self) -> None:
        """Pass on from here on, both ways; the threads end with the socket."""
        for work in (self._words, self._typed):
            threading.Thread(target=work, daemon=True).start()

    def _words(self) -> None:
        """Until somebody leaves; a stream that breaks off is taken up where it was."""
        failures = 0
        while True:
            try:
                for event, data in self._events:
                    failures = 0
                    self._say(event, data)
            except OSError:
                return  # we left
            except PxeError as error:
                failures += 1
                if not error.retryable or failures > PATIENCE:
                    self._end(error)
                    return
            time.sleep(AGAIN_S)
            self._events = self._open()

    def _typed(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a letter may come in two pieces
        with contextlib.suppress(OSError):
            while keys := self._sock.recv(KEYS):
                text = decoder.decode(keys).replace("\0", "")  # JSON's texts hold none
                try:
                    if text:
                        self._own.post(self._keys, {"text": text})
                except PxeError as error:
                    self._end(error)

    def _say(self, event: str, data: str) -> None:
        if event == "said":
            with contextlib.suppress(binascii.Error):
                self._sock.sendall(base64.b64decode(data))
        elif event == "missed":
            self._sock.sendall(f"\r\n[{data[:20]} bytes were missed]\r\n".encode())

    def _end(self, trouble: PxeError) -> None:
        self.trouble = trouble
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _open(self) -> Iterator[tuple[str, str]]:
        again = {"Last-Event-ID": self._last} if self._last else {}
        return _events(self._own.transport.stream(self._stream, {}, again), self._note)

    def _note(self, number: str) -> None:
        self._last = number


def _events(pieces: Iterator[bytes], note: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """Server-sent events out of a stream: each with its name and data; the first comes as soon as the stream opens."""
    waiting, event, data = b"", "", ""
    for number, piece in enumerate(pieces):
        if not number:
            yield "", ""  # it is open, whatever it says
        waiting += piece
        *lines, waiting = waiting.split(b"\n")
        if len(waiting) > MOST_LINE:
            return
        for line in lines:
            name, _, value = line.decode(errors="replace").rstrip("\r").partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                event = value
            elif name == "data" and value:
                data += value
            elif name == "id":
                note(value)
            elif not name and not value:
                if event or data:
                    yield event, data
                event, data = "", ""
