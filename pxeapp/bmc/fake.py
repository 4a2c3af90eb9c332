"""A BMC of files: for rehearsals and tests, with every illness that real ones have.

State lies in `NAME.json`, and each command it received in `NAME.log` (one JSON object a line), so that several
processes see the same BMC and anybody can count what really arrived.
"""

from __future__ import annotations

import fcntl
import json
import os
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
    "refusing",  # answers questions, and says no to every command
    "lying",  # takes commands, says so, and does nothing
    "losing_one_reply",  # carries out the next command, but its answer is lost
    "losing_replies",  # carries out every command, but no answer to a command arrives
    "deaf",  # answers questions; commands never reach it
    "flapping",  # says another power state each time
    "garbage",
    "wrong_password",
    "slow",
    "hanging_once",  # the next call never returns, as pyghmi does now and then; the one after it is answered
]
SLOW_S = 1.0
TIMEOUT_S = 0.05  # how long the fake lets its caller wait before it counts as silent
FOR_EVER_S = 3600.0
NEW: dict[str, Any] = {"power": "off", "boot_device": None, "behaviour": "answering", "takes_s": 0.0}


class FakeBmc:
    """One fake BMC, at `folder/NAME.json`; made on first use, powered off."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}.json"
        self._log = folder / f"{name}.log"
        self._name = name

    def __repr__(self) -> str:
        return f"FakeBmc({self._name})"

    def behave(self, behaviour: Behaviour, *, takes_s: float = 0.0) -> None:
        """Fall ill, or get well. `takes_s`: how long the machine takes to follow a power command."""
        if behaviour not in get_args(Behaviour):
            raise ValueError(behaviour)
        with self._state() as state:
            state.update(behaviour=behaviour, takes_s=takes_s)

    def received(self) -> list[dict[str, Any]]:
        """Every command that arrived, in order; questions are not among them."""
        if not self._log.exists():
            return []
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def truth(self) -> PowerState:
        """The power as it really is, whatever the BMC says."""
        with self._state() as state:
            return _power(state)

    def power_state(self) -> PowerState:
        """What it says of its power."""
        with self._questioned() as state:
            if state["behaviour"] == "flapping":
                state["said"] = {"on": "off", "off": "on"}.get(state.get("said", "off"), "on")
                said: PowerState = state["said"]
                return said
            return _power(state)

    def set_power(self, wanted: Literal["on", "off"]) -> bool:
        """Go on or off, as its illness allows."""
        return self._command(f"power {wanted}", {"power": wanted})

    def set_boot_device(self, device: BootDevice, *, uefi: bool = False) -> bool:
        """Set the one-time boot device."""
        return self._command(f"boot {device}{' uefi' if uefi else ''}", {"boot_device": device})

    def boot_device(self) -> BootDevice | None:
        """What is set."""
        with self._questioned() as state:
            device: BootDevice | None = state.get("boot_device")
            return device

    def identify(self, seconds: int) -> None:
        """Blink."""
        self._command(f"identify {seconds}", {})

    def sensors(self) -> list[Reading]:
        """Two plausible sensors."""
        with self._questioned() as state:
            on = _power(state) == "on"
        return [
            Reading("Inlet", 22.5, "°C", healthy=True),
            Reading("Fan 1", 5400.0 if on else 0.0, "RPM", healthy=True),
        ]

    def close(self) -> None:
        """Nothing to end."""

    def _command(self, what: str, effect: dict[str, str]) -> bool:
        self._suffer()
        with self._state() as state:
            illness = state["behaviour"]
            if illness == "deaf":
                return False
            with self._log.open("a") as log:
                log.write(json.dumps({"at": time.time(), "command": what}) + "\n")
            if illness == "refusing":
                raise BmcRefused(self._name, what, "insufficient privilege")
            if illness != "lying":
                if "power" in effect:
                    state["was"], state["changed_at"] = _power(state), time.time()
                state.update(effect)
            if illness == "losing_one_reply":
                state["behaviour"] = "answering"
            return illness not in ("losing_one_reply", "losing_replies")

    @contextmanager
    def _questioned(self) -> Iterator[dict[str, Any]]:
        self._suffer()
        with self._state() as state:
            yield state

    def _suffer(self) -> None:
        """What its illness does to any call; outside the file's lock, so that a hanging call hangs nobody else."""
        with self._state() as state:
            illness = state["behaviour"]
            if illness == "hanging_once":
                state["behaviour"] = "answering"
        if illness == "silent":
            time.sleep(TIMEOUT_S)
            raise BmcUnreachable(self._name, TIMEOUT_S)
        if illness == "garbage":
            raise BmcConfused(self._name, "struct.error")
        if illness == "wrong_password":
            raise BmcWrongPassword(self._name, "admin")
        if illness == "slow":
            time.sleep(SLOW_S)
        if illness == "hanging_once":
            time.sleep(FOR_EVER_S)

    @contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        with self._path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            text = os.pread(file.fileno(), 1 << 20, 0).decode()
            # A process killed while it wrote may have left a tail of the longer text before.
            state: dict[str, Any] = {**NEW, **(json.JSONDecoder().raw_decode(text)[0] if text else {})}
            try:
                yield state
            finally:
                content = json.dumps(state).encode()
                writer = os.open(self._path, os.O_WRONLY)
                try:
                    os.pwrite(writer, content, 0)
                    os.ftruncate(writer, len(content))
                finally:
                    os.close(writer)


def _power(state: dict[str, Any]) -> PowerState:
    """The power now: a command that takes its time has not happened yet."""
    late = time.time() - state.get("changed_at", 0.0) < state["takes_s"]
    power: PowerState = state.get("was", "off") if late else state["power"]
    return power
