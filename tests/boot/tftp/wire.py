"""A TFTP client that we have in hand, packet by packet: it loses, repeats and forges what a test asks for."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from netaddr import IPNetwork

from pxeapp.boot.tftp import TftpServer

LOOPBACK = [IPNetwork("127.0.0.0/8")]
RRQ, WRQ, DATA, ACK, ERROR, OACK = 1, 2, 3, 4, 5, 6
Address = tuple[str, int]


def request(name: str | bytes, mode: str = "octet", *, opcode: int = RRQ, **options: object) -> bytes:
    """A request with its options in the order given."""
    raw = name if isinstance(name, bytes) else name.encode()
    words = [raw, mode.encode(), *(word for key, value in options.items() for word in (key.encode(), b"%a" % value))]
    return struct.pack("!H", opcode) + b"".join(word.strip(b"'") + b"\0" for word in words)


def ack(number: int) -> bytes:
    return struct.pack("!HH", ACK, number & 0xFFFF)


def kind(packet: bytes) -> int:
    return int.from_bytes(packet[:2], "big")


def number(packet: bytes) -> int:
    """A DATA's block, or an ERROR's code."""
    return int.from_bytes(packet[2:4], "big")


def options(packet: bytes) -> dict[str, str]:
    """What an OACK says."""
    words = packet[2:].decode().split("\0")[:-1]
    return dict(zip(words[::2], words[1::2], strict=True))


class Client:
    """One UDP socket: one transfer ID."""

    def __init__(self, server: Address, *, timeout: float = 5.0, host: str = "127.0.0.1", port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.server = server
        self.peer: Address = server  # the server's TID, once it has answered

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def ask(self, datagram: bytes) -> None:
        self.socket.sendto(datagram, self.server)

    def say(self, datagram: bytes) -> None:
        self.socket.sendto(datagram, self.peer)

    def hear(self) -> bytes:
        packet, self.peer = self.socket.recvfrom(70_000)
        return packet

    def silence(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for so long."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self.socket.recvfrom(70_000)
        except TimeoutError:
            return True
        else:
            return False
        finally:
            self.socket.settimeout(before)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take leave of the server, so that it need not wait for us."""
        if self.peer != self.server:
            self.say(b"\0\5\0\0bye\0")
        self.socket.close()


@contextlib.contextmanager
def crowd(count: int, server: Address) -> Iterator[list[Client]]:
    """Many clients at one address."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Client(server)) for _ in range(count)]


def fetch(server: Address, name: str, mode: str = "octet", **wants: object) -> bytes:
    """A whole transfer in lock-step or windows, as an honest client does it."""
    with Client(server) as client:
        client.ask(request(name, mode, **wants))
        return collect(client)


def honest(
    server: Address, name: str, mode: str = "octet", *, host: str = "127.0.0.99", within: float = 5.0, **wants: object
) -> bytes:
    """A transfer in lock-step by a client that repeats itself as firmware does; TimeoutError when it takes too long."""
    deadline = time.monotonic() + within
    with Client(server, host=host, timeout=0.25) as client:
        said, content, last, blksize = request(name, mode, **wants), bytearray(), 0, 512
        while True:
            client.say(said)
            try:
                packet = client.hear()
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise
                continue
            if kind(packet) == OACK:
                blksize, said = int(options(packet).get("blksize", 512)), ack(0)
            elif kind(packet) == DATA and number(packet) == (last + 1) & 0xFFFF:
                last += 1
                content += packet[4:]
                said = ack(last)
                if len(packet) - 4 < blksize:
                    client.say(said)
                    return bytes(content)
            else:
                assert kind(packet) == DATA, packet[:60]


def collect(client: Client, lose: Callable[[int], bool] = lambda _: False, *, first: int = 1) -> bytes:
    """Take a transfer to its end, from this block on. `lose(n)`: whether the nth DATA packet (from 0) never arrives."""
    agreed: dict[str, str] = {}
    packet = client.hear()
    if kind(packet) == OACK:
        agreed = options(packet)
        client.say(ack(0))
        packet = client.hear()
    blksize, window = int(agreed.get("blksize", 512)), int(agreed.get("windowsize", 1))
    content, last, since, arrived = bytearray(), first - 1, 0, 0
    while True:
        assert kind(packet) == DATA, packet[:60]
        lost = lose(arrived)
        arrived += 1
        if not lost:
            if number(packet) == (last + 1) & 0xFFFF:
                last += 1
                since += 1
                content += packet[4:]
                if len(packet) - 4 < blksize:
                    client.say(ack(last))
                    return bytes(content)
                if since == window:
                    since = 0
                    client.say(ack(last))
            elif since or window > 1:  # RFC 7440: a gap; say what we have
                since = 0
                client.say(ack(last))
        packet = client.hear()


@contextlib.contextmanager
def serving(resolve: Callable[..., Any], **more: Any) -> Iterator[TftpServer]:
    """A server in a thread of this process."""
    server = TftpServer(("127.0.0.1", 0), more.pop("networks", LOOPBACK), resolve, **more)
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        server.wake()
        thread.join(20)
        assert not thread.is_alive()
