"""A rack that is switched on at once: many TFTP clients in one epoll loop. `python -m tests.boot.tftp.load --help`.

Prints one line of JSON: how many finished, and the SHA-256 of what they got with its count.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import resource
import select
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.boot.tftp.wire import DATA, ERROR, OACK, ack, kind, number, options, request

REPEAT_AFTER_S = 2.0


@dataclass
class Fetch:
    """One client: its socket, what it has, and what it would say again."""

    socket: socket.socket
    said: tuple[bytes, tuple[str, int]]
    said_at: float = 0.0
    blksize: int = 512
    window: int = 1
    last: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    result: str = ""

    def say(self, datagram: bytes, to: tuple[str, int]) -> None:
        self.said, self.said_at = (datagram, to), time.monotonic()
        with contextlib.suppress(BlockingIOError):
            self.socket.sendto(datagram, to)

    def take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while not self.result:
                packet, peer = self.socket.recvfrom(70_000)
                self._packet(packet, peer)

    def _packet(self, packet: bytes, peer: tuple[str, int]) -> None:
        if kind(packet) == ERROR:
            self.result = packet[4:].decode(errors="replace")
        elif kind(packet) == OACK:
            agreed = options(packet)
            self.blksize, self.window = int(agreed.get("blksize", 512)), int(agreed.get("windowsize", 1))
            self.say(ack(0), peer)
        elif kind(packet) == DATA and number(packet) == (self.last + 1) & 0xFFFF:
            self.last += 1
            self.digest.update(packet[4:])
            if len(packet) - 4 < self.blksize:
                self.say(ack(self.last), peer)
                self.result = str(self.digest.hexdigest())
            elif self.last % self.window == 0:
                self.say(ack(self.last), peer)
        elif kind(packet) == DATA and self.window > 1:
            self.say(ack(self.last), peer)


def run(server: tuple[str, int], name: str, count: int, within: float, **wants: int) -> Counter[str]:
    """Fetch `count` times at once; results by what came out."""
    epoll = select.epoll()
    clients: dict[int, Fetch] = {}
    for _ in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.bind((server[0], 0))
        clients[sock.fileno()] = Fetch(sock, (request(name, **wants), server))
        epoll.register(sock.fileno(), select.EPOLLIN)
    for client in clients.values():
        client.say(*client.said)
    results: Counter[str] = Counter()
    deadline = time.monotonic() + within
    while clients and (now := time.monotonic()) < deadline:
        for descriptor, _ in epoll.poll(0.2, 1024):
            client = clients[descriptor]
            client.take()
            if client.result:
                results[client.result] += 1
                epoll.unregister(descriptor)
                client.socket.close()
                del clients[descriptor]
        for client in clients.values():
            if now - client.said_at > REPEAT_AFTER_S:
                client.say(*client.said)
    results["unfinished"] += len(clients)
    return +results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("name")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--within", type=float, default=60)
    parser.add_argument("--blksize", type=int, default=1468)
    parser.add_argument("--windowsize", type=int, default=1)
    said = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384), hard))
    wants = {"blksize": said.blksize, **({"windowsize": said.windowsize} if said.windowsize > 1 else {})}
    print(json.dumps(run((said.host, said.port), said.name, said.count, said.within, **wants)))


if __name__ == "__main__":
    main()
