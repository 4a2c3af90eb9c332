"""The sockets: one that listens, one for each transfer, and beside that one for whoever else finds its port."""

from __future__ import annotations

import contextlib
import resource
import socket
import struct

from pxeapp.errors import ConfigError

IP_PKTINFO = 8  # linux/in.h
SO_RCVBUFFORCE = 33  # asm-generic/socket.h
DESCRIPTORS = 65_536
RECEIVE_BUFFER = 4 * 1024 * 1024  # a rack that is switched on asks at once


def listen(address: tuple[str, int]) -> socket.socket:
    """Where requests come in; raises ConfigError."""
    sock = _udp()
    for option in (SO_RCVBUFFORCE, socket.SO_RCVBUF):  # the first is root's, the second the system's limit cuts
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER)
            break
    sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"TFTP cannot listen on {address[0]}:{address[1]}: {error.strerror}.",
            hint="Port 69 needs root or CAP_NET_BIND_SERVICE; another TFTP server may hold it (`ss -lunp`).",
        ) from error
    return sock


def local_address(ancillary: list[tuple[int, int, bytes]]) -> str:
    """Which of our addresses a request was sent to."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO and len(data) >= 12:
            _, local, _ = struct.unpack("@i4s4s", data[:12])
            return socket.inet_ntoa(local)
    return "0.0.0.0"  # noqa: S104 - the kernel then chooses


def reply(local: str, client: tuple[str, int]) -> socket.socket:
    """A socket of its own port (TID) on the address that the client asked: firmware ignores answers from another.

    It is connected: the kernel then knows the way, and hands it nobody else's packets.
    """
    sock = _udp()
    try:
        sock.bind((local, 0))
        sock.connect(client)
    except OSError:
        sock.close()
        raise
    return sock


def beside(connected: socket.socket) -> socket.socket:
    """One at the same port that is not connected: what comes there from others than the client comes to it."""
    sock = _udp()
    try:
        # A port is shared while both wish it; afterwards no other program may join in.
        for one in (connected, sock):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(connected.getsockname())
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        sock.close()
        raise
    return sock


def raise_descriptor_limit() -> int:
    """Each transfer is a few descriptors; the usual soft limit of 1,024 is a small rack. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= DESCRIPTORS:
        return soft
    for wish in ((DESCRIPTORS, max(hard, DESCRIPTORS)), (min(hard, DESCRIPTORS), hard)):  # the first needs root
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, wish)
            return wish[0]
    return soft


def _udp() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
