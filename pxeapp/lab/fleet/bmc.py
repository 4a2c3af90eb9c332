"""One simulated BMC: what it answers, what it does to its machine, and the illnesses that real ones have.

It never reads a clock or a socket: the fleet hands it packets and sends what it says (see bmcs.py).
"""

from __future__ import annotations

import hmac
import logging
import os
import struct
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from pxeapp.lab.fleet import bmc_wire as wire
from pxeapp.lab.fleet.bmc_wire import Malformed, Request, Session
from pxeapp.lab.fleet.serial_line import SerialLine

Illness = Literal[
    "answering",  # well
    "silent",  # no answer to anything
    "refusing",  # answers questions, and says no to every command
    "lying",  # takes commands, says so, and does nothing
    "deaf",  # answers questions; commands never reach it
    "losing_one_reply",  # carries out the next command, but its answer is lost; then it is well
    "losing_replies",  # carries out every command, but no answer to a command arrives
    "dying_after_command",  # carries out the next command and is silent from then on
    "flapping",  # says another power state each time
    "hanging",  # lets everybody log in, and answers nothing within the session
    "garbage",  # answers everything with what is no packet
    "babbling",  # lets everybody log in, and answers each question with nothing
    "wrong_password",  # knows another password than we do
    "suite3_only",  # an old one: refuses every cipher suite but 3
    "busy",  # no free session
    "slow",  # each answer takes a second
    "no_console",  # knows nothing of serial over LAN
]
Address = tuple[str, int]
SLOW_S = 1.0
IDLE_S = 60.0  # a session that was not used for this long is ended (section 6.12.15)
LOGIN_S = 10.0  # one that was opened and not logged into

CHASSIS, APPLICATION = 0x00, 0x06
OK, NO_SUCH_COMMAND, NO_SUCH_PARAMETER, NOT_NOW, NOT_ALLOWED = 0x00, 0xC1, 0x80, 0xD5, 0xD4
NO_RESOURCES, UNKNOWN_SESSION, UNKNOWN_NAME, WRONG_SIGNATURE, NO_SUITE = 0x01, 0x02, 0x0D, 0x0F, 0x11  # RMCP+
CONTROLS = {0: "off", 1: "on", 2: "cycle", 3: "reset", 4: "diagnostics", 5: "soft"}
DEVICES = {0x04: "network", 0x08: "disk"}
BOOT_FLAGS = 5
SOL_PAYLOAD = b"\x01\x01"  # the first and only console
ACCEPTED_PARAMETERS = {0, 3, 4}  # set in progress, flag clearing, acknowledge: taken, and without effect here
VALID, UEFI = 0x80, 0x20
AUTHENTICATION = bytes((1, 0x80, 0x04, 0x02)) + bytes(4)  # channel 1, RMCP+ offered, user names, IPMI 2.0
CIPHER_SUITES = bytes((1, 0xC0, 3, 0x01, 0x41, 0x81, 0xC0, 17, 0x03, 0x44, 0x81))
DEVICE_ID = bytes((0x20, 1, 1, 0, 2, 0x80)) + bytes(9)  # a chassis device of IPMI 2.0
NONSENSE = (
    wire.RMCP_IPMI + b"\x06\x11",
    wire.RMCP_IPMI + bytes(range(60)),
    wire.RMCP_IPMI + b"\x06\xc0" + b"\xff" * 14,
)
log = logging.getLogger(__name__)


class Received(NamedTuple):
    """One command that reached a BMC: when by the monotonic clock, in which session, and what."""

    at: float
    session: int
    what: str


class Surroundings(Protocol):
    """What a BMC needs of the fleet that it lives in."""

    def now(self) -> float:
        """The monotonic clock."""

    def send(self, bmc: SimulatedBmc, packet: bytes, to: Address) -> None:
        """Let a packet leave from the BMC's port."""

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something after some time."""

    def soon(self, what: Callable[[], None]) -> None:
        """Do something in the fleet's thread; from any."""

    def switched(self, bmc: SimulatedBmc, *, power: bool) -> None:
        """Tell whoever plays the machine that it was really switched."""


