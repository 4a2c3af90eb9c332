"""A BMC of files: for rehearsals and tests, with every illness that real ones have.

State lies in `NAME.json`, and each command it received in `NAME.log` (one JSON object a line), so that several
processes see the same BMC and a test can count what really arrived.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from pxeapp.bmc.errors import BmcConfused, BmcRefused, BmcUnreachable, BmcWrongPassword
from pxeapp.bmc.ports import BootDevice, PowerState, Reading

Behaviour = Literal[
    "answering",
    "silent",  # no answer to anything
    "refusing",  # answers, and says no to every command
    "lying",  # takes commands, says so, and does nothing
    "losing_one_reply",  # does the next command, but its answer is lost
    "losing_replies",  # does every command, but no answer to a command arrives
    "garbage",
    "wrong_password",
    "slow",
]
SLOW_S = 1.0
TIMEOUT_S = 0.05  # how long the fake lets its caller wait before it counts as silent


class FakeBmc:
    """One fake BMC, at `folder/NAME.json`; made on first use, powered off."""

    def __init__(self, folder: Path, name: str, *, password: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}.json"
        self._log = folder / f"{name}.log"
        self._name = name
        self._password = password

    def behave(self, behaviour: Behaviour) -> None:
        """Fall ill, or get well."""
        if behaviour not in get_args(Behaviour):
            raise ValueError(behaviour)
        with self._state() as state:
            state["behaviour"] = behaviour

    def received(self) -> list[dict[str, Any]]:
        """Every command that arrived, in order; questions are not among them."""
        if not self._log.exists():
            return []
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def truth(self) -> PowerState:
        """The power as it really is, whatever the BMC says."""
        with self._state() as state:
            power: PowerState = state["power"]
            return power

    def power_state(self) -> PowerState:
        """What it says of its power."""
        with self._state() as state:
            self._reach(state)
            said: PowerState = state.get("said", state["power"])
            return said

    def set_power(self, wanted: Literal["on", "off"]) -> None:
        """Go on or off, as its illness allows."""
        self._command(f"power {wanted}", "power", wanted)

    def set_boot_device(self, device: BootDevice) -> None:
        """Set the one-time boot device."""
        self._command(f"boot {device}", "boot_device", device)

    def boot_device(self) -> BootDevice | None:
        """What is set."""
        with self._state() as state:
            self._reach(state)
            device: BootDevice | None = state.get("boot_device")
            return device

    def sensors(self) -> list[Reading]:
        """Two plausible sensors."""
        with self._state() as state:
            self._reach(state)
            on = state["power"] == "on"
        return [
            Reading("Inlet", 22.5, "°C", healthy=True),
            Reading("Fan 1", 5400.0 if on else 0.0, "RPM", healthy=True),
        ]

    def close(self) -> None:
        """Nothing to end."""

    def _command(self, what: str, field: str, value: str) -> None:
        with self._state() as state:
            illness = state["behaviour"]
            if illness in ("silent", "garbage", "wrong_password"):
                self._reach(state)
            with self._log.open("a") as log:
                log.write(json.dumps({"at": time.time(), "command": what}) + "\n")
            if illness == "refusing":
                raise BmcRefused(self._name, what, "insufficient privilege")
            if illness == "slow":
                time.sleep(SLOW_S)
            if illness != "lying":
                state[field] = value
            if illness == "losing_one_reply":
                state["behaviour"] = "answering"

    def _reach(self, state: dict[str, Any]) -> None:
        illness = state["behaviour"]
        if illness == "silent":
            time.sleep(TIMEOUT_S)
            raise BmcUnreachable(self._name, TIMEOUT_S)
        if illness == "garbage":
            raise BmcConfused(self._name, "struct.error")
        if illness == "wrong_password":
            raise BmcWrongPassword(self._name, "admin")
        if illness == "slow":
            time.sleep(SLOW_S)

    @contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        with self._path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            text = file.read()
            state = json.loads(text) if text else {"power": "off", "boot_device": None, "behaviour": "answering"}
            try:
                yield state
            finally:
                file.seek(0)
                file.truncate()
                file.write(json.dumps(state))
                file.flush()
