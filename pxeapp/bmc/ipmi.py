"""IPMI over LAN. A command that changes something is one packet; what came of it is observed, never assumed.

pyghmi's own `set_power` repeats a command whose answer got lost, and a repeated power command acts twice: a `reset`
with all replies lost was carried out nine times in 62 s. Sessions are not reused after an error.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from pyghmi.exceptions import IpmiException
from pyghmi.ipmi.command import Command
from pyghmi.ipmi.private.util import get_ipmi_error

from pxeapp.bmc.errors import (
    BmcBusy,
    BmcConfused,
    BmcError,
    BmcNoCipherSuite,
    BmcRefused,
    BmcUnreachable,
    BmcWrongPassword,
)
from pxeapp.bmc.ports import BootDevice, PowerState, Reading
from pxeapp.bmc.rmcp import SUITES, Answer, Garbage, LoginRefused, NoAnswer, RmcpSession
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

    def sensors(self) -> list[Reading]:
        """Every sensor with a value. The sensor records are read first, which takes seconds."""
        found = self._guard(self._sensor_data)
        return [Reading(str(item.name), item.value, str(item.units or ""), healthy=not item.health) for item in found]

    def _sensor_data(self) -> list[Any]:
        reader: Any = _Reader(self._session())
        try:
            return list(reader.get_sensor_data())
        except IpmiException as refusal:
            raise BmcRefused(self.where, "list its sensors", str(refusal)) from None

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


class _Reader(Command):
    """pyghmi's reader of sensor records over a session of ours (its own constructor would make another session)."""

    def __init__(self, session: RmcpSession) -> None:
        vars(self).update(
            bmc=session.bmc, ipmi_session=session, onlogon=None, certverify=None, kwargs={}, _sdr=None,
            _sdrcachedir=None, _oem=None, _oemknown=False, _netchannel=None, _ipv6support=None,
        )  # fmt: skip

    def raw_command(self, netfn: int, command: int, data: Any = (), **_: Any) -> Answer:  # type: ignore[override]
        """One question, with pyghmi's own note of a refusal."""
        session: Any = self.ipmi_session
        answer = session.ask(netfn, command, tuple(data))
        refusal = get_ipmi_error(answer)  # type: ignore[no-untyped-call]
        return {**answer, "error": refusal} if refusal else dict(answer)

    def xraw_command(self, netfn: int, command: int, data: Any = (), **_: Any) -> Answer:  # type: ignore[override]
        """One question; a refusal is raised, as its callers expect."""
        answer = self.raw_command(netfn, command, data)
        if "error" in answer:
            raise IpmiException(answer["error"], answer["code"])  # type: ignore[no-untyped-call]
        return {**answer, "data": memoryview(answer["data"])}
