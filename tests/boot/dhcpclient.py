"""A DHCP client on raw frames, as firmware is: no address, any MAC, any options. Run inside a namespace.

`python dhcpclient.py IFACE` reads JSON on stdin: a list of exchanges {"type", "mac", "options": {number: hex},
"address"?, "to"?, "port"?, "replies"?}; writes a JSON list of the replies to each.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import sys
import time
from typing import Any

COOKIE = b"\x63\x82\x53\x63"
TYPES = {"discover": 1, "offer": 2, "request": 3, "ack": 5, "nak": 6}


def build(exchange: dict[str, Any], xid: int) -> bytes:
    """One Ethernet frame."""
    mac = bytes.fromhex(exchange["mac"].replace(":", ""))
    source = exchange.get("address", "0.0.0.0")
    target = exchange.get("to", "255.255.255.255")
    bootp = struct.pack(
        "!BBBBIHH4s4s4s4s16s64s128s",
        1, 1, 6, 0, xid, 0, 0x8000, socket.inet_aton(source), b"\0" * 4, b"\0" * 4, b"\0" * 4,
        mac.ljust(16, b"\0"), b"", b"",
    )  # fmt: skip
    options = bytes([53, 1, TYPES[exchange["type"]]])
    for number, value in exchange["options"].items():
        data = bytes.fromhex(value)
        options += bytes([int(number), len(data)]) + data
    payload = bootp + COOKIE + options + b"\xff"
    udp = struct.pack("!HHHH", 68, exchange.get("port", 67), 8 + len(payload), 0) + payload
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(target)
    )
    header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
    ethernet = bytes.fromhex(exchange.get("to_mac", "ff" * 6)) + mac + b"\x08\x00"
    return ethernet + header + udp


def parse(frame: bytes, xid: int) -> dict[str, Any] | None:
    """A DHCP reply to us, or None for anything else on the wire."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 17:
        return None
    start = 14 + (frame[14] & 15) * 4
    if struct.unpack("!H", frame[start + 2 : start + 4])[0] not in (68, 4011):
        return None
    bootp = frame[start + 8 :]
    if len(bootp) < 240 or bootp[0] != 2 or struct.unpack("!I", bootp[4:8])[0] != xid:
        return None
    options: dict[int, str] = {}
    at = 240
    while at < len(bootp) and bootp[at] != 255:
        if bootp[at] == 0:
            at += 1
            continue
        size = bootp[at + 1]
        options[bootp[at]] = bootp[at + 2 : at + 2 + size].hex()
        at += 2 + size
    file = bytes.fromhex(options[67]) if 67 in options else bootp[108:236]
    return {
        "type": {value: key for key, value in TYPES.items()}[int(options[53], 16)],
        "address": socket.inet_ntoa(bootp[16:20]),
        "next_server": socket.inet_ntoa(bootp[20:24]),
        "file": file.split(b"\0")[0].decode(),
        "options": options,
    }


def exchange(wire: socket.socket, what: dict[str, Any]) -> list[dict[str, Any]]:
    """Send one packet, at most three times; the replies that come, or none within the patience asked for."""
    xid = random.getrandbits(32)
    replies: list[dict[str, Any]] = []
    for _ in range(3):
        wire.send(build(what, xid))
        end = time.monotonic() + what.get("patience", 4.0)
        while (left := end - time.monotonic()) > 0 and len(replies) < what.get("replies", 1):
            wire.settimeout(left)
            try:
                reply = parse(wire.recv(4096), xid)
            except TimeoutError:
                break
            if reply:
                replies.append(reply)
        if replies or what.get("once"):
            break
    return replies


def _checksum(header: bytes) -> int:
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def main() -> None:
    """Carry out the exchanges on stdin."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as wire:
        wire.bind((sys.argv[1], 0))
        print(json.dumps([exchange(wire, what) for what in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
