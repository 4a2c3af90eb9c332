"""Serial over LAN (IPMI 2.0, section 15) over a session of ours.

pyghmi's own console waits for an acknowledgement inside of its sender, for up to 15 s and one inside of the other, and
shares its session with whatever else the process does. Here one thread owns one line: it handles what came, sends what
was typed, one packet at a time, and sends it again when it was lost.
"""

from __future__ import annotations

import collections
import contextlib
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from pxeapp.bmc.rmcp import Answer, Garbage, NoAnswer, RmcpSession, pyghmi_session

APPLICATION = 0x06
ACTIVATE, DEACTIVATE, INSTANCE_INFO = 0x48, 0x49, 0x4B  # of payloads (section 24)
SOL_PAYLOAD, INSTANCE = 1, 1
PROTECTED = 0xC0  # encrypted and authenticated
SOL = bytes((SOL_PAYLOAD, INSTANCE))
IN_USE = 0x80
REFUSALS = {
    0x80: "another program holds the console",
    0x81: "serial over LAN is switched off",
    0x82: "it can hold no more consoles",
    0x83: "it cannot encrypt the console",
    0x84: "it only gives the console unencrypted",
}
# The fourth byte of a packet (tables 15-2 and 15-3).
BREAK, NACK, UNAVAILABLE, DEACTIVATED = 0x10, 0x40, 0x20, 0x10
HEADER = 4
SMALLEST, LARGEST = 1, 200  # bytes in one packet, whatever the BMC claims to take
RESEND_S = 1.0
TRIES = 6
IDLE_S = 0.25
BUSY_S = 0.02  # for a moment after something moved, an answer that slips between look and wait is met at once
BUSY_FOR_S = 1.0
ALIVE_S = 20.0  # how often the BMC is asked whether the line is still ours; a session ends by itself after 60
TYPED_LIMIT = 64 * 1024  # what waits to be sent; more than that and nobody is listening


class LineRefused(Exception):
    """The BMC gives no console; the text says why. `held`: another program has it."""

    def __init__(self, why: str, *, held: bool = False) -> None:
        super().__init__(why)
        self.held = held


class LineEnded(Exception):
    """The BMC took the console away: another program asked for it, or the BMC began anew."""


class _Packet:
    """What was sent and is not acknowledged yet."""

    def __init__(self, number: int, data: bytes, operation: int) -> None:
        self.number, self.data, self.operation = number, data, operation
        self.sent_at, self.tries = 0.0, 0


