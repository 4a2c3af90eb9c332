"""From the console process to browsers: one thread of a web process carries what all of its viewers are shown.

What a browser does not take yet stays where it is: this side then reads no more of it, and the console process keeps
its place. Whether the account may still look is asked again every few seconds.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pxeapp.config import Settings
from pxeapp.consoles import door
from pxeapp.errors import PxeError
from pxeapp.streams import Stream

TAKES = 64 * 1024  # bytes that may wait for a browser before its console is read on
TURN_S = 0.25
CHECKS_EVERY_S = 5.0
log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Watched:
    sock: socket.socket
    stream: Stream
    may: Callable[[], bool]
    checked_at: float
    paused: bool = False


class Relay:
    """The thread, started with the first viewer."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._watched: set[_Watched] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, settings: Settings, machine_id: int, *, after: str, owner: str, may: Callable[[], bool]) -> Stream:
        """A stream of what this machine says; raises Unavailable where no console process answers."""
        stream = Stream(owner=owner)
        try:
            sock = door.watch(settings, machine_id, after=after)
        except BaseException:
            stream.close()
            raise
        sock.setblocking(False)
        stream.send(b"retry: 500\n:\n\n")
        watched = _Watched(sock, stream, may, time.monotonic())
        with self._lock:
            self._watched.add(watched)
            self._selector.register(sock, selectors.EVENT_READ, watched)  # epoll takes it while the thread waits
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="console-relay", daemon=True)
                self._thread.start()
        return stream

    def _run(self) -> None:
        while True:
            try:
                self._turn()
            except Exception:
                log.exception("Passing consoles on had trouble")
                time.sleep(TURN_S)

    def _turn(self) -> None:
        if not self._watched:
            time.sleep(TURN_S)
        for key, _ in self._selector.select(TURN_S):
            self._pass_on(key.data)
        now = time.monotonic()
        with self._lock:
            everybody = list(self._watched)
        for each in everybody:
            if each.stream.closed or (now - each.checked_at > CHECKS_EVERY_S and not self._still_may(each, now)):
                self._end(each)
            elif each.paused and each.stream.pending < TAKES:
                each.paused = False
                self._selector.register(each.sock, selectors.EVENT_READ, each)

    def _pass_on(self, each: _Watched) -> None:
        try:
            data = each.sock.recv(TAKES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or not each.stream.send(data):
            self._end(each)
        elif each.stream.pending >= TAKES:
            each.paused = True
            self._selector.unregister(each.sock)

    @staticmethod
    def _still_may(each: _Watched, now: float) -> bool:
        each.checked_at = now
        try:
            return each.may()
        except PxeError:
            return True  # the database is away for a moment; the next look comes

    def _end(self, each: _Watched) -> None:
        with self._lock:
            self._watched.discard(each)
        if not each.paused:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(each.sock)
        each.sock.close()
        each.stream.close()


_lock = threading.Lock()
_relay: Relay | None = None


def the_relay() -> Relay:
    """The one of this process; made when it is first asked for, which is after gunicorn's fork."""
    global _relay
    with _lock:
        if _relay is None:
            _relay = Relay()
        return _relay
