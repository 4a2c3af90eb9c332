"""Sends what consoles say to those who watch: one thread for all of them, and nobody waits for a slow one.

A viewer is a connection of a web process, which passes server-sent events on to a browser, or of a command, which
takes plain bytes and types on the same socket. What a viewer has not taken yet is no buffer of ours but its place in
the console's own memory; whoever falls too far behind misses a piece and is told so.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pxeapp.consoles.held import Held

Form = Literal["sse", "raw"]
TIMER_S = 1.0
CHUNK = 16 * 1024
VIEWERS_LIMIT = 600
log = logging.getLogger(__name__)


@dataclass
class Viewer:
    """One who watches."""

    sock: socket.socket
    held: Held
    form: Form
    position: int
    on_input: Callable[[bytes], object] | None = None  # a terminal types on the same socket
    anew: bool = False  # what it shows is not what we know: it begins with an empty screen
    out: bytearray = field(default_factory=bytearray)
    told: str = ""  # the standing that it was sent last
    blocked: bool = False


class Show:
    """The thread."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._viewers: dict[int, Viewer] = {}
        self._new: list[Viewer] = []
        self._rung: set[int] = set()  # the machines whose consoles have something new
        self._round_at = 0.0
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="console-show", daemon=True)
        self.alive_at = time.monotonic()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End every stream."""
        self._stopping = True
        self._wake()
        self._thread.join(5)
        for viewer in list(self._viewers.values()):
            self._drop(viewer)
        self._epoll.close()
        os.close(self._bell)

    def ring(self, machine_id: int) -> None:
        """Something is new on this machine's console; from any thread."""
        with self._lock:
            self._rung.add(machine_id)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.eventfd_write(self._bell, 1)

    @property
    def room(self) -> bool:
        """Whether one more may come."""
        with self._lock:
            return len(self._viewers) + len(self._new) < VIEWERS_LIMIT

    def add(self, viewer: Viewer) -> None:
        """Show a console to one more; the socket is ours from here on."""
        viewer.sock.setblocking(False)
        viewer.held.arrive()
        with self._lock:
            self._new.append(viewer)
        self.ring(viewer.held.machine_id)  # the others are told how many they are

    def _run(self) -> None:
        while not self._stopping:
            self.alive_at = time.monotonic()
            try:
                self._turn()
            except Exception:
                log.exception("Showing consoles had trouble")
                time.sleep(0.1)

    def _turn(self) -> None:
        """Serve whoever has a reason: its console rang, its socket is ready, or it is new; and all, every second."""
        ready = set()
        for descriptor, what in self._epoll.poll(TIMER_S):
            if descriptor == self._bell:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._bell)
            elif (viewer := self._viewers.get(descriptor)) is not None:
                ready.add(descriptor)
                self._look(viewer, what)
        with self._lock:  # after the bell: what rings from here on rings it again
            new, self._new = self._new, []
            rung, self._rung = self._rung, set()
        for viewer in new:
            self._viewers[viewer.sock.fileno()] = viewer
            self._epoll.register(viewer.sock.fileno(), select.EPOLLIN)
            ready.add(viewer.sock.fileno())
        everybody = time.monotonic() >= self._round_at
        if everybody:
            self._round_at = time.monotonic() + TIMER_S
        due = [
            viewer
            for descriptor, viewer in self._viewers.items()
            if everybody or descriptor in ready or viewer.held.machine_id in rung
        ]
        for viewer in due:
            self._serve(viewer)

    def _look(self, viewer: Viewer, what: int) -> None:
        if what & (select.EPOLLERR | select.EPOLLHUP):
            self._drop(viewer)
        elif what & select.EPOLLIN:
            try:
                data = viewer.sock.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._drop(viewer)
            elif viewer.on_input is not None:
                viewer.on_input(data)
        elif what & select.EPOLLOUT:
            viewer.blocked = False

    def _serve(self, viewer: Viewer) -> None:
        while not viewer.blocked:
            if not viewer.out and not self._fill(viewer):
                return
            try:
                sent = viewer.sock.send(viewer.out)
            except BlockingIOError:
                viewer.blocked = True
                self._epoll.modify(viewer.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
                return
            except OSError:
                self._drop(viewer)
                return
            del viewer.out[:sent]
            if not viewer.out:
                self._epoll.modify(viewer.sock.fileno(), select.EPOLLIN)

    def _fill(self, viewer: Viewer) -> bool:
        """Make what comes next; False when there is nothing."""
        at, data = viewer.held.after(viewer.position)
        data = data[:CHUNK]
        if viewer.form == "raw":
            viewer.out += data
        else:
            self._events(viewer, at, data)
        viewer.position = at + len(data)
        return bool(viewer.out)

    @staticmethod
    def _events(viewer: Viewer, at: int, data: bytes) -> None:
        if viewer.anew:
            viewer.anew = False
            viewer.out += b"event: anew\ndata: 1\n\n"
        if at > viewer.position:
            viewer.out += f"event: missed\ndata: {at - viewer.position}\n\n".encode()
        if data:
            viewer.out += b"id: %s-%d\nevent: said\ndata: %s\n\n" % (
                viewer.held.epoch.encode(),
                at + len(data),
                base64.b64encode(data),
            )
        standing = viewer.held.standing()
        del standing["position"]
        text = json.dumps(standing)
        if text != viewer.told:
            viewer.told = text
            viewer.out += f"event: standing\ndata: {text}\n\n".encode()

    def _drop(self, viewer: Viewer) -> None:
        if self._viewers.pop(viewer.sock.fileno(), None) is None:
            return
        with contextlib.suppress(OSError):
            self._epoll.unregister(viewer.sock.fileno())
        with contextlib.suppress(OSError):
            viewer.sock.shutdown(socket.SHUT_RDWR)
        viewer.sock.close()
        viewer.held.leave()
        self.ring(viewer.held.machine_id)
