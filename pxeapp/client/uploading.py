"""Sending a file piece by piece: a line that breaks costs one piece, and a call that was ended goes on."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any, BinaryIO

from pxeapp.client import Answer, Appliance, Unreachable, at, refusal
from pxeapp.commandline import counting
from pxeapp.errors import FieldProblem, Invalid

PIECE = 8 * 1024**2  # what is sent at once, and what is lost with a line that breaks
TRIES = 5  # each of which the transport has tried in itself: a line may be away for half a minute
PAUSE_S = 2.0


def upload(own: Appliance, path: Path, *, name: str = "") -> dict[str, Any]:
    """Send it, or what is missing of it; returns `name`, `size` and `sha256`, by which an order takes it."""
    name = name or path.name
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            where = at("software", "uploads", name)
            before = 0 if size <= PIECE else int(own.get(where, size=size)["received"])
            told = _from(own, where, handle, before, size)
            # What came in before was of a file that has changed since.
            return told if told["right"] else _from(own, where, handle, 0, size)
    except OSError as error:
        problem = FieldProblem("file", f"{path} cannot be read: {error.strerror}.", "Name a file that you may read.")
        raise Invalid("Nothing was sent.", problems=[problem]) from error


def _from(own: Appliance, where: str, handle: BinaryIO, received: int, size: int) -> dict[str, Any]:
    """Send what is behind `received`; `right` says whether what is there now is this file."""
    handle.seek(0)
    digest = hashlib.sha256()
    for start in range(0, received, PIECE):
        digest.update(handle.read(min(PIECE, received - start)))
    with counting(f"Sending {Path(handle.name).name}") as count:
        while True:
            handle.seek(received)
            piece = handle.read(PIECE)
            digest.update(piece)
            told = _send(own, where, piece, f"bytes {received}-{received + len(piece) - 1}/{size}")
            received += len(piece)
            count(received, size)
            if told["sha256"] or not piece:
                return {**told, "right": told["sha256"] == digest.hexdigest()}


def _send(own: Appliance, where: str, piece: bytes, content_range: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/octet-stream", "Content-Range": content_range}
    for attempt in range(1, TRIES + 1):
        try:
            found = own.transport.send("PUT", where, {}, piece, headers)
        except Unreachable:
            if attempt == TRIES:
                raise
            time.sleep(PAUSE_S * attempt)
            continue
        return _told(found)
    raise AssertionError("the last attempt returns or raises")


def _told(found: Answer) -> dict[str, Any]:
    if found.status >= 400:
        raise refusal(found.status, found.body)
    told: dict[str, Any] = json.loads(found.body)
    return told
