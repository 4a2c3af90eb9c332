"""IPMI over LAN by pyghmi, kept away from what pyghmi does too well.

pyghmi repeats a command whose answer got lost, and a repeated power command acts twice: a `reset` with all replies
lost was carried out nine times in 62 s. So a command that changes something is sent with `retry=False`, once, and what
came of it is observed. Objects are not reused after an error: a session that broke stays broken.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from pyghmi.exceptions import IpmiException
from pyghmi.ipmi.command import Command

from pxeapp.bmc.errors import BmcConfused, BmcError, BmcRefused, BmcUnreachable, BmcWrongPassword
from pxeapp.bmc.ports import BootDevice, PowerState, Reading

# IPMI 2.0, table 28-1 and 28-14: netfn 0 is the chassis; boot flags are parameter 5 of its boot options.
CHASSIS = 0x00
GET_CHASSIS_STATUS = 0x01
CHASSIS_CONTROL = 0x02
SET_BOOT_OPTIONS = 0x08
GET_BOOT_OPTIONS = 0x09
BOOT_FLAGS = 0x05
FLAGS_VALID = 0x80
DEVICES: dict[BootDevice, int] = {"network": 0x04, "disk": 0x08}
CONTROL: dict[str, int] = {"off": 0x00, "on": 0x01}
# What pyghmi says when the BMC refused the login, in any of its spellings.
LOGIN_REFUSED = ("incorrect password", "unauthorized name", "rakp2", "rakp4", "password", "insufficient resources")
T = TypeVar("T")


class IpmiBmc:
    """One BMC over RMCP+; the session is opened at the first use and ended by `close`."""

    def __init__(self, address: str, port: int, username: str, password: str) -> None:
        self._address = address
        self._port = port
        self._username = username
        self._password = password
        self._command: Any = None  # pyghmi's Command; it carries no types

    def __repr__(self) -> str:
        return f"IpmiBmc({self.where})"

    @property
    def where(self) -> str:
        """Address and port, for sentences."""
        return f"{self._address}:{self._port}"

    def power_state(self) -> PowerState:
        """Read the chassis status; retried by pyghmi, which is harmless for a question."""
        data = self._ask("tell its power state", CHASSIS, GET_CHASSIS_STATUS)
        if not data:
            return "unknown"
        return "on" if data[0] & 1 else "off"

    def set_power(self, wanted: Literal["on", "off"]) -> None:
        """Send chassis control once; the answer may be lost and nothing is concluded from that."""
        self._send_once(f"go {wanted}", CHASSIS, CHASSIS_CONTROL, (CONTROL[wanted],))

    def set_boot_device(self, device: BootDevice) -> None:
        """Set the one-time boot flags (valid, this boot only)."""
        self._ask("set the boot device", CHASSIS, SET_BOOT_OPTIONS, (BOOT_FLAGS, FLAGS_VALID, DEVICES[device], 0, 0, 0))

    def boot_device(self) -> BootDevice | None:
        """Read the boot flags back; None where the BMC calls them invalid or cannot say."""
        try:
            data = self._ask("tell its boot device", CHASSIS, GET_BOOT_OPTIONS, (BOOT_FLAGS, 0, 0))
        except BmcRefused:
            return None
        if len(data) < 4 or data[1] & 0x80 or not data[2] & FLAGS_VALID:
            return None
        number = data[3] & 0b00111100
        return next((device for device, flags in DEVICES.items() if flags == number), None)

    def sensors(self) -> list[Reading]:
        """Every sensor with a value. pyghmi reads the sensor records first, which takes seconds."""
        return self._guard(
            lambda: [
                Reading(str(item.name), item.value, str(item.units or ""), not item.health)
                for item in self._session().get_sensor_data()
            ]
        )

    def close(self) -> None:
        """Log out; a BMC has few session slots and some keep a lost session for minutes."""
        command, self._command = self._command, None
        if command is not None:
            with contextlib.suppress(Exception):
                command.ipmi_session.logout()

    def _session(self) -> Any:
        if self._command is None:
            self._command = Command(  # type: ignore[no-untyped-call]
                bmc=self._address, userid=self._username, password=self._password, port=self._port, keepalive=False
            )
        return self._command

    def _ask(self, what: str, netfn: int, command: int, data: tuple[int, ...] = ()) -> bytes:
        answer = self._guard(lambda: self._session().raw_command(netfn=netfn, command=command, data=data))
        return self._checked(what, answer)

    def _send_once(self, what: str, netfn: int, command: int, data: tuple[int, ...]) -> None:
        self._guard(self._session)  # logging in may fail and be tried again; only what follows is sent once
        try:
            answer = self._guard(
                lambda: self._session().raw_command(netfn=netfn, command=command, data=data, retry=False)
            )
        except (BmcUnreachable, BmcConfused):
            return
        if answer and "error" in answer and answer.get("code"):
            self._checked(what, answer)

    def _checked(self, what: str, answer: dict[str, Any] | None) -> bytes:
        if not answer:
            return b""
        if "error" in answer:
            raise BmcRefused(self.where, what, str(answer["error"]))
        return bytes(answer.get("data", b""))

    def _guard(self, work: Callable[[], T]) -> T:
        """Turn whatever pyghmi raises into one of our errors, and drop the session: it may be broken for good."""
        started = time.monotonic()
        try:
            return work()
        except BmcError:
            raise
        except IpmiException as error:
            self._drop()
            text = str(error).lower()
            if any(sign in text for sign in LOGIN_REFUSED):
                raise BmcWrongPassword(self.where, self._username) from None
            raise BmcUnreachable(self.where, time.monotonic() - started) from None
        except OSError as error:
            self._drop()
            raise BmcUnreachable(self.where, time.monotonic() - started) from error
        except (struct.error, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError) as error:
            # pyghmi decodes without checking: garbage shows up as any of these.
            self._drop()
            raise BmcConfused(self.where, type(error).__name__) from error

    def _drop(self) -> None:
        self._command = None
