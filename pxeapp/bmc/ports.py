"""What we ask of a BMC: one small port per capability. A driver implements what its BMC can do.

Every method answers or raises a BmcError (bmc/errors.py) within some ten seconds. A driver is used by one thread at a
time, and not again after it raised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

from pxeapp.bmc.readings import EventLog, Identity, Override, Reading

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


@runtime_checkable
class Sensors(Protocol):
    """Temperatures, fans, voltages, and what is only well or not."""

    def sensors(self) -> list[Reading]:
        """Every reading that the BMC offers; slow (seconds) on old BMCs. An empty list: it offers none."""


@runtime_checkable
class Sel(Protocol):
    """The system event log, which the BMC keeps even while the machine is off."""

    def event_log(self) -> EventLog:
        """Everything that is in it, the oldest first. Reading has no effect and may be repeated; it takes seconds."""

    def clear_event_log(self, read: EventLog) -> bool:
        """Empty it if it is still what `read` holds; False, and nothing is lost, when an event came in between."""


@runtime_checkable
class BootOverride(Protocol):
    """The boot device as operators set it: for the next boot, or for every one."""

    def override(self) -> Override | None:
        """What is set now; None when the BMC cannot tell."""

    def set_override(self, wanted: Override) -> bool:
        """Ask once. False when no answer came; idempotent, so it may be asked again."""


@runtime_checkable
class Who(Protocol):
    """Whose BMC it is, and which firmware it runs."""

    def identity(self) -> Identity:
        """What it says of itself; an old one says little."""


@runtime_checkable
class Identify(Protocol):
    """The light that tells a technician which chassis is meant."""

    def identify(self, seconds: int) -> None:
        """Blink for up to 255 s; 0 ends it. Idempotent."""


class SerialLine(Protocol):
    """An open console. One thread runs it; anybody may type."""

    @property
    def alive_at(self) -> float:
        """By the monotonic clock: when its thread last came by."""

    def run(self, stop: Callable[[], bool]) -> None:
        """Until `stop`, which is asked several times a second; raises a BmcError when the line is lost."""

    def type(self, data: bytes) -> bool:
        """Send this to the machine; False when too much waits to be sent already."""

    def send_break(self) -> None:
        """Send the break signal."""

    def close(self) -> None:
        """Give the line back; never raises, may be repeated."""


@runtime_checkable
class Console(Protocol):
    """The machine's serial port."""

    def serial_line(self, heard: Callable[[bytes], None], *, take: bool = False) -> SerialLine:
        """Open it; `heard` is called in the thread that runs it. `take`: end another program's console first.

        A BMC gives one line only: raises BmcConsoleHeld where another program has it.
        """


@runtime_checkable
class Closable(Protocol):
    """A driver with a session to end."""

    def close(self) -> None:
        """End the session; never raises, may be repeated."""


class Driver(Power, BootDeviceSetting, Closable, Protocol):
    """What a power action needs."""
