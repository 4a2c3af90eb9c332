"""Ports that nobody has now."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """One on loopback; `kind` SOCK_DGRAM for UDP."""
    return free_ports(1, kind)[0]


def free_ports(count: int, kind: int = socket.SOCK_STREAM) -> list[int]:
    """So many, all different."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket(socket.AF_INET, kind)) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