class SimulatedBmc:
    """A BMC and its own record of what reached it; every attribute may be set at any time, from any thread."""

    def __init__(self, name: str, where: Address, *, username: str, password: str, around: Surroundings) -> None:
        self.name = name
        self.address, self.port = where
        self.power = False
        self.boot_device: str | None = None  # for the next boot only: network, disk
        self.booted_from: str | None = None  # what was set when it was last switched on
        self.illness: Illness = "answering"
        self.takes_s = 0.0  # until a power command takes effect
        self.reply_after_s = 0.0
        self.slots = 16  # sessions at once
        self.received: list[Received] = []
        self.logins: list[float] = []  # when somebody asked for a session
        self.packets = 0
        self.overlaps = 0  # commands that came while the one before was still unanswered
        self._uefi = False
        self._said = False
        self._answering = 0
        self._sessions: dict[int, Session] = {}
        self._username = username.encode()
        self._password = password.encode()
        self._guid = wire.guid_of(name)
        self._around = around
        self._line = SerialLine(self, self.port)

    def __repr__(self) -> str:
        return f"SimulatedBmc({self.name}, {self.address}:{self.port}, {self.illness})"

    @property
    def sessions(self) -> int:
        """How many sessions it holds for others now."""
        self._forget_idle()
        return len(self._sessions)

    @property
    def typed(self) -> bytes:
        """What was typed on its machine's console."""
        return bytes(self._line.typed)

    def echoes(self, *, yes: bool) -> None:
        """Whether what is typed comes back, as from a running system; from its machine's thread."""
        self._line.echoes = yes

    def says(self, text: bytes) -> None:
        """Let its machine say something on the serial port; from any thread."""
        self._around.soon(lambda: self._line.say(text))

    def put(self, session: Session, payload: bytes, client: Address) -> None:
        """Send a packet of the console."""
        if self.illness not in ("silent", "hanging"):
            self._reply(session.write(payload, wire.SOL), client)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something after some time; for the console."""
        self._around.later(seconds, what)

    def commands(self) -> list[str]:
        """What it was told, in order."""
        return [received.what for received in list(self.received)]

    def receive(self, packet: bytes, client: Address) -> None:
        """Take one packet; what is malformed is not answered."""
        self.packets += 1
        if self.illness == "silent":
            return
        if self.illness == "garbage":
            self._reply(NONSENSE[self.packets % len(NONSENSE)], client)
            return
        try:
            if packet[:4] == wire.RMCP_IPMI and packet[4] == wire.RMCPP:
                self._rmcpp(packet, client)
            elif packet[:4] == wire.RMCP_IPMI and packet[4] == wire.IPMI15:
                request = wire.parse(wire.open_ipmi15(packet))
                self._reply(wire.wrap_ipmi15(wire.answer(request, *self._before_login(request))), client)
            elif packet[:4] == wire.RMCP_ASF:
                pong = wire.asf_pong(packet)
                if pong is not None:
                    self._reply(pong, client)
        except (Malformed, IndexError, struct.error):
            return

    # --- logging in ---------------------------------------------------------------------------------------------------

    def _before_login(self, request: Request) -> tuple[int, bytes]:
        if (request.netfn, request.command) == (APPLICATION, 0x38):
            return OK, AUTHENTICATION
        if (request.netfn, request.command) == (APPLICATION, 0x54):
            first = len(request.data) < 3 or request.data[2] & 0x3F == 0
            return OK, CIPHER_SUITES if first else CIPHER_SUITES[:1]
        return NO_SUCH_COMMAND, b""

    def _rmcpp(self, packet: bytes, client: Address) -> None:
        parts = wire.open_rmcpp(packet)
        if parts.kind == wire.IPMI and parts.session == 0:
            request = wire.parse(parts.payload)
            self._reply(wire.wrap_plain(wire.IPMI, wire.answer(request, *self._before_login(request))), client)
            return
        if parts.kind == wire.IPMI:
            session = self._sessions.get(parts.session)
            if session is None:
                raise Malformed
            self._in_session(session, wire.parse(session.read(packet, parts)), client)
            return
        if parts.kind == wire.SOL:
            session = self._sessions.get(parts.session)
            if session is None or not session.established:
                raise Malformed
            session.last_used = self._around.now()
            self._line.receive(session, session.read(packet, parts), client)
            return
        logins = {
            wire.OPEN_REQUEST: (wire.OPEN_RESPONSE, self._open),
            wire.RAKP1: (wire.RAKP2, self._rakp1),
            wire.RAKP3: (wire.RAKP4, self._rakp3),
        }
        if parts.kind not in logins:
            raise Malformed
        kind, work = logins[parts.kind]
        self._reply(wire.wrap_plain(kind, work(parts.payload)), client)

    def _open(self, asked: bytes) -> bytes:
        self.logins.append(self._around.now())
        self._forget_idle()
        (console,) = struct.unpack_from("<I", asked, 4)
        number = wire.BY_ALGORITHMS.get((asked[12], asked[20], asked[28]))
        if number is None or (number != 3 and self.illness == "suite3_only"):
            return bytes((asked[0], NO_SUITE, 0, 0)) + asked[4:8]
        if self.illness == "busy" or len(self._sessions) >= self.slots:
            return bytes((asked[0], NO_RESOURCES, 0, 0)) + asked[4:8]
        ours = 0
        while ours == 0 or ours in self._sessions:
            ours = int.from_bytes(os.urandom(4), "little")
        self._sessions[ours] = Session(ours, console, wire.SUITES[number], self._around.now(), os.urandom(16))
        return bytes((asked[0], OK, 4, 0)) + struct.pack("<II", console, ours) + asked[8:32]

    def _rakp1(self, asked: bytes) -> bytes:
        session = self._logging_in(asked)
        if session is None:
            return bytes((asked[0], UNKNOWN_SESSION, 0, 0)) + bytes(4)
        session.their_random = asked[8:24]
        session.role = asked[24]
        session.user = asked[28 : 28 + asked[27]]
        console = struct.pack("<I", session.console)
        if session.user != self._username:
            return bytes((asked[0], UNKNOWN_NAME, 0, 0)) + console
        proof = session.challenge(self._secret(), self._guid)
        return bytes((asked[0], OK, 0, 0)) + console + session.random + self._guid + proof

    def _rakp3(self, asked: bytes) -> bytes:
        session = self._logging_in(asked)
        if session is None or not session.user:
            return bytes((asked[0], UNKNOWN_SESSION, 0, 0)) + bytes(4)
        console = struct.pack("<I", session.console)
        if asked[1] != OK or not hmac.compare_digest(session.proof(self._secret()), asked[8:]):
            del self._sessions[session.number]
            return bytes((asked[0], WRONG_SIGNATURE, 0, 0)) + console
        session.last_used = self._around.now()
        return bytes((asked[0], OK, 0, 0)) + console + session.establish(self._secret(), self._guid)

    def _logging_in(self, asked: bytes) -> Session | None:
        session = self._sessions.get(struct.unpack_from("<I", asked, 4)[0])
        return None if session is None or session.established else session

    def _secret(self) -> bytes:
        return b"another" if self.illness == "wrong_password" else self._password

    def _forget_idle(self) -> None:
        now = self._around.now()
        for number, session in list(self._sessions.items()):
            if now - (session.last_used or session.began) > (IDLE_S if session.established else LOGIN_S):
                self._sessions.pop(number, None)

    # --- within a session ---------------------------------------------------------------------------------------------

    def _in_session(self, session: Session, request: Request, client: Address) -> None:
        session.last_used = self._around.now()
        if request.netfn == APPLICATION:
            code, data = self._application(session, request, client)
            self._reply(session.write(wire.answer(request, code, data)), client)
            if request.command == 0x3C:
                self._sessions.pop(session.number, None)
            return
        if self.illness == "hanging":
            return
        what = _command(request)
        if what:
            self._commanded(session, request, what, client)
            return
        code, data = self._question(request)
        if self.illness == "babbling":
            code, data = OK, b""
        self._reply(session.write(wire.answer(request, code, data)), client)

    def _application(self, session: Session, request: Request, client: Address) -> tuple[int, bytes]:
        if request.command == 0x01:
            return OK, DEVICE_ID
        if request.command == 0x3B:
            return OK, bytes((request.data[0] or session.role & 0x0F,))
        if request.command == 0x3C:
            return OK, b""
        if self.illness != "no_console" and request.data[:2] == SOL_PAYLOAD:
            if request.command == 0x48:
                return self._line.activate(session, client, alive=lambda other: other.number in self._sessions)
            if request.command == 0x49:
                return self._line.deactivate(), b""
            if request.command == 0x4B:
                return OK, struct.pack("<I", self._line.holder()) + bytes(8)
        return self._before_login(request)

    def _question(self, request: Request) -> tuple[int, bytes]:
        if request.netfn != CHASSIS:
            return NO_SUCH_COMMAND, b""
        if request.command == 0x01:
            power = self.power
            if self.illness == "flapping":
                power = self._said = not self._said
            return OK, bytes((0x40 | power, 0, 0x40, 0))
        if request.command == 0x08 and request.data[0] & 0x7F in ACCEPTED_PARAMETERS:
            return OK, b""
        if request.command == 0x09:
            return self._boot_options(request.data[0] & 0x7F)
        return (NO_SUCH_PARAMETER if request.command == 0x08 else NO_SUCH_COMMAND), b""

    def _boot_options(self, parameter: int) -> tuple[int, bytes]:
        if parameter != BOOT_FLAGS:
            return NO_SUCH_PARAMETER, b""
        flags = next((flags for flags, device in DEVICES.items() if device == self.boot_device), 0)
        return OK, bytes((1, BOOT_FLAGS, VALID | (UEFI if self._uefi else 0) if flags else 0, flags, 0, 0, 0))

    def _commanded(self, session: Session, request: Request, what: str, client: Address) -> None:
        illness = self.illness
        if illness == "deaf":
            return
        self.overlaps += self._answering > 0
        self.received.append(Received(self._around.now(), session.number, what))
        code = NOT_ALLOWED if illness == "refusing" else OK
        if illness not in ("refusing", "lying"):
            code = self._do(what)
        if illness == "losing_one_reply":
            self.illness = "answering"
        elif illness == "dying_after_command":
            self.illness = "silent"
        if illness in ("losing_one_reply", "losing_replies", "dying_after_command"):
            return
        self._answering += 1
        self._reply(session.write(wire.answer(request, code)), client, then=self._answered)

    def _answered(self) -> None:
        self._answering -= 1

    def _do(self, what: str) -> int:
        verb, *how = what.split()
        if verb == "boot":
            self.boot_device = how[0] if how[0] in DEVICES.values() else None
            self._uefi = "uefi" in how
        elif verb == "power":
            if how[0] in ("cycle", "reset", "diagnostics") and not self.power:
                return NOT_NOW
            for wanted in {"on": (True,), "off": (False,), "soft": (False,), "diagnostics": ()}.get(
                how[0], (False, True)
            ):
                self._follow(wanted=wanted)
        return OK

    def _follow(self, *, wanted: bool) -> None:
        if self.takes_s:
            self._around.later(self.takes_s, lambda: self._switch(wanted=wanted))
        else:
            self._switch(wanted=wanted)

    def _switch(self, *, wanted: bool) -> None:
        if wanted == self.power:
            return
        self.power = wanted
        if wanted:
            self.booted_from, self.boot_device = self.boot_device, None
        self._around.switched(self, power=wanted)

    def _reply(self, packet: bytes, client: Address, *, then: Callable[[], None] = lambda: None) -> None:
        after = self.reply_after_s + (SLOW_S if self.illness == "slow" else 0.0)

        def leave() -> None:
            self._around.send(self, packet, client)
            then()

        if after:
            self._around.later(after, leave)
        else:
            leave()


def _command(request: Request) -> str:
    """The words for a request that changes something; empty for one that only asks."""
    if request.netfn != CHASSIS:
        return ""
    if request.command == 0x02:
        return f"power {CONTROLS.get(request.data[0] & 0x0F, 'nonsense')}"
    if request.command == 0x04:
        return f"identify {request.data[0] if request.data else 15}"
    if request.command == 0x08 and request.data[0] & 0x7F == BOOT_FLAGS:
        device = DEVICES.get(request.data[2] & 0x3C, "default") if request.data[1] & VALID else "default"
        return f"boot {device}{' uefi' if request.data[1] & UEFI else ''}"
    return ""
