"""What we ask of a BMC: one small port per capability. A driver implements what its BMC can do.

Every method answers or raises a BmcError within the timeout that its driver was made with.
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
        """`on`, `off`, or `unknown` when the BMC answers neither. Reading has no effect and may be repeated."""

    def set_power(self, wanted: Literal["on", "off"]) -> None:
        """Send the command exactly once. Returning means it was sent, not that it happened: observe.

        Raises BmcRefused when the BMC says no. A lost answer is not an error here: nobody knows what it means.
        """


@runtime_checkable
class BootDeviceSetting(Protocol):
    """The device that the next boot, and only the next, starts from."""

    def set_boot_device(self, device: BootDevice) -> None:
        """Ask for a one-time boot device; idempotent."""

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
        """Every reading that the BMC offers; slow (seconds) on old BMCs."""


@runtime_checkable
class Closable(Protocol):
    """A driver with a session to end."""

    def close(self) -> None:
        """End the session; never raises."""


class Driver(Power, BootDeviceSetting, Closable, Protocol):
    """What a power action needs."""
