"""`pxeapp serve`: one process per part, each restarted when it dies, all stopped together.

The supervisor knows nothing of what its children do. A child that keeps dying is restarted with a
growing pause, so that a wrong setting costs no CPU and the others go on working. Whatever a dead one leaves behind is
ended before its successor starts (leftovers.py), and one that is there but answers nobody is ended too (liveness.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

from pxeapp.supervisor import leftovers
from pxeapp.supervisor.liveness import Beats, Pulse
from pxeapp.supervisor.voice import Voice

# From the moment at which we are told to stop; a service manager gives us 30.
STOP_WITHIN_S = 25.0  # then whatever still runs is killed
GONE_WITHIN_S = 27.0  # then one that the kernel holds is left to it
END_WITHIN_S = 28.0
LAST_WORDS_S = 3.0  # how long the parts' and our own are waited for, once all have ended
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
HEALTHY_AFTER_S = 30.0
LOOK_FOR_ORPHANS_S = 1.0
ORPHANS_TAKE_S = 1.0  # at most, while we run: it is looked again
LONGEST_LINE = 65_536
WRITE_AGAIN_S = 10.0
BEATING = ("worker", "software-worker", "tftp", "dhcp")  # they say by themselves that they are there
PR_SET_PDEATHSIG = 1  # linux/prctl.h
LIBC = ctypes.CDLL(None)  # loaded here: between fork and exec nothing may take a lock
# No memory, no process number, no descriptor, no thread, a program that is being replaced: all of it passes.
CANNOT_START = (OSError, subprocess.SubprocessError, RuntimeError)


@dataclass
class Part:
    """One child: its name, its command, and how often it died lately. One that `beats` gets `--beat FD` appended."""

    name: str
    argv: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    restart_at: float = 0.0
    pulse: Pulse | None = None
    beats: Beats | None = None
    relay: threading.Thread | None = None


class Supervisor:
    """Keeps its parts running until it is told to stop."""

    def __init__(self, parts: Sequence[Part], *, record: leftovers.Record | None = None) -> None:
        self.parts = list(parts)
        self._record = record or leftovers.Record(None)
        self._voice = Voice()
        self._say = self._voice.say
        self._stopping = threading.Event()
        self._told_at = 0.0
        self._looked_at = 0.0
        self._is_recorded = True
        self._recorded_at = 0.0

    def run(self) -> int:
        """Start everything and watch it; returns 0 after SIGTERM or SIGINT once every child has ended."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup's doing
                signal.signal(number, self._on_signal)
        self._voice.begin()
        leftovers.adopt()
        for part in self.parts:
            self._start(part)
            if part.pulse is not None:
                threading.Thread(target=part.pulse.watch, args=(self._stopping,), daemon=True).start()
        while not self._stopping.wait(0.1):
            for part in self.parts:
                self._watch(part)
            if time.monotonic() - self._looked_at > LOOK_FOR_ORPHANS_S:
                self._end_orphans()
            if not self._is_recorded and time.monotonic() - self._recorded_at > WRITE_AGAIN_S:
                self._put_on_record()
        self._stop()
        return 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self._stopping.is_set():
            self._told_at = time.monotonic()
            self._stopping.set()

    def _start(self, part: Part) -> None:
        """Or, where that cannot be done now, try it again later: the others go on."""
        try:
            self._launch(part)
        except CANNOT_START as error:
            pause = self._put_off(part)
            self._say(f"{part.name:<10} cannot be started: {error}; trying it again in {pause:g} s")
            return
        self._put_on_record()
        if part.pulse is not None:
            part.pulse.begin()

    def _launch(self, part: Part) -> None:
        pipe = [] if part.beats is None else [part.beats.open()]
        try:
            process = subprocess.Popen(
                [*part.argv, *(f"--beat={end}" for end in pipe)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=pipe,
                start_new_session=True,  # Ctrl-C is ours to pass on, once and in order
                preexec_fn=_die_with_parent,
            )
        finally:
            for end in pipe:
                os.close(end)
        part.relay = threading.Thread(target=self._relay, args=(part, process), daemon=True)
        try:
            part.relay.start()
        except RuntimeError:  # nobody would read what it says, and it would stand still
            leftovers.end_group(process.pid)
            process.wait()
            raise
        part.process, part.started_at = process, time.monotonic()

    def _put_off(self, part: Part) -> float:
        """Start it later, and later still when it keeps failing; returns in how many seconds."""
        pause = PAUSES_S[min(part.deaths, len(PAUSES_S) - 1)]
        part.deaths += 1
        part.process = None
        part.restart_at = time.monotonic() + pause
        return pause

    def _put_on_record(self) -> None:
        """On a full disk the parts run without it; only if this process were killed, its successor would miss it."""
        was, self._is_recorded, self._recorded_at = self._is_recorded, True, time.monotonic()
        try:
            self._record.write(each.process.pid for each in self.parts if each.process is not None)
        except OSError as error:
            self._is_recorded = False
            if was:
                self._say(f"serve      cannot write down which processes are its own: {error}")

    def _relay(self, part: Part, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - we asked for a pipe
        while line := process.stdout.readline(LONGEST_LINE):
            self._say(f"{part.name:<10} {line.decode(errors='replace').rstrip()}", patient=True)

    def _watch(self, part: Part) -> None:
        if part.process is None:
            if time.monotonic() >= part.restart_at:
                self._start(part)
            return
        code = part.process.poll()
        if code is None:
            if part.deaths and time.monotonic() - part.started_at > HEALTHY_AFTER_S:
                part.deaths = 0
            if part.pulse is not None and part.pulse.is_lost:
                self._say(f"{part.name:<10} lives but has not answered for a minute; it is killed")
                leftovers.end_group(part.process.pid)
                part.pulse.begin()
            return
        leftovers.end_group(part.process.pid)  # its workers, which would go on holding its port
        pause = self._put_off(part)
        self._end_orphans()
        self._say(f"{part.name:<10} ended with {_ending(code)}; starting it again in {pause:g} s")

    def _stop(self) -> None:
        self._say("serve      stopping")
        running = [part for part in self.parts if part.process is not None and part.process.poll() is None]
        for part in reversed(running):
            assert part.process is not None  # noqa: S101 - filtered above
            for number in (signal.SIGTERM, signal.SIGCONT):  # one that was stopped must not miss it
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    part.process.send_signal(number)
        for part in running:
            assert part.process is not None  # noqa: S101
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.process.wait(self._left(STOP_WITHIN_S))
            if part.process.poll() is None:
                self._say(f"{part.name:<10} did not stop within {STOP_WITHIN_S:g} s and was killed")
            leftovers.end_group(part.process.pid)
        for part in running:
            assert part.process is not None  # noqa: S101
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.process.wait(self._left(GONE_WITHIN_S))
        self._end_orphans(within_s=self._left(GONE_WITHIN_S), spare=False)
        until = time.monotonic() + min(LAST_WORDS_S, self._left(END_WITHIN_S))
        for part in running:
            if part.relay is not None:
                part.relay.join(max(0.0, until - time.monotonic()))
        self._voice.end(max(0.0, until - time.monotonic()))

    def _left(self, within_s: float) -> float:
        """Of the seconds from when we were told to stop."""
        return max(0.0, self._told_at + within_s - time.monotonic())

    def _end_orphans(self, *, within_s: float = ORPHANS_TAKE_S, spare: bool = True) -> None:
        self._looked_at = time.monotonic()
        known = [part.process.pid for part in self.parts if part.process is not None]
        ended = leftovers.end_orphans(known, within_s=within_s, spare=spare)
        if ended:
            self._say(f"serve      ended {ended} processes whose parent had died")


def parts(*, front: bool, dhcp: bool, asked: Mapping[str, Callable[[], bool]] | None = None) -> list[Part]:
    """Every part of the appliance on one host, in the order of their start; `asked`: whether one of them answers."""
    names = ["web", "node", "worker", "bmc-worker", "software-worker", "console", "tftp"]
    if front:
        names.insert(2, "front")
    if dhcp:
        names.append("dhcp")
    more = {} if front else {"node": ["--direct"]}
    beats = {name: Beats() for name in BEATING}
    pulses = {name: Pulse(ask) for name, ask in (asked or {}).items()}
    pulses |= {name: Pulse(each.heard) for name, each in beats.items()}
    return [
        Part(
            name,
            [sys.executable, "-m", "pxeapp", name, *more.get(name, [])],
            pulse=pulses.get(name),
            beats=beats.get(name),
        )
        for name in names
    ]


def _die_with_parent() -> None:
    """Linux: have the kernel end the child when the supervisor is killed, so that no orphan keeps our ports."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
