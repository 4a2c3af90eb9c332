"""One BMC over Redfish (DSP0266, DSP2046). A command that changes something is one request; what came of it is seen."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import sushy
from sushy import exceptions
from sushy.resources.system.system import System

from pxeapp.bmc.errors import BmcBusy, BmcConfused, BmcError, BmcRefused, BmcWrongPassword
from pxeapp.bmc.ports import BootDevice, PowerState
from pxeapp.bmc.readings import Device, EventLog, Identity, Override, Reading, one_line
from pxeapp.bmc.redfish import events, sensors
from pxeapp.bmc.redfish.link import Link, Lost, NotSent, Remember, unreachable

ROOT = "/redfish/v1/"
QUESTION_S = 12.0  # of a whole question: the way to the system is two more requests where it is not known yet
COMMAND_S = 10.0
READING_S = 35.0
POWER: dict[Any, PowerState] = {sushy.PowerState.ON: "on", sushy.PowerState.OFF: "off"}
# The hard ones, in the order of preference; a service lists which of them it has.
RESETS: dict[Literal["on", "off"], tuple[Any, ...]] = {
    "on": (sushy.ResetType.ON, sushy.ResetType.FORCE_ON),
    "off": (sushy.ResetType.FORCE_OFF,),
}
TARGETS: dict[Device, tuple[Any, ...]] = {
    "none": (sushy.BootSource.NONE,),
    "network": (sushy.BootSource.PXE, sushy.BootSource.UEFI_HTTP),
    "disk": (sushy.BootSource.HDD,),
    "cdrom": (sushy.BootSource.CD, sushy.BootSource.USB_CD),
    "setup": (sushy.BootSource.BIOS_SETUP,),
}
ONCE, ALWAYS, NEVER = (
    sushy.BootSourceOverrideEnabled.ONCE, sushy.BootSourceOverrideEnabled.CONTINUOUS,
    sushy.BootSourceOverrideEnabled.DISABLED,
)  # fmt: skip
UEFI, LEGACY = sushy.BootSourceOverrideMode.UEFI, sushy.BootSourceOverrideMode.LEGACY
T = TypeVar("T")
# What sushy says of each refusal is in our sentence; its own lines may hold what was sent.
logging.getLogger("sushy").setLevel(logging.CRITICAL)
# Where a BMC's only system is does not change: a look at its power is then one request.
_places: dict[str, str] = {}


class RedfishBmc:
    """One BMC; nothing is kept open between two questions, and a session only where the service insists on one."""

    def __init__(
        self, address: str, port: int, username: str, password: str, *, certificate: str = "",
        remember: Remember = lambda _certificate: None,
    ) -> None:  # fmt: skip
        """`certificate`: the SHA-256 of the one it shows; empty: whatever it shows first, which `remember` is told."""
        self._username = username
        self._link = Link(address, port, username, password, certificate=certificate, remember=remember)

    def __repr__(self) -> str:
        return f"RedfishBmc({self.where})"

    @property
    def where(self) -> str:
        """Address and port, for sentences."""
        return self._link.where

    def power_state(self) -> PowerState:
        """`unknown` while it says that it is on its way from one to the other."""
        return self._ask("tell its power state", lambda: POWER.get(self._system().power_state, "unknown"))

    def set_power(self, wanted: Literal["on", "off"]) -> bool:
        """Ask once for a reset of type On or ForceOff. False when no answer came."""
        system = self._ask(f"go {wanted}", self._system)
        allowed = self._ask(f"go {wanted}", system.get_allowed_reset_system_values)
        kind = next((each for each in RESETS[wanted] if each in allowed), None)
        if kind is None:
            raise BmcRefused(
                self.where, f"go {wanted}", f"it offers {', '.join(sorted(each.value for each in allowed))}"
            )
        return self._order(f"go {wanted}", lambda: system.reset_system(kind))

    def set_boot_device(self, device: BootDevice, *, uefi: bool = False) -> bool:
        """Ask once for a one-time override. False when no answer came."""
        return self.set_override(Override(device, uefi=uefi))

    def boot_device(self) -> BootDevice | None:
        """What the next boot starts from; None where nothing is set or it cannot tell."""
        seen = self.override()
        device = seen.device if seen is not None else "none"
        return device if device in ("network", "disk") else None

    def override(self) -> Override | None:
        """What is set now; None where it shows no override at all."""
        boot = self._ask("tell its boot device", lambda: self._system().boot)
        if boot is None or boot.enabled is None:
            return None
        if boot.enabled == NEVER:
            return Override("none")
        device = next((device for device, targets in TARGETS.items() if boot.target in targets), None)
        return None if device is None else Override(device, boot.enabled == ALWAYS, boot.mode == UEFI)

    def set_override(self, wanted: Override) -> bool:
        """Ask once; the boot mode is left alone where it is the right one, or none is shown."""
        what = f"boot from {wanted.device}"
        system = self._ask(what, self._system)
        mode = UEFI if wanted.uefi else LEGACY
        shown = system.boot.mode if system.boot is not None else None
        allowed = self._ask(what, system.get_allowed_system_boot_source_values)
        target = next((each for each in TARGETS[wanted.device] if each in allowed), TARGETS[wanted.device][0])
        enabled = NEVER if wanted.device == "none" else ALWAYS if wanted.persistent else ONCE
        return self._order(
            what,
            lambda: system.set_system_boot_options(
                target if wanted.device != "none" else None, enabled, mode if shown not in (None, mode) else None
            ),
        )

    def identify(self, seconds: int) -> None:
        """Light the indicator, or put it out; Redfish has no time for it, so it stays lit until it is put out."""

        def blink() -> None:
            system = self._system()
            said: dict[str, Any] = system.json
            if "LocationIndicatorActive" in said:  # since 2020.3 in place of IndicatorLED
                self._link.patch(system.path, data={"LocationIndicatorActive": seconds > 0})  # type: ignore[no-untyped-call]
            else:
                system.set_indicator_led(sushy.IndicatorLED.BLINKING if seconds else sushy.IndicatorLED.OFF)

        self._ask("blink its light", blink)

    def sensors(self) -> list[Reading]:
        """Those of the system's chassis."""
        return self._ask(
            "list its sensors", lambda: sensors.read(self._link.get_json, self._system().json), seconds=READING_S
        )

    def event_log(self) -> EventLog:
        """The service's own event log, the oldest entry first."""
        return self._ask("show its event log", lambda: self._log().read(), seconds=READING_S)

    def clear_event_log(self, read: EventLog) -> bool:
        """Empty it if it is still what was read."""

        def clear() -> bool:
            log = self._log()
            if log.read().entries != read.entries:
                return False
            log.clear(self._link.post)
            return True

        return self._ask("clear its event log", clear, seconds=READING_S)

    def identity(self) -> Identity:
        """What its manager and its system say of themselves."""

        def ask() -> Identity:
            system = self._system().json
            managers = (system.get("Links") or {}).get("ManagedBy") or [{}]
            place = managers[0].get("@odata.id")
            manager = self._link.get_json(place) if place else {}
            return Identity(
                firmware=one_line(manager.get("FirmwareVersion")),
                manufacturer=one_line(system.get("Manufacturer")),
                product=one_line(system.get("Model")),
                serial=one_line(system.get("SerialNumber")),
                guid=one_line(system.get("UUID")),
            )

        return self._ask("say what it is", ask)

    def close(self) -> None:
        """Nothing stays open at the BMC."""
        self._link.hang_up()

    def _log(self) -> events.Log:
        return events.find(self._link.get_json, self._system().json)

    def _system(self) -> Any:
        """The one computer that this BMC is of, as sushy's System, which has no types."""
        place = _places.get(self.where)
        if place is not None:
            try:
                return System(self._link, place)  # type: ignore[no-untyped-call]
            except exceptions.ResourceNotFoundError:
                del _places[self.where]  # another firmware calls it differently
        root = self._link.get_json(ROOT)
        collection = (root.get("Systems") or {}).get("@odata.id")
        if not collection:
            raise BmcRefused(self.where, "show its system", "its service has none")
        members = self._link.get_json(collection).get("Members") or []
        if len(members) != 1:
            raise BmcRefused(
                self.where, "show its system", f"it has {len(members)}; give the address of one machine's own BMC"
            )
        place = str(members[0].get("@odata.id"))
        found = System(self._link, place)  # type: ignore[no-untyped-call]
        _places[self.where] = place
        return found

    def _order(self, what: str, work: Callable[[], object]) -> bool:
        """Do what changes something; False: nobody knows whether it arrived."""
        try:
            self._ask(what, work, seconds=COMMAND_S, silent=True)
        except Lost:
            return False
        return True

    def _ask(self, what: str, work: Callable[[], T], *, seconds: float = QUESTION_S, silent: bool = False) -> T:
        """Turn what went wrong below into one of our errors; with `silent` a lost answer stays Lost."""
        started = time.monotonic()
        with self._link.within(seconds):
            try:
                return work()
            except BmcError:
                raise
            except Lost:
                if silent:
                    raise
                raise unreachable(self.where, started) from None
            except NotSent:
                raise unreachable(self.where, started) from None
            except events.NoLog:
                raise BmcRefused(self.where, what, "its service has none") from None
            except exceptions.HTTPError as refusal:
                raise self._refused(what, refusal) from None
            except exceptions.SushyError as error:
                raise BmcConfused(self.where, str(error)[:200]) from None
            except (json.JSONDecodeError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
                raise BmcConfused(self.where, type(error).__name__) from error

    def _refused(self, what: str, refusal: exceptions.HTTPError) -> BmcError:
        said = one_line(refusal.detail) or f"HTTP {refusal.status_code}"
        if refusal.status_code == 401:
            return BmcWrongPassword(self.where, self._username)
        if refusal.status_code in (429, 503):
            return BmcBusy(self.where)
        return BmcRefused(self.where, what, said)
