"""How long the next honest TFTP client waits after each kind of abuse, on our server and on its peers."""

from __future__ import annotations

import contextlib
import functools
import random
import resource
import socket
import struct
import time
from collections.abc import Callable

from tests.bench import tftp
from tests.bench.rounds import Contender, Figures, Target, Work
from tests.bench.tftp import NAME, Bench, Crowd, Serve

Address = tuple[str, int]
LIMIT_S = 15.0  # whoever takes longer gets this as a figure
SIZE = 64 * 1024
FIRST_REPEAT_S = 0.25


def works(*, quick: bool) -> list[Work]:
    """One work: the wait after each abuse."""
    bench = Abuse(500 if quick else 3000)
    peers: dict[str, Serve] = {
        "pxeapp": tftp.ours,
        "dnsmasq": tftp.dnsmasq,
        "tftpd-hpa": tftp.tftpd_hpa,
        "atftpd": tftp.atftpd,
    }
    return [
        Work(
            "tftp-abuse",
            f"TFTP, {SIZE // 1024} KiB for an honest client, right after each abuse",
            [Contender(name, functools.partial(bench.run, name, serve)) for name, serve in peers.items()],
            [
                Target("alive", at_least=1, says="the process survives all of it"),
                Target("worst s", at_most=1.0, says="the next honest client is served within a second"),
            ],
            rounds=1 if quick else 3,
            prepared=bench.prepared,
            notes=(
                f"Abuses, one after the other: {bench.count} packets of fuzz; as many write requests; as many requests",
                "that nobody answers, from as many ports; 500 clients that stop in the middle of their transfer.",
                f"The honest client repeats itself after 250 ms, doubling; {LIMIT_S:.0f} s means not served.",
            ),
        )
    ]


class Abuse(Bench):
    """The servers of the other TFTP works, and worse clients."""

    def __init__(self, count: int) -> None:
        super().__init__(Crowd(1, size=SIZE))
        self.count = count

    def run(self, name: str, serve: Serve) -> Figures:
        """One round of one server."""
        content = (self._folder / "root" / NAME).read_bytes()
        figures: dict[str, float] = {}
        with serve(self._folder) as (server, host, port), contextlib.ExitStack() as held:
            at = (host, port)
            figures["quiet s"] = honest(at, content)
            for abuse, figure in (
                (fuzz, "fuzz s"),
                (writes, "WRQ s"),
                (half_open, "half-open s"),
                (abandoned, "abandoned s"),
            ):
                held.callback(abuse(at, self.count))
                figures[figure] = honest(at, content)
            figures["worst s"] = max(figures.values())
            figures["alive"] = float(server.process.poll() is None)
        return figures


def honest(server: Address, content: bytes) -> float:
    """Seconds that a whole transfer takes, as firmware does it; LIMIT_S when it does not get there."""
    began = time.perf_counter()
    with _socket() as sock:
        said, to, last, patience = _request(NAME, blksize=1468), server, 0, FIRST_REPEAT_S
        got = bytearray()
        sock.sendto(said, to)
        while time.perf_counter() - began < LIMIT_S:
            sock.settimeout(patience)
            try:
                packet, to_ = sock.recvfrom(9000)
            except TimeoutError:
                patience *= 2
                sock.sendto(said, to)
                continue
            kind, number = struct.unpack_from("!HH", packet)
            if kind == 6 and not last:
                said, to = b"\0\4\0\0", to_
            elif kind == 3 and number == last + 1 and (to_ == to or not last):
                last, to = number, to_
                got += packet[4:]
                said = struct.pack("!HH", 4, number)
                if len(packet) - 4 < 1468:
                    sock.sendto(said, to)
                    assert bytes(got) == content, "the honest client got other bytes than those of the file"
                    return time.perf_counter() - began
            else:
                continue
            patience = FIRST_REPEAT_S
            sock.sendto(said, to)
    return LIMIT_S


def fuzz(server: Address, count: int) -> Callable[[], object]:
    """Noise, and requests with something wrong in them."""
    source = random.Random(20_260_224)
    sock = _socket()
    for index in range(count):
        packet = bytearray(
            _request(source.choice([NAME, "x", "../etc/passwd"]), blksize=source.choice([0, 8, 512, 65535]))
        )
        for _ in range(source.randrange(1, 4)):
            packet[source.randrange(len(packet))] = source.randrange(256)
        _send(sock, bytes(packet) if index % 3 else source.randbytes(source.randrange(600)), server)
    return sock.close


def writes(server: Address, count: int) -> Callable[[], object]:
    """Write requests, from one port."""
    sock = _socket()
    for _ in range(count):
        _send(sock, b"\0\2" + _request(NAME)[2:], server)
    return sock.close


def half_open(server: Address, count: int) -> Callable[[], object]:
    """Requests whose answers nobody takes, each from a port of its own, at a hundred addresses."""
    socks = [_socket(f"127.101.0.{1 + index % 100}") for index in range(count)]
    for sock in socks:
        _send(sock, _request(NAME, blksize=1468), server)
    return lambda: [sock.close() for sock in socks]


def abandoned(server: Address, _count: int) -> Callable[[], object]:
    """Clients that take a few blocks and fall silent."""
    socks = [_socket(f"127.102.0.{1 + index % 100}") for index in range(500)]
    for sock in socks:
        _send(sock, _request(NAME, blksize=1468), server)
    deadline = time.monotonic() + 5  # some servers answer few of them
    for sock in socks:
        with contextlib.suppress(TimeoutError):
            for number in range(3):
                sock.settimeout(max(0.005, min(0.5, deadline - time.monotonic())))
                _, at = sock.recvfrom(9000)
                _send(sock, struct.pack("!HH", 4, number), at)
    return lambda: [sock.close() for sock in socks]


def _socket(host: str = "127.100.9.9") -> socket.socket:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    return sock


def _send(sock: socket.socket, packet: bytes, to: Address) -> None:
    with contextlib.suppress(OSError):
        sock.sendto(packet, to)


def _request(name: str, **options: int) -> bytes:
    words = [name, "octet", *(str(word) for pair in options.items() for word in pair)]
    return b"\0\1" + b"".join(word.encode() + b"\0" for word in words)
