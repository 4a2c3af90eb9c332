"""What we ask of a BMC: one small port per capability. A driver implements what its BMC can do.

Every method answers or raises a BmcError (bmc/errors.py) within some ten seconds. A driver is used by one thread at a
time, and not again after it raised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

PowerState = Literal["on", "off", "unknown"]
BootDevice = Literal["network", "disk"]


@runtime_checkable
class Power(Protocol):
    """The chassis' power."""

    def power_state(self) -> PowerState:
        """`on`: the host has power. `off`: it has not. `unknown`: the BMC answered neither (it may be in between).

        Reading has no effect and may be repeated.
        """

    def set_power(self, wanted: Literal["on", "off"]) -> bool:
        """Send the command exactly once; `off` is the hard one. True: the BMC took it; it need not have happened yet.

        False: no answer came, and nobody knows whether it arrived. Either way: observe. Raises BmcRefused when the
        BMC says no, and BmcUnreachable or BmcWrongPassword when it could not even be sent.
        """


@runtime_checkable
class BootDeviceSetting(Protocol):
    """The device that the next boot, and only the next, starts from."""

    def set_boot_device(self, device: BootDevice, *, uefi: bool = False) -> bool:
        """Ask once for a one-time boot device, for UEFI or BIOS boot. False when no answer came; idempotent."""

    def boot_device(self) -> BootDevice | None:
        """What is set now; None when the BMC cannot tell (many answer with an empty or invalid parameter)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One sensor: value in the unit named, and whether the BMC calls it healthy."""

    name: str
    value: float | None
    unit: str
    healthy: bool


@runtime_checkable
class Sensors(Protocol):
    """Temperatures, fans, voltages."""

    def sensors(self) -> list[Reading]:
        """Every reading that the BMC offers; slow (seconds) on old BMCs. An empty list: it offers none."""


@runtime_checkable
class Identify(Protocol):
    """The light that tells a technician which chassis is meant."""

    def identify(self, seconds: int) -> None:
        """Blink for up to 255 s; 0 ends it. Idempotent."""


@runtime_checkable
class Closable(Protocol):
    """A driver with a session to end."""

    def close(self) -> None:
        """End the session; never raises, may be repeated."""


class Driver(Power, BootDeviceSetting, Closable, Protocol):
    """What a power action needs."""
