"""A door between the host and the rack's network: TCP on one side, a unix socket through the wall, TCP on the other."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path


def inside_argv(path: Path, address: str, port: int) -> list[str]:
    """The half that runs in the rack's network: from the unix socket to the appliance."""
    return [sys.executable, "-m", "pxeapp.lab.door", "inside", str(path), address, str(port)]


def outside_argv(path: Path, port: int) -> list[str]:
    """The half that runs on the host: from its loopback to the unix socket."""
    return [sys.executable, "-m", "pxeapp.lab.door", "outside", str(path), "127.0.0.1", str(port)]


def relay(server: socket.socket, connect: Callable[[], socket.socket]) -> None:
    """Connect whoever comes with the other side, for ever."""
    while True:
        here, _ = server.accept()
        try:
            there = connect()
        except OSError:
            here.close()
            continue
        for source, target in ((here, there), (there, here)):
            threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return sock


def main() -> None:
    """Run by the rack."""
    side, path, address, port = sys.argv[1:]
    if side == "inside":
        Path(path).unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen(64)
        relay(server, lambda: socket.create_connection((address, int(port)), 10))
    relay(socket.create_server((address, int(port)), backlog=64), lambda: _unix(path))


if __name__ == "__main__":
    main()
