"""IPMI over LAN. A command that changes something is one packet; what came of it is observed, never assumed.

pyghmi's own `set_power` repeats a command whose answer got lost, and a repeated power command acts twice: a `reset`
with all replies lost was carried out nine times in 62 s. Sessions are not reused after an error.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Literal, TypeVar

from pyghmi.exceptions import IpmiException
from pyghmi.ipmi.private.util import get_ipmi_error

from pxeapp.bmc import ipmi_reader
from pxeapp.bmc.errors import (
    BmcBusy,
    BmcConfused,
    BmcConsoleEnded,
    BmcConsoleHeld,
    BmcError,
    BmcNoCipherSuite,
    BmcRefused,
    BmcUnreachable,
    BmcWrongPassword,
)
from pxeapp.bmc.ipmi_reader import Reader
from pxeapp.bmc.ports import BootDevice, PowerState
from pxeapp.bmc.readings import Device, EventLog, Identity, Override, Reading
from pxeapp.bmc.rmcp import SUITES, Answer, Garbage, LoginRefused, NoAnswer, RmcpSession
from pxeapp.bmc.sol import LineEnded, LineRefused, SolSession
from pxeapp.errors import FieldProblem, Invalid

# IPMI 2.0 section 28: netfn 0 is the chassis; boot flags are parameter 5 of its boot options (table 28-14).
CHASSIS = 0x00
GET_CHASSIS_STATUS = 0x01
CHASSIS_CONTROL = 0x02
CHASSIS_IDENTIFY = 0x04
SET_BOOT_OPTIONS = 0x08
GET_BOOT_OPTIONS = 0x09
BOOT_FLAG_CLEARING = 0x03
KEEP_FLAGS_FOR_A_MINUTE_AND_MORE = 0x08  # else some BMCs drop the flags 60 s later, while the machine still self-tests
BOOT_FLAGS = 0x05
FLAGS_VALID = 0x80
FLAGS_UEFI = 0x20
DEVICES: dict[BootDevice, int] = {"network": 0x04, "disk": 0x08}
# As operators choose them; a CD drive and the firmware's own setup are never a part of a deployment.
OVERRIDES: dict[Device, int] = {"none": 0x00, "network": 0x04, "disk": 0x08, "cdrom": 0x14, "setup": 0x18}
FLAGS_PERSISTENT = 0x40
CONTROL: dict[Literal["on", "off"], int] = {"off": 0x00, "on": 0x01}
SEND_S = 3.0  # how long the answer to a command is waited for; then the observation must tell
T = TypeVar("T")


class IpmiBmc:
    """One BMC over RMCP+; the session is opened at the first use and ended by `close`.

    `suite` is 3 (SHA-1), 17 (SHA-256), or None: 17, and 3 where the BMC refuses it.
    """

    def __init__(self, address: str, port: int, username: str, password: str, *, suite: int | None = None) -> None:
        if suite is not None and suite not in SUITES:
            fix = "Use 3 or 17, or leave it empty."
            raise Invalid(
                f"IPMI cipher suite {suite} is not supported; it would not encrypt, or not authenticate, properly.",
                problems=[FieldProblem("bmc.cipher_suite", f"{suite} is not supported.", fix)],
                hint=fix,
            )
        self._address = address
        self._port = port
        self._username = username
        self._password = password
        self._suite = suite
        self._open: RmcpSession | None = None

    def __repr__(self) -> str:
        return f"IpmiBmc({self.where})"

    @property
    def where(self) -> str:
        """Address and port, for sentences."""
        return f"{self._address}:{self._port}"

    def power_state(self) -> PowerState:
        """Read the chassis status; repeated while no answer comes, which is harmless for a question."""
        data = self._ask("tell its power state", GET_CHASSIS_STATUS)
        if not data:
            return "unknown"
        return "on" if data[0] & 1 else "off"

    def set_power(self, wanted: Literal["on", "off"]) -> bool:
        """Send chassis control once. False when no answer came: nothing is concluded from that."""
        return self._send_once(f"go {wanted}", CHASSIS_CONTROL, (CONTROL[wanted],))

    def set_boot_device(self, device: BootDevice, *, uefi: bool = False) -> bool:
        """Set the one-time boot flags, sent once. False when no answer came."""
        with contextlib.suppress(BmcRefused):  # optional in the standard; many BMCs have no such timer
            self._ask("keep boot flags", SET_BOOT_OPTIONS, (BOOT_FLAG_CLEARING, KEEP_FLAGS_FOR_A_MINUTE_AND_MORE))
        flags = FLAGS_VALID | (FLAGS_UEFI if uefi else 0)
        return self._send_once(f"boot from {device}", SET_BOOT_OPTIONS, (BOOT_FLAGS, flags, DEVICES[device], 0, 0, 0))

    def boot_device(self) -> BootDevice | None:
        """Read the boot flags back; None where the BMC calls them invalid or cannot say."""
        try:
            data = self._ask("tell its boot device", GET_BOOT_OPTIONS, (BOOT_FLAGS, 0, 0))
        except BmcRefused:
            return None
        if len(data) < 4 or data[1] & 0x80 or not data[2] & FLAGS_VALID:
            return None
        number = data[3] & 0b00111100
        return next((device for device, flags in DEVICES.items() if flags == number), None)

    def identify(self, seconds: int) -> None:
        """Blink the chassis light for up to 255 s; 0 ends it."""
        self._ask("blink its light", CHASSIS_IDENTIFY, (max(0, min(seconds, 255)),))

    def override(self) -> Override | None:
        """Read the boot flags as an operator sees them; None where the BMC calls them invalid or cannot say."""
        try:
            data = self._ask("tell its boot device", GET_BOOT_OPTIONS, (BOOT_FLAGS, 0, 0))
        except BmcRefused:
            return None
        if len(data) < 4 or data[1] & 0x80:
            return None
        if not data[2] & FLAGS_VALID:
            return Override("none")
        number = data[3] & 0b00111100
        device = next((device for device, flags in OVERRIDES.items() if flags == number), None)
        if device is None:
            return None
        return Override(device, bool(data[2] & FLAGS_PERSISTENT), bool(data[2] & FLAGS_UEFI))

    def set_override(self, wanted: Override) -> bool:
        """Set the boot flags, once or for good, sent once. False when no answer came."""
        flags = 0
        if wanted.device != "none":
            flags = FLAGS_VALID | (FLAGS_PERSISTENT if wanted.persistent else 0) | (FLAGS_UEFI if wanted.uefi else 0)
        data = (BOOT_FLAGS, flags, OVERRIDES[wanted.device], 0, 0, 0)
        return self._send_once(f"boot from {wanted.device}", SET_BOOT_OPTIONS, data)

    def sensors(self) -> list[Reading]:
        """Every sensor. The sensor records are read first, which takes seconds."""
        return self._read("list its sensors", ipmi_reader.sensors)

    def event_log(self) -> EventLog:
        """Every record of its event log."""
        return self._read("show its event log", ipmi_reader.event_log)

    def clear_event_log(self, read: EventLog) -> bool:
        """Empty the log if nothing was added since it was read."""
        return self._read("clear its event log", lambda reader: ipmi_reader.clear_event_log(reader, read))

    def identity(self) -> Identity:
        """Its firmware and what it calls the machine."""
        return self._read("say what it is", ipmi_reader.identity)

    def serial_line(self, heard: Callable[[bytes], None], *, take: bool = False) -> IpmiLine:
        """Serial over LAN, in a session of its own."""

        def open_() -> SolSession:
            return SolSession(self._address, self._port, self._username, self._password, suite=self._suite, heard=heard)

        session = self._guard(open_)
        try:
            self._guard(lambda: session.activate(take=take))
        except BmcError:
            session.hang_up()
            raise
        return IpmiLine(self, session)

    def line_error(self, trouble: Exception, started: float) -> BmcError:
        """Why a console is over, as one of our errors."""
        if isinstance(trouble, LineRefused):
            return (
                BmcConsoleHeld(self.where) if trouble.held else BmcRefused(self.where, "open a console", str(trouble))
            )
        if isinstance(trouble, LineEnded):
            return BmcConsoleEnded(self.where)
        if isinstance(trouble, NoAnswer | IpmiException | OSError):
            return BmcUnreachable(self.where, time.monotonic() - started)
        return BmcConfused(self.where, str(trouble) if isinstance(trouble, Garbage) else type(trouble).__name__)

    def _read(self, what: str, work: Callable[[Reader], T]) -> T:
        def ask() -> T:
            reader = Reader(self._session())
            try:
                return work(reader)
            except IpmiException as refusal:
                raise BmcRefused(self.where, what, str(refusal)) from None

        return self._guard(ask)

    def close(self) -> None:
        """Log out; a BMC has few session slots and some keep a lost session for minutes."""
        session, self._open = self._open, None
        if session is not None:
            try:
                session.end()
            except Exception:  # noqa: BLE001 - it is over either way
                session.abandon()

    def _session(self) -> RmcpSession:
        if self._open is None:
            self._open = RmcpSession(self._address, self._port, self._username, self._password, suite=self._suite)
        return self._open

    def _ask(self, what: str, command: int, data: tuple[int, ...] = ()) -> bytes:
        return self._checked(what, self._guard(lambda: self._session().ask(CHASSIS, command, data)))

    def _send_once(self, what: str, command: int, data: tuple[int, ...]) -> bool:
        session = self._guard(self._session)  # logging in may be tried again; only what follows is sent once
        try:
            answer = self._guard(lambda: session.send_once(CHASSIS, command, data, seconds=SEND_S))
        except (BmcUnreachable, BmcConfused):
            answer = None
        if answer is None:
            self._drop()  # a late answer must not be taken for the answer to the next question
            return False
        self._checked(what, answer)
        return True

    def _checked(self, what: str, answer: Answer) -> bytes:
        refusal = get_ipmi_error(answer)  # type: ignore[no-untyped-call]
        if refusal:
            raise BmcRefused(self.where, what, str(refusal))
        return bytes(answer.get("data", b""))

    def _guard(self, work: Callable[[], T]) -> T:
        """Turn what went wrong below into one of our errors, and drop the session: it may be broken for good."""
        started = time.monotonic()
        try:
            return work()
        except BmcError:
            raise
        except LineRefused as refusal:
            raise self.line_error(refusal, started) from None
        except LoginRefused as refusal:
            self._drop()
            raise self._login_error(str(refusal)) from None
        except Garbage as garbage:
            self._drop()
            raise BmcConfused(self.where, str(garbage)) from None
        except (NoAnswer, IpmiException, OSError):
            self._drop()
            raise BmcUnreachable(self.where, time.monotonic() - started) from None
        except Exception as error:
            # pyghmi decodes without checking: garbage shows up as struct.error, IndexError and others.
            self._drop()
            raise BmcConfused(self.where, type(error).__name__) from error

    def _login_error(self, text: str) -> BmcError:
        said = text.lower()
        for signs, make in self._login_refusals():
            if any(sign in said for sign in signs):
                return make(text)
        return BmcRefused(self.where, "log us in", text)

    def _login_refusals(self) -> tuple[tuple[tuple[str, ...], Callable[[str], BmcError]], ...]:
        """RMCP+ status codes (IPMI 2.0 table 13-15) in pyghmi's words, and what each means for the operator."""
        return (
            (("insufficient resources",), lambda _: BmcBusy(self.where)),
            (
                (
                    "cipher suite",
                    "integrity algorithm",
                    "authentication algorithm",
                    "confidentiality",
                    "integrity payload",
                ),
                lambda _: BmcNoCipherSuite(self.where, self._suite),
            ),
            (
                (
                    "incorrect password",
                    "unauthorized name",
                    "username length",
                    "integrity check value",
                    "rakp4 integrity",
                ),
                lambda _: BmcWrongPassword(self.where, self._username),
            ),
        )

    def _drop(self) -> None:
        session, self._open = self._open, None
        if session is not None:
            session.abandon()


class IpmiLine:
    """An open console over IPMI."""

    def __init__(self, bmc: IpmiBmc, session: SolSession) -> None:
        self._bmc = bmc
        self._session = session

    @property
    def alive_at(self) -> float:
        """When its thread last came by."""
        return self._session.alive_at

    def run(self, stop: Callable[[], bool]) -> None:
        """Until `stop`, or until the line is lost."""
        started = time.monotonic()
        try:
            self._session.run(stop)
        except Exception as trouble:  # noqa: BLE001 - pyghmi decodes without checking
            raise self._bmc.line_error(trouble, started) from None

    def type(self, data: bytes) -> bool:
        """Send this to the machine."""
        return self._session.type(data)

    def send_break(self) -> None:
        """Send the break signal."""
        self._session.send_break()

    def close(self) -> None:
        """Give the line back."""
        self._session.hang_up()