class SolSession(RmcpSession):
    """A login and its serial line. `heard` is called in the thread that runs it; `type` from any."""

    def __init__(
        self,
        address: str,
        port: int,
        username: str,
        password: str,
        *,
        suite: int | None,
        heard: Callable[[bytes], None],
    ) -> None:
        self._heard = heard
        self._typed: collections.deque[tuple[bytes, int]] = collections.deque()
        self._bells: list[threading.Event] = []
        self._under_way: _Packet | None = None
        self._number = 0
        self._last = (0, 0)  # number and length of the packet that was heard last
        self._ended = False
        self._moved_at = 0.0
        self._room = SMALLEST
        self.alive_at = time.monotonic()  # when its thread last came by; for whoever watches it
        super().__init__(address, port, username, password, suite=suite)

    def activate(self, *, take: bool = False) -> None:
        """Begin; `take`: end another program's console first. Raises LineRefused."""
        answer = self._activation()
        if answer["code"] == IN_USE and take:
            self.ask(APPLICATION, DEACTIVATE, (*SOL, 0, 0, 0, 0))
            answer = self._activation()
        code, data = int(answer["code"]), bytes(answer.get("data", b""))
        if code:
            raise LineRefused(REFUSALS.get(code, f"it answered {code:#04x}"), held=code == IN_USE)
        if len(data) < 10:
            raise Garbage("a console that is none")
        # The port that it names (bytes 8 and 9) is its own: behind a forwarded one the line is where the session is.
        (size,) = struct.unpack_from("<H", data, 4)
        self._room = max(SMALLEST, min(LARGEST, size - HEADER))
        self.sol_handler = self._got
        # Some BMCs go on with the numbers of the console before, and take our first packet for a repeated one. This one
        # is empty and waits for no answer; whatever they remember, the next is new.
        self._number = 1
        self._put(bytes((1, 0, 0, 0)))

    def run(self, stop: Callable[[], bool]) -> None:
        """Until `stop`; raises NoAnswer, Garbage or LineEnded when the line is lost."""
        asked_at = time.monotonic()
        while not stop():
            self.alive_at = now = time.monotonic()
            self.process_pktqueue()
            if self._trouble is not None:
                raise Garbage(self._trouble)
            if self._ended:
                raise LineEnded
            self._send_on(now)
            if now - asked_at > ALIVE_S:
                asked_at = now
                self._still_ours()
            if not self.pktqueue and not (self._typed and self._under_way is None):
                self._rest(BUSY_S if now - self._moved_at < BUSY_FOR_S else IDLE_S)

    def type(self, data: bytes) -> bool:
        """Send this to the machine; False when too much waits already."""
        if sum(len(each) for each, _ in self._typed) + len(data) > TYPED_LIMIT:
            return False
        self._typed.append((data, 0))
        self._ring()
        return True

    def send_break(self) -> None:
        """The break signal, which a kernel takes for SysRq."""
        self._typed.append((b"", BREAK))
        self._ring()

    def hang_up(self) -> None:
        """Give the line and the session back; never raises."""
        with contextlib.suppress(Exception):
            if self.logged and not self.broken and self.sol_handler is not None:
                self.send_once(APPLICATION, DEACTIVATE, (*SOL, 0, 0, 0, 0), seconds=1.0)
            self.sol_handler = None
        with contextlib.suppress(Exception):
            self.end()

    def _activation(self) -> Answer:
        return self.ask(APPLICATION, ACTIVATE, (*SOL, PROTECTED, 0, 0, 0))

    def _still_ours(self) -> None:
        answer = self.ask(APPLICATION, INSTANCE_INFO, tuple(SOL))
        data = bytes(answer.get("data", b""))
        if not answer["code"] and len(data) >= 4 and struct.unpack_from("<I", data)[0] != self.sessionid:
            raise LineEnded

    def _ring(self) -> None:
        for bell in list(self._bells):
            bell.set()

    def _rest(self, seconds: float) -> None:
        self._bells.clear()
        pyghmi_session._io_wait(seconds, self.sockaddr, self._bells)

    def _silence(self) -> NoAnswer | Garbage:
        return NoAnswer()  # console packets are no answers, and no garbage either

    def _send_on(self, now: float) -> None:
        packet = self._under_way
        if packet is None and self._typed:
            self._number = self._number % 15 + 1
            self._under_way = packet = _Packet(self._number, *self._next_piece())
        if packet is None or now - packet.sent_at < RESEND_S:
            return
        if packet.tries >= TRIES:
            raise NoAnswer
        packet.tries += 1
        packet.sent_at = now
        self._moved_at = now
        self._put(bytes((packet.number, 0, 0, packet.operation)) + packet.data)

    def _next_piece(self) -> tuple[bytes, int]:
        """As much as fits into one packet, so that a pasted text is not sent letter by letter."""
        data, operation = self._typed.popleft()
        while not operation and len(data) < self._room and self._typed and not self._typed[0][1]:
            data += self._typed.popleft()[0]
        if len(data) > self._room:
            self._typed.appendleft((data[self._room :], 0))
            data = data[: self._room]
        return data, operation

    def _put(self, payload: bytes) -> None:
        """One packet, now: pyghmi would let it wait behind a question that is under way."""
        held = self.lastpayload, self.last_payload_type
        self.lastpayload = None
        self.send_payload(bytearray(payload), payload_type=SOL_PAYLOAD, retry=False, needskeepalive=True)  # type: ignore[no-untyped-call]
        self.lastpayload, self.last_payload_type = held

    def _got(self, payload: Any) -> None:
        """One packet from the BMC: something the machine said, or what became of what was typed."""
        if isinstance(payload, dict) or len(payload) < HEADER:
            self._ended = isinstance(payload, dict)
            return
        self._moved_at = time.monotonic()
        number, acknowledged, taken, status = payload[0] & 0x0F, payload[1] & 0x0F, payload[2], payload[3]
        data = bytes(payload[HEADER:])
        if number:
            again = number == self._last[0]
            fresh = data[self._last[1] :] if again else data
            self._last = (number, len(data))
            self._put(bytes((0, number, min(len(data), 255), 0)))
            if fresh:
                self._heard(fresh)
        if acknowledged:
            self._acknowledged(acknowledged, taken, status)
        if status & DEACTIVATED:
            self._ended = True

    def _acknowledged(self, number: int, taken: int, status: int) -> None:
        packet = self._under_way
        if packet is None or packet.number != number:
            return
        left = packet.data[taken:]
        if status & NACK and (left or packet.operation):
            # It could not take all of it; what is left is a new packet (15.9), a little later if it asks for time.
            self._number = self._number % 15 + 1
            again = _Packet(self._number, left, packet.operation)
            again.tries = packet.tries
            again.sent_at = time.monotonic() - (0 if status & UNAVAILABLE else RESEND_S)
            self._under_way = again
            return
        if left:
            self._typed.appendleft((left, 0))
        self._under_way = None
