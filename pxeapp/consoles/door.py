"""How the web processes and the commands reach the console process: a unix socket in the run directory.

One connection is one request, a line of JSON, and one answer, another; on one that watches, what is said follows. Both
sides wait for seconds at most. The folder is ours alone, so whoever connects is one of us; what a user may do was
decided before.
"""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path
from typing import Any

from pxeapp.config import Settings
from pxeapp.errors import Conflict, Unavailable

NAME = "console.sock"
ANSWER_S = 5.0
LINE_LIMIT = 128 * 1024
NOT_THERE = "The console process does not answer."
HINT = "Check that `pxeapp console` runs; `pxeapp serve` starts it."


def socket_path(settings: Settings) -> Path:
    """Where the door is."""
    return settings.run_dir / NAME


def ask(settings: Settings, said: dict[str, Any]) -> dict[str, Any]:
    """One request; raises Unavailable when nobody answers, Conflict with the sentence when it is refused."""
    with _connected(settings) as sock:
        return _exchange(sock, said)


def watch(settings: Settings, machine_id: int, *, after: str = "") -> socket.socket:
    """What is said, from a place on, as server-sent events on the returned socket."""
    return _kept(settings, {"do": "watch", "machine": machine_id, "after": after})


def attach(settings: Settings, machine_id: int) -> socket.socket:
    """A terminal: what comes out of the returned socket was said, what goes in is typed."""
    return _kept(settings, {"do": "attach", "machine": machine_id})


def keys(settings: Settings, machine_id: int, data: bytes) -> None:
    """Type."""
    ask(settings, {"do": "type", "machine": machine_id, "data": base64.b64encode(data).decode()})


def _connected(settings: Settings) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(ANSWER_S)
    try:
        sock.connect(str(socket_path(settings)))
    except OSError:
        sock.close()
        raise Unavailable(NOT_THERE, hint=HINT) from None
    return sock


def _kept(settings: Settings, said: dict[str, Any]) -> socket.socket:
    sock = _connected(settings)
    try:
        _exchange(sock, said)
    except BaseException:
        sock.close()
        raise
    return sock


def _exchange(sock: socket.socket, said: dict[str, Any]) -> dict[str, Any]:
    try:
        sock.sendall(json.dumps(said).encode() + b"\n")
        answer = read_line(sock)
    except OSError:
        raise Unavailable(NOT_THERE, hint=HINT) from None
    if not answer:
        raise Unavailable(NOT_THERE, hint=HINT)
    found: dict[str, Any] = json.loads(answer)
    if "error" in found:
        raise Conflict(str(found["error"]), hint=str(found.get("hint", "")))
    return found


def read_line(sock: socket.socket) -> bytes:
    """Up to the end of a line, and not a byte more: what follows may be for somebody else."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = sock.recv(LINE_LIMIT, socket.MSG_PEEK)
        end = piece.find(b"\n")
        taken = sock.recv(end + 1 if end >= 0 else len(piece))
        if not taken or len(line) > LINE_LIMIT:
            return b""
        line += taken
    return bytes(line)
