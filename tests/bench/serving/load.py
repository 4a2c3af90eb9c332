"""Many HTTP clients in one thread: each sends a ready-made request on a connection of its own, as installers do."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

WAIT_S = 60.0
PIECE = 256 * 1024


class Reply(NamedTuple):
    """What came back; status 0 where nothing did."""

    status: int
    body: bytes
    seconds: float


class _Client:
    """One connection with one request under way."""

    __slots__ = ("began", "came", "length", "number", "sock")

    def __init__(self, number: int, address: tuple[str, int], request: bytes) -> None:
        self.number = number
        self.came = bytearray()
        self.length = -1
        self.began = time.perf_counter()
        self.sock = socket.create_connection(address, timeout=WAIT_S)
        self.sock.sendall(request)
        self.sock.setblocking(False)

    def read(self) -> Reply | None:
        """The whole reply once it is here."""
        try:
            piece = self.sock.recv(PIECE)
        except BlockingIOError:
            return None
        except OSError:
            piece = b""
        self.came += piece
        if self.length < 0 and (end := self.came.find(b"\r\n\r\n")) >= 0:
            self.length = end + 4 + _length(bytes(self.came[:end]))
        if 0 <= self.length <= len(self.came):
            head = self.came.find(b"\r\n\r\n") + 4
            return Reply(int(self.came[9:12]), bytes(self.came[head : self.length]), self._seconds())
        return Reply(0, b"", self._seconds()) if not piece else None

    def _seconds(self) -> float:
        return time.perf_counter() - self.began


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def get(path: str, *, token: str = "") -> bytes:
    """A request as curl makes it."""
    more = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: appliance\r\nUser-Agent: bench\r\nAccept: */*\r\n{more}\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """The same with a body."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: appliance\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def storm(
    address: tuple[str, int],
    requests: Sequence[bytes],
    *,
    clients: int,
    follow: Callable[[int, Reply], bytes | None] | None = None,
) -> list[Reply]:
    """Send all of them, so many at a time; the replies in the order of the requests.

    `follow` says what a client whose reply came sends next, in its own place in the list; None ends it.
    """
    replies: list[Reply] = [Reply(0, b"", 0.0)] * len(requests)
    waiting = iter(enumerate(requests))
    with selectors.EpollSelector() as poll:
        under_way = 0

        def send(number: int, request: bytes) -> None:
            client = _Client(number, address, request)
            poll.register(client.sock, selectors.EVENT_READ, client)

        for number, request in waiting:
            send(number, request)
            under_way += 1
            if under_way >= clients:
                break
        while under_way:
            ready = poll.select(WAIT_S)
            if not ready:
                raise TimeoutError(f"{under_way} of {len(requests)} requests got no answer within {WAIT_S:.0f} s.")
            for key, _ in ready:
                client = key.data
                reply = client.read()
                if reply is None:
                    continue
                poll.unregister(client.sock)
                client.sock.close()
                replies[client.number] = reply
                more = follow(client.number, reply) if follow else None
                if more is not None:
                    send(client.number, more)
                    continue
                following = next(waiting, None)
                if following is None:
                    under_way -= 1
                else:
                    send(*following)
    return replies
