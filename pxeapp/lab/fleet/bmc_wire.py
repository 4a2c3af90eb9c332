"""IPMI 2.0 as bytes: RMCP headers, RMCP+ packets, IPMI messages, and the keys of a session. The BMC's side of it.

Section numbers are those of the IPMI 2.0 specification. Cipher suites 3 and 17 only: the others do not authenticate or
do not encrypt.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

RMCP_IPMI = b"\x06\x00\xff\x07"
RMCP_ASF = b"\x06\x00\xff\x06"
ASF_IANA = b"\x00\x00\x11\xbe"
IPMI15, RMCPP = 0x00, 0x06  # authentication type "none" of a session-less packet, and the RMCP+ format
ENCRYPTED, AUTHENTICATED = 0x80, 0x40
IPMI, SOL, OPEN_REQUEST, OPEN_RESPONSE = 0x00, 0x01, 0x10, 0x11
RAKP1, RAKP2, RAKP3, RAKP4 = 0x12, 0x13, 0x14, 0x15
BLOCK = 16


class Malformed(Exception):
    """Not a packet that a BMC answers."""


class Suite(NamedTuple):
    """One cipher suite (section 22.15.2): its three algorithms, the hash, and how much of it signs a packet."""

    number: int
    authentication: int
    integrity: int
    confidentiality: int
    hash: str
    signs: int


SUITES = {
    suite.number: suite for suite in (Suite(3, 0x01, 0x01, 0x01, "sha1", 12), Suite(17, 0x03, 0x04, 0x01, "sha256", 16))
}
BY_ALGORITHMS = {
    (suite.authentication, suite.integrity, suite.confidentiality): suite.number for suite in SUITES.values()
}


class Request(NamedTuple):
    """An IPMI message that asks (section 13.8)."""

    netfn: int
    command: int
    data: bytes
    head: bytes  # what its answer's header repeats: addresses, sequence, LUNs


class Packet(NamedTuple):
    """An RMCP+ packet taken apart as far as it goes without keys (table 13-8)."""

    kind: int
    flags: int
    session: int
    sequence: int
    payload: bytes


def asf_pong(packet: bytes) -> bytes | None:
    """The answer to a presence ping (DSP0136); None when it is another ASF message."""
    if len(packet) < 12 or packet[4:8] != ASF_IANA or packet[8] != 0x80:
        return None
    return RMCP_ASF + ASF_IANA + bytes((0x40, packet[9], 0, 16)) + ASF_IANA + bytes(4) + b"\x81" + bytes(7)


def open_ipmi15(packet: bytes) -> bytes:
    """The IPMI message of a session-less packet in the old format, which every login begins with."""
    if len(packet) < 14 or packet[9:13] != bytes(4):
        raise Malformed
    return packet[14 : 14 + packet[13]]


def wrap_ipmi15(message: bytes) -> bytes:
    """The answer to one."""
    return RMCP_IPMI + bytes(9) + bytes((len(message),)) + message


def open_rmcpp(packet: bytes) -> Packet:
    """Take a packet in the RMCP+ format apart."""
    if len(packet) < 16:
        raise Malformed
    kind, session, sequence, length = struct.unpack_from("<BIIH", packet, 5)
    payload = packet[16 : 16 + length]
    if len(payload) != length:
        raise Malformed
    return Packet(kind & 0x3F, kind & 0xC0, session, sequence, payload)


def wrap_plain(kind: int, payload: bytes) -> bytes:
    """A packet of a login: no session yet, nothing signed."""
    return RMCP_IPMI + struct.pack("<BBIIH", RMCPP, kind, 0, 0, len(payload)) + payload


def parse(message: bytes) -> Request:
    """Read a request; its two checksums must be right."""
    if len(message) < 7 or sum(message[:3]) & 0xFF or sum(message[3:]) & 0xFF:
        raise Malformed
    rs_addr, netfn_lun, _, rq_addr, sequence_lun, command = message[:6]
    # In the answer requester and responder change places, and the network function is the next odd one.
    head = bytes((rq_addr, (netfn_lun & 0xFC) + 4 | sequence_lun & 3))
    tail = bytes((rs_addr, sequence_lun & 0xFC | netfn_lun & 3, command))
    return Request(netfn_lun >> 2, command, message[6:-1], head + bytes((-sum(head) & 0xFF,)) + tail)


def answer(request: Request, code: int, data: bytes = b"") -> bytes:
    """The answer to a request: completion code and data."""
    body = request.head[3:] + bytes((code,)) + data
    return request.head[:3] + body + bytes((-sum(body) & 0xFF,))


@dataclass(slots=True)
class Session:
    """A session on the BMC's side: who, with which keys, and how far its sequence numbers have come."""

    number: int
    console: int  # the session number that the other side chose
    suite: Suite
    began: float
    random: bytes = b""  # ours
    their_random: bytes = b""
    role: int = 0
    user: bytes = b""
    last_used: float = 0.0
    _sik: bytes = b""
    _k1: bytes = b""
    _aes: bytes = b""
    _sent: int = 0
    _received: int = 0

    @property
    def established(self) -> bool:
        """Whether both sides have proved that they know the password."""
        return bool(self._aes)

    def mac(self, key: bytes, data: bytes) -> bytes:
        """The suite's HMAC."""
        return hmac.digest(key, data, self.suite.hash)

    def who(self) -> bytes:
        """Role and user name as the RAKP messages sign them."""
        return bytes((self.role, len(self.user))) + self.user

    def challenge(self, password: bytes, guid: bytes) -> bytes:
        """What RAKP 2 proves (13.31)."""
        both = struct.pack("<II", self.console, self.number)
        return self.mac(password, both + self.their_random + self.random + guid + self.who())

    def proof(self, password: bytes) -> bytes:
        """What RAKP 3 must prove."""
        return self.mac(password, self.random + struct.pack("<I", self.console) + self.who())

    def establish(self, password: bytes, guid: bytes) -> bytes:
        """Make the keys (13.31, 13.32); returns what RAKP 4 proves."""
        self._sik = self.mac(password, self.their_random + self.random + self.who())
        self._k1 = self.mac(self._sik, b"\x01" * 20)
        self._aes = self.mac(self._sik, b"\x02" * 20)[:BLOCK]
        return self.mac(self._sik, self.their_random + struct.pack("<I", self.number) + guid)[: self.suite.signs]

    def read(self, packet: bytes, parts: Packet) -> bytes:
        """The IPMI message of a signed, encrypted packet; one that is forged or came twice is Malformed."""
        signs = self.suite.signs
        signed, signature = packet[4:-signs], packet[-signs:]
        if parts.flags != ENCRYPTED | AUTHENTICATED or not self.established or parts.sequence <= self._received:
            raise Malformed
        if not hmac.compare_digest(self.mac(self._k1, signed)[:signs], signature):
            raise Malformed
        secret = parts.payload
        if len(secret) < 2 * BLOCK or len(secret) % BLOCK:
            raise Malformed
        self._received = parts.sequence
        decryptor = Cipher(algorithms.AES(self._aes), modes.CBC(secret[:BLOCK])).decryptor()
        plain = decryptor.update(secret[BLOCK:]) + decryptor.finalize()
        return plain[: -plain[-1] - 1]

    def write(self, message: bytes, kind: int = IPMI) -> bytes:
        """A signed, encrypted packet for the other side (tables 13-8 and 13-20)."""
        pad = -(len(message) + 1) % BLOCK
        vector = os.urandom(BLOCK)
        encryptor = Cipher(algorithms.AES(self._aes), modes.CBC(vector)).encryptor()
        padded = message + bytes(range(1, pad + 1)) + bytes((pad,))
        secret = vector + encryptor.update(padded) + encryptor.finalize()
        self._sent += 1
        header = struct.pack("<BBIIH", RMCPP, kind | ENCRYPTED | AUTHENTICATED, self.console, self._sent, len(secret))
        filling = -(len(header) + len(secret) + 2) % 4
        signed = header + secret + b"\xff" * filling + bytes((filling, 7))
        return RMCP_IPMI + signed + self.mac(self._k1, signed)[: self.suite.signs]


def guid_of(name: str) -> bytes:
    """A BMC's GUID, the same whenever it has this name."""
    return hashlib.md5(name.encode(), usedforsecurity=False).digest()
