"""A simulated machine's serial port behind its BMC: serial over LAN (section 15), held by one session at a time.

Everything here runs in the fleet's thread, but for `typed`, which anybody may read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from pxeapp.lab.fleet.bmc_wire import Session

Address = tuple[str, int]
OK, HELD, NOT_ACTIVE = 0x00, 0x80, 0x80
ROOM = 120  # bytes of text in one packet
RESEND_S = 1.0
KEPT = 64 * 1024  # of what is said while nobody listens
DEACTIVATED = 0x10
FIRST_SIGN = 0x20  # below are control characters
ECHOES = {0x09: b"\t", 0x0D: b"\r\n", 0x0A: b"\r\n", 0x7F: b"\b \b"}


def echo(keys: bytes) -> bytes:
    """What a terminal's driver shows of what is typed: control characters as ^C, and Enter as a new line."""
    return b"".join(
        ECHOES.get(key) or (bytes((key,)) if key >= FIRST_SIGN else b"^" + bytes((key + 64,))) for key in keys
    )


class Wires(Protocol):
    """What the line needs of its BMC."""

    def put(self, session: Session, payload: bytes, client: Address) -> None:
        """Send a packet of the console."""

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something after some time."""


class SerialLine:
    """The line and who holds it."""

    def __init__(self, wires: Wires, port: int) -> None:
        self.typed = bytearray()  # what reached the machine
        self.echoes = False  # a system runs, whose terminal shows what is typed
        self._wires = wires
        self._port = port
        self._holder: Session | None = None
        self._client: Address = ("", 0)
        self._waiting = bytearray()  # what the machine said and nobody has acknowledged
        self._number = 0
        self._sent = 0  # bytes of the packet that is under way
        self._heard = (0, 0)  # number and length of the packet that came last
        self._try = 0

    def activate(self, session: Session, client: Address, *, alive: Callable[[Session], bool]) -> tuple[int, bytes]:
        """Give the line to a session, unless another one that lives has it (section 24.1)."""
        if self._holder is not None and self._holder is not session and alive(self._holder):
            return HELD, b""
        self._holder, self._client = session, client
        self._heard, self._sent = (0, 0), 0
        self._send_on()
        return OK, bytes(4) + struct.pack("<HHHH", ROOM + 4, ROOM + 4, self._port, 0xFFFF)

    def deactivate(self) -> int:
        """End whoever's console it is (24.2); they are told."""
        if self._holder is None:
            return NOT_ACTIVE
        self._wires.put(self._holder, bytes((0, 0, 0, DEACTIVATED)), self._client)
        self._holder = None
        return OK

    def holder(self) -> int:
        """The number of the session that has it; 0: nobody."""
        return self._holder.number if self._holder is not None else 0

    def say(self, text: bytes) -> None:
        """The machine says something; what nobody hears is kept for a while."""
        self._waiting += text
        if len(self._waiting) > KEPT and not self._sent:
            del self._waiting[:-KEPT]
        if not self._sent:
            self._send_on()

    def receive(self, session: Session, packet: bytes, client: Address) -> None:
        """A packet of the console: keys, or an acknowledgement of what was said."""
        if session is not self._holder or len(packet) < 4:
            return
        self._client = client
        number, acknowledged, taken = packet[0] & 0x0F, packet[1] & 0x0F, packet[2]
        if number:
            keys = packet[4:]
            new = keys[self._heard[1] :] if number == self._heard[0] else keys
            self.typed += new
            self._heard = (number, len(keys))
            self._wires.put(session, bytes((0, number, len(keys), 0)), client)
            if self.echoes and new:
                self.say(echo(new))
        if acknowledged and acknowledged == self._number and self._sent:
            del self._waiting[: min(taken, self._sent)]
            self._sent = 0
            self._send_on()

    def _send_on(self) -> None:
        if self._holder is None or not self._waiting or self._sent:
            return
        self._number = self._number % 15 + 1
        self._sent = min(ROOM, len(self._waiting))
        self._try += 1
        self._put(self._try)

    def _put(self, attempt: int) -> None:
        """Send the packet under way, and again until it is acknowledged or another took its place."""
        if self._holder is None or not self._sent or attempt != self._try:
            return
        self._wires.put(self._holder, bytes((self._number, 0, 0, 0)) + bytes(self._waiting[: self._sent]), self._client)
        self._wires.later(RESEND_S, lambda: self._put(attempt))
