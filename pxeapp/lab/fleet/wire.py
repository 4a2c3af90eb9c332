"""The client side of a machine's boot, in asyncio, from an address of its own: TFTP as firmware, HTTP as installers."""

from __future__ import annotations

import asyncio
import struct
from typing import NamedTuple, cast
from urllib.parse import urlsplit

ANSWER_S = 30.0
FIRST_RETRY_S = 0.25  # as iPXE; doubled each time
TFTP_PATIENCE_S = 10.0  # of one try
BLKSIZE = 1468
DATA, ACK, ERROR, OACK = 3, 4, 5, 6


class Failed(Exception):
    """It did not work out; the text says what did not. `for_good`: trying again would not help."""

    def __init__(self, message: str, *, for_good: bool = False) -> None:
        super().__init__(message)
        self.for_good = for_good


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes


async def http(method: str, url: str, *, source: str, body: bytes = b"", keep: bool = True) -> Answer:
    """One request on a connection of its own; raises Failed. `keep` False: the body is counted, not kept."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await _http(method, url, source=source, body=body, keep=keep)
    except TimeoutError:
        raise Failed(f"{url}: no answer within {ANSWER_S:.0f} s") from None
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        raise Failed(f"{url}: {type(error).__name__}: {error}") from None


async def _http(method: str, url: str, *, source: str, body: bytes, keep: bool) -> Answer:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port or 80, local_addr=(source, 0), limit=256 * 1024
    )
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        said = f"{method} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
        if body:
            said += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(said.encode() + b"\r\n" + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), None)
        pieces, got = [], 0
        while length is None or got < length:
            piece = await reader.read(256 * 1024)
            if not piece:
                break
            got += len(piece)
            if keep:
                pieces.append(piece)
        if length is not None and got != length:
            raise ValueError(f"{got} of {length} bytes came")
        return Answer(status, b"".join(pieces))
    finally:
        writer.close()


class _Transfer(asyncio.DatagramProtocol):
    """One TFTP download in lock-step; the server's port is learnt from its first packet."""

    def __init__(self, request: bytes, server: tuple[str, int]) -> None:
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._last, self._to = request, server
        self._peer: tuple[str, int] | None = None
        self._expected = 1
        self._size = 0
        self._wait = FIRST_RETRY_S
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # asyncio's own is no subclass of it
        self._send()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if self.done.done() or len(data) < 4 or (self._peer is not None and address != self._peer):
            return
        kind, number = struct.unpack_from("!HH", data)
        if kind == ERROR:
            self.done.set_exception(
                Failed(f"the TFTP server says: {data[4:].rstrip(bytes(1)).decode(errors='replace')}")
            )
            return
        self._peer = self._to = address
        if kind == OACK:
            self._acknowledge(0)
        elif kind == DATA and number == self._expected & 0xFFFF:
            self._expected += 1
            self._size += len(data) - 4
            self._acknowledge(number)
            if len(data) - 4 < BLKSIZE:
                self.done.set_result(self._size)

    def error_received(self, error: Exception) -> None:
        """ICMP: nobody listens there now; our timer asks again."""

    def _acknowledge(self, number: int) -> None:
        self._last, self._wait = struct.pack("!HH", ACK, number), FIRST_RETRY_S
        self._send()

    def _send(self) -> None:
        self._transport.sendto(self._last, self._to)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._wait, self._again)

    def _again(self) -> None:
        if not self.done.done():
            self._wait *= 2
            self._send()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport.close()


async def tftp(server: tuple[str, int], name: str, *, source: str) -> int:
    """Fetch a file as firmware does, and return its size; raises Failed."""
    request = struct.pack("!H", 1) + b"\0".join(
        (name.encode(), b"octet", b"tsize", b"0", b"blksize", str(BLKSIZE).encode(), b"")
    )
    loop = asyncio.get_running_loop()
    _, transfer = await loop.create_datagram_endpoint(lambda: _Transfer(request, server), local_addr=(source, 0))
    try:
        async with asyncio.timeout(TFTP_PATIENCE_S):
            return await transfer.done
    except TimeoutError:
        raise Failed(f"tftp {name}: not finished within {TFTP_PATIENCE_S:.0f} s") from None
    finally:
        transfer.close()
