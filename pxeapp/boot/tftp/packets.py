"""Packets of the cold path, on tftpy's classes with every decode guarded: strangers send these."""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, field
from typing import Any

from tftpy.TftpPacketTypes import TftpPacketERR, TftpPacketOACK, TftpPacketRRQ
from tftpy.TftpShared import TftpException

RRQ, WRQ, DATA, ACK, ERROR, OACK = 1, 2, 3, 4, 5, 6
MAX_REQUEST = 1024  # bytes; RFC 2347 says 512, some firmware pads with zeroes
DEFAULT_BLKSIZE = 512
NOBODY = ("", 0)

# RFC 1350, appendix I; 8 is RFC 2347's.
UNDEFINED, NOT_FOUND, ACCESS_VIOLATION, ILLEGAL, UNKNOWN_TID, BAD_OPTIONS = 0, 1, 2, 4, 5, 8


class BadRequest(Exception):
    """A request that is answered with ERROR: its code and a word for the firmware's screen."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Request:
    """A read request: what is asked for, by whom, and with which options (already within our bounds)."""

    filename: str
    mode: str
    client: tuple[str, int]
    blksize: int = DEFAULT_BLKSIZE
    windowsize: int = 1
    timeout_s: float | None = None
    wants: dict[str, str] = field(default_factory=dict)  # the options as asked, in their order, lower case


def opcode(datagram: bytes) -> int:
    """The packet's kind, 0 for something too short to have one."""
    return int.from_bytes(datagram[:2], "big") if len(datagram) >= 2 else 0


def parse_request(datagram: bytes, client: tuple[str, int], *, max_blksize: int, max_window: int) -> Request:
    """A read request from a datagram; raises BadRequest, and nothing else, for anything at all."""
    said = _parse(datagram, max_blksize, max_window)
    return Request(said.filename, said.mode, client, said.blksize, said.windowsize, said.timeout_s, said.wants)


@functools.lru_cache(512)  # a rack of one make asks in the same words
def _parse(datagram: bytes, max_blksize: int, max_window: int) -> Request:
    kind = opcode(datagram)
    if kind == WRQ:
        raise BadRequest(ACCESS_VIOLATION, "This server is read-only")
    if kind != RRQ:
        raise BadRequest(ILLEGAL, "Not a request")
    if len(datagram) > MAX_REQUEST or not datagram.endswith(b"\0"):
        raise BadRequest(ILLEGAL, "Malformed request")
    packet = _decode(datagram)
    filename, mode = _text(packet.filename), _text(packet.mode).lower()
    if not filename or len(filename) > 255 or not filename.isprintable():
        raise BadRequest(ACCESS_VIOLATION, "Bad file name")
    if mode not in ("octet", "netascii"):
        raise BadRequest(ILLEGAL, "Use mode octet")
    return _with_options(filename, mode, packet.options, max_blksize, max_window)


def _decode(datagram: bytes) -> Any:
    packet = TftpPacketRRQ()  # type: ignore[no-untyped-call]
    packet.buffer = datagram.rstrip(b"\0") + b"\0"
    try:
        return packet.decode()  # type: ignore[no-untyped-call]
    except (TftpException, UnicodeError, struct.error, ValueError, IndexError, AssertionError, TypeError, KeyError):
        raise BadRequest(ILLEGAL, "Malformed request") from None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise BadRequest(ACCESS_VIOLATION, "Bad file name") from None
    return str(value)


def _with_options(filename: str, mode: str, options: dict[str, str], max_blksize: int, max_window: int) -> Request:
    wants = {str(name).lower(): str(value) for name, value in options.items()}
    blksize, window, timeout = DEFAULT_BLKSIZE, 1, None
    if "blksize" in wants:
        # Larger than RFC 2348 knows is answered with ours, which any client that can count has to take.
        blksize = min(_number(wants["blksize"], 8, 2**31), max_blksize)
    if "windowsize" in wants:
        window = min(_number(wants["windowsize"], 1, 65535), max_window)
    if "timeout" in wants:
        timeout = float(_number(wants["timeout"], 1, 255))
    if "tsize" in wants:
        _number(wants["tsize"], 0, 2**63)
    return Request(filename, mode, NOBODY, blksize, window, timeout, wants)


def _number(text: str, least: int, most: int) -> int:
    """A decimal number within bounds; one out of bounds is an error, not a guess (RFC 2347, section 4)."""
    if not text.isascii() or not text.isdigit() or len(text) > 20 or not least <= int(text) <= most:
        raise BadRequest(BAD_OPTIONS, "Bad option value")
    return int(text)


def oack(request: Request, size: int) -> bytes:
    """The options that we accept, with our values; empty when none was asked that we know."""
    return _oack(tuple(request.wants), request.blksize, request.windowsize, request.timeout_s, size)


@functools.lru_cache(512)
def _oack(wants: tuple[str, ...], blksize: int, windowsize: int, timeout_s: float | None, size: int) -> bytes:
    ours = {
        "blksize": str(blksize),
        "windowsize": str(windowsize),
        "tsize": str(size),
        "timeout": str(int(timeout_s or 0)),
    }
    accepted = {name: ours[name] for name in wants if name in ours}
    if not accepted:
        return b""
    packet = TftpPacketOACK()  # type: ignore[no-untyped-call]
    packet.options = accepted
    return bytes(packet.encode().buffer)  # type: ignore[no-untyped-call]


def error(code: int, message: str) -> bytes:
    """An ERROR packet with a word for the screen of the machine."""
    packet = TftpPacketERR()  # type: ignore[no-untyped-call]
    packet.errorcode = code
    packet.errmsgs = {**packet.errmsgs, code: message.encode("ascii", "replace")}
    return bytes(packet.encode().buffer)  # type: ignore[no-untyped-call]
