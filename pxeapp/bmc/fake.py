"""A BMC of files: for rehearsals and tests, with every illness that real ones have.

State lies in `NAME.json`, and each command it received in `NAME.log` (one JSON object a line), so that several
processes see the same BMC and anybody can count what really arrived.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import json
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from pxeapp.bmc.errors import BmcConfused, BmcConsoleHeld, BmcRefused, BmcUnreachable, BmcWrongPassword
from pxeapp.bmc.ports import BootDevice, PowerState
from pxeapp.bmc.readings import EventLog, Identity, LogEntry, Override, Reading

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
FAKE_LINE_S = 0.02
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

    def logins_refused(self) -> int:
        """How often somebody came with a wrong password: real ones lock an account after a few."""
        with self._state() as state:
            count: int = state.get("logins_refused", 0)
            return count

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
        """Two plausible sensors, or those that a test or a rehearsal put into its file."""
        with self._questioned() as state:
            on = _power(state) == "on"
            said: list[dict[str, Any]] = state.get("sensors", [])
        if said:
            return [Reading(**{**each, "states": tuple(each.get("states", ()))}) for each in said]
        limits = {"upper_warning": 35.0, "upper_critical": 42.0}
        return [
            Reading("Inlet", 22.5, "°C", healthy=True, kind="Temperature", thresholds=limits),
            Reading("Fan 1", 5400.0 if on else 0.0, "RPM", healthy=True, kind="Fan"),
        ]

    def event_log(self) -> EventLog:
        """What is in its file."""
        with self._questioned() as state:
            lines: list[str] = state.get("log", [])
        return EventLog(tuple(_entry(number, line) for number, line in enumerate(lines, 1)), 4096, overflowed=False)

    def clear_event_log(self, read: EventLog) -> bool:
        """Empty it, unless something was added meanwhile."""
        with self._questioned() as state:
            same = len(state.get("log", [])) == len(read.entries)
        return same and self._command("clear log", {"log": []})

    def log(self, *lines: str) -> None:
        """Let something happen to it that its event log tells of."""
        with self._state() as state:
            state["log"] = [*state.get("log", []), *lines]

    def override(self) -> Override | None:
        """What is set."""
        with self._questioned() as state:
            set_now: dict[str, Any] = state.get("override") or {"device": state.get("boot_device") or "none"}
        return Override(**set_now)

    def set_override(self, wanted: Override) -> bool:
        """Set the boot device, once or for good."""
        return self._command(f"override {wanted.device}", {"override": wanted.to_dict()})

    def identity(self) -> Identity:
        """What it is."""
        self._suffer()
        return Identity("1.0", "2.0", "pxeapp", "A BMC of files", self._name)

    def serial_line(self, heard: Callable[[bytes], None], *, take: bool = False) -> FakeLine:
        """A serial port of files: it says what is appended to NAME.serial, and NAME.typed is what it was told."""
        self._suffer()
        with self._state() as state:
            if state.get("console_held") and not take:
                raise BmcConsoleHeld(self._name)
            state["console_held"] = False
        return FakeLine(self, self._path, heard)

    def says(self, text: bytes) -> None:
        """Let the machine say something on its serial port."""
        with self._path.with_suffix(".serial").open("ab") as serial:
            serial.write(text)

    def close(self) -> None:
        """Nothing to end."""

    def _command(self, what: str, effect: dict[str, Any]) -> bool:
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
            if illness == "wrong_password":
                state["logins_refused"] = state.get("logins_refused", 0) + 1
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


def _entry(number: int, line: str) -> LogEntry:
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=number)
    raw = struct.pack("<HBI", number, 2, int(at.timestamp())) + hashlib.sha256(line.encode()).digest()[:9]
    return LogEntry(raw, number, at, "System", line, "critical" if "failure" in line else "ok", asserted=True)


def _power(state: dict[str, Any]) -> PowerState:
    """The power now: a command that takes its time has not happened yet."""
    late = time.time() - state.get("changed_at", 0.0) < state["takes_s"]
    power: PowerState = state.get("was", "off") if late else state["power"]
    return power


class FakeLine:
    """The console of a fake: it echoes what is typed, as a terminal's driver does."""

    def __init__(self, bmc: FakeBmc, path: Path, heard: Callable[[bytes], None]) -> None:
        self.alive_at = time.monotonic()
        self._bmc = bmc
        self._heard = heard
        self._typed = path.with_suffix(".typed")
        self._serial = path.with_suffix(".serial").open("a+b", buffering=0)  # at its end: what was said before is over

    def run(self, stop: Callable[[], bool]) -> None:
        """Until `stop`, or until the BMC falls ill."""
        while not stop():
            self.alive_at = time.monotonic()
            self._bmc._suffer()
            data = self._serial.read(4096)
            if data:
                self._heard(data)
            else:
                time.sleep(FAKE_LINE_S)

    def type(self, data: bytes) -> bool:
        """Told and echoed."""
        with self._typed.open("ab") as typed:
            typed.write(data)
        self._bmc.says(data.replace(b"\r", b"\r\n"))
        return True

    def send_break(self) -> None:
        """Noted."""
        with self._typed.open("ab") as typed:
            typed.write(b"<break>")

    def close(self) -> None:
        """Close the file."""
        self._serial.close()
