"""Hundreds of simulated BMCs in one thread: each with a UDP port of its own, speaking IPMI 2.0 (RMCP+).

    with BmcFleet(username="admin", password="secret") as fleet:
        bmc = fleet.add("node1")
        bmc.illness = "losing_replies"
        ...
        assert bmc.commands() == ["power off"]

One epoll loop does everything: it shares the machine with what it tests, so it is cheap.
"""

from __future__ import annotations

import collections
import contextlib
import heapq
import itertools
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from pxeapp.lab.fleet.bmc import Address, Illness, Received, SimulatedBmc

__all__ = ["BmcFleet", "Illness", "Received", "SimulatedBmc"]

PACKETS_AT_ONCE = 16  # from one BMC, before the others have their turn
OnPower = Callable[[SimulatedBmc, bool], None]
log = logging.getLogger(__name__)


class BmcFleet:
    """The BMCs and the thread that serves them; a context manager. All share one user name and password.

    `on_power` is called in the fleet's thread, and must be quick, whenever a command has really switched a machine.
    """

    def __init__(self, *, username: str, password: str, on_power: OnPower | None = None) -> None:
        self._login = {"username": username, "password": password}
        self._on_power = on_power
        self._epoll = select.epoll()
        self._sockets: dict[int, tuple[socket.socket, SimulatedBmc]] = {}
        self._socket_of: dict[SimulatedBmc, socket.socket] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._soon: collections.deque[Callable[[], None]] = collections.deque()
        self._wake_up, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._epoll.register(self._wake_up, select.EPOLLIN)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="bmc-fleet", daemon=True)

    def __enter__(self) -> BmcFleet:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bmcs(self) -> list[SimulatedBmc]:
        """All of them, in the order of `add`."""
        return list(self._socket_of)

    def add(self, name: str, address: str = "127.0.0.1", port: int = 0) -> SimulatedBmc:
        """One more BMC, powered off, which answers as soon as the fleet runs; port 0: any that is free."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind((address, port))
        except OSError:
            sock.close()
            raise
        sock.setblocking(False)
        where: Address = sock.getsockname()
        bmc = SimulatedBmc(name, where, around=self, **self._login)
        self._socket_of[bmc] = sock
        self._sockets[sock.fileno()] = (sock, bmc)
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        return bmc

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close every port."""
        self._stopping = True
        os.write(self._waker, b".")
        if self._thread.is_alive():
            self._thread.join()
        for sock, _ in self._sockets.values():
            sock.close()
        self._epoll.close()
        os.close(self._wake_up)
        os.close(self._waker)

    def now(self) -> float:
        """The monotonic clock."""
        return time.monotonic()

    def send(self, bmc: SimulatedBmc, packet: bytes, to: Address) -> None:
        """Let a packet leave from the BMC's port."""
        with contextlib.suppress(OSError):  # whoever asked is gone
            self._socket_of[bmc].sendto(packet, to)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something after some time, in the fleet's thread; called in that thread only."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), what))

    def soon(self, what: Callable[[], None]) -> None:
        """Do something in the fleet's thread; from any."""
        self._soon.append(what)
        with contextlib.suppress(OSError):  # it is full of rings already, or the fleet has ended
            os.write(self._waker, b"!")

    def switched(self, bmc: SimulatedBmc, *, power: bool) -> None:
        """Pass on what happened to a machine; trouble there is not the BMC's."""
        if self._on_power is not None:
            try:
                self._on_power(bmc, power)
            except Exception:
                log.exception("on_power failed for %s", bmc.name)

    def _run(self) -> None:
        while not self._stopping:
            self._fire()
            wait = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            for descriptor, _ in self._epoll.poll(wait):
                if descriptor != self._wake_up:
                    self._read(*self._sockets[descriptor])
                elif not self._stopping:
                    os.read(self._wake_up, 4096)
                    while self._soon:
                        self._soon.popleft()()

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    @staticmethod
    def _read(sock: socket.socket, bmc: SimulatedBmc) -> None:
        client: Any
        for _ in range(PACKETS_AT_ONCE):
            try:
                packet, client = sock.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:  # an earlier answer found nobody: ICMP says so here
                continue
            try:
                bmc.receive(packet, client)
            except Exception:
                log.exception("%s could not digest a packet", bmc)
