"""One machine's console while somebody watches it or a deployment is recorded: the line, and what was said last."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pxeapp.bmc.connect import Login
from pxeapp.bmc.errors import BmcError, BmcWrongPassword
from pxeapp.bmc.ports import SerialLine
from pxeapp.consoles.earlier import clean_start
from pxeapp.consoles.recordings import Recorder
from pxeapp.errors import PxeError

State = Literal["closed", "opening", "open", "waiting", "calm"]
KEPT = 256 * 1024  # bytes of what was said, for whoever comes later
LINGER_S = 60.0  # after the last viewer left: a page is reloaded, and its console is still there
RELEASE_S = 120.0
BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
FOR_GOOD_S = 300.0  # after a wrong password, which would lock the account, and what else does not pass by itself
CALM_S = 0.5
CORRECTED_S = 5.0  # how often a refused login is looked at: it may have been corrected
Open = Callable[[Callable[[bytes], None], bool], SerialLine]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A login that the BMC refused: until when it is not tried again, however many come to look."""

    login: Login | None
    until: float
    said: str


@dataclass
class Held:
    """What is shared between the thread that holds the line and those that show it; guarded by `lock`."""

    machine_id: int
    name: str
    open: Open  # makes the line; raises a BmcError
    login: Callable[[], Login | None]  # as it is in our records now
    calm: Callable[[], bool]  # whether no power command is just on its way to this BMC
    changed: Callable[[int], None]  # wakes whoever shows it
    clock: Callable[[], dt.datetime]
    epoch: str = ""  # who numbers the positions: they mean nothing in another process, nor when it is held anew
    lock: threading.Lock = field(default_factory=threading.Lock)
    state: State = "closed"
    detail: str = ""
    since: float = field(default_factory=time.time)
    start: int = 0  # the position of the first byte that is still here
    said: bytearray = field(default_factory=bytearray)
    heard_at: dt.datetime | None = None  # when the last of it was said; None: it is of an earlier time
    viewers: int = 0
    left_at: float = field(default_factory=time.monotonic)
    recorder: Recorder | None = None
    recording: int | None = None
    released_until: float = 0.0  # somebody said: let go of it, another program wants it
    _take: bool = False
    _refusal: Refusal | None = None
    _line: SerialLine | None = None
    _thread: threading.Thread | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _poke: threading.Event = field(default_factory=threading.Event)
    _begins: threading.Lock = field(default_factory=threading.Lock)
    _opening_since: float | None = None

    @property
    def end(self) -> int:
        """The position after the last byte."""
        return self.start + len(self.said)

    @property
    def wanted(self) -> bool:
        """Whether the line is to be held."""
        if self._stopping.is_set() or time.monotonic() < self.released_until:
            return False
        lingering = time.monotonic() - self.left_at < LINGER_S
        return self.viewers > 0 or self.recorder is not None or lingering

    @property
    def refused(self) -> bool:
        """Whether a login was refused a short while ago; it must not be forgotten with the last viewer."""
        return self._refusal is not None and time.monotonic() < self._refusal.until

    @property
    def runs(self) -> bool:
        """Whether its thread lives."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def stuck_s(self) -> float:
        """For how long its thread has not come by, while it should."""
        line, opening = self._line, self._opening_since
        if not self.runs:
            return 0.0
        since = line.alive_at if line is not None else opening
        return time.monotonic() - since if since is not None else 0.0

    def begin(self) -> None:
        """Start the thread that holds the line, if there is none."""
        with self._begins:
            if not self.runs and self.wanted:
                self._thread = threading.Thread(target=self._hold, name=f"console-{self.name}", daemon=True)
                self._thread.start()

    def stop(self, *, wait_s: float = 0.0) -> None:
        """Let go of the line."""
        self._stopping.set()
        self._poke.set()
        if wait_s and self._thread is not None:
            self._thread.join(wait_s)

    def arrive(self) -> None:
        """A viewer came."""
        with self.lock:
            self.viewers += 1
        self.begin()
        self._poke.set()  # do not let them wait for the end of a long pause; a refused login stays refused

    def leave(self) -> None:
        """A viewer left."""
        with self.lock:
            self.viewers = max(0, self.viewers - 1)
            self.left_at = time.monotonic()

    def take(self) -> None:
        """Next time end another program's console; a refused login is tried once more, for somebody asks for it."""
        self._take = True
        self._refusal = None
        self.released_until = 0.0
        self.begin()
        self._poke.set()

    def release(self) -> None:
        """Give the line to somebody else for a while, although there are viewers."""
        self.released_until = time.monotonic() + RELEASE_S
        self._poke.set()

    def record(self, recorder: Recorder | None, number: int | None) -> None:
        """Begin or end to record."""
        with self.lock:
            before, self.recorder, self.recording = self.recorder, recorder, number
        if before is not None:
            before.close()
        self._tell()
        self.begin()

    def type(self, data: bytes) -> bool:
        """To the machine; False while there is no line, or when too much waits."""
        line = self._line
        return line is not None and self.state == "open" and line.type(data)

    def send_break(self) -> bool:
        """The break signal; False while there is no line."""
        line = self._line
        if line is None or self.state != "open":
            return False
        line.send_break()
        return True

    def after(self, position: int) -> tuple[int, bytes]:
        """What was said from a position on, and where that begins (later, if the beginning is gone)."""
        with self.lock:
            at = min(max(position, self.start), self.end)
            return at, bytes(self.said[at - self.start :])

    def newcomer(self, most: int) -> int:
        """Where one begins who saw nothing yet: so many bytes back at most, and not within a line or a sequence."""
        with self.lock:
            at = max(self.start, self.end - most)
            return at + clean_start(self.said[at - self.start :]) if at else 0

    def standing(self) -> dict[str, Any]:
        """Where it stands, for whoever shows it."""
        with self.lock:
            return {
                "state": self.state, "detail": self.detail, "since": self.since, "viewers": self.viewers,
                "recording": self.recording, "position": self.end,
            }  # fmt: skip

    def _hold(self) -> None:
        tries = 0
        while self.wanted:
            if not self.calm():
                self._set("calm", "A power command is on its way to this BMC; the console follows.")
                self._stopping.wait(CALM_S)
                continue
            if (refusal := self._standing_refusal()) is not None:
                self._set("waiting", refusal.said)
                self._poke.clear()
                self._poke.wait(min(CORRECTED_S, max(0.0, refusal.until - time.monotonic())))
                continue
            self._set("opening")
            began = time.monotonic()
            trouble = self._once()
            if trouble is None or isinstance(trouble, BmcWrongPassword):
                continue
            tries = 0 if time.monotonic() - began > LINGER_S else tries + 1
            pause = BACKOFF_S[min(tries, len(BACKOFF_S) - 1)]
            if isinstance(trouble, BmcError) and not trouble.retryable:
                pause = FOR_GOOD_S
            self._set("waiting", str(trouble))
            self._poke.clear()
            self._poke.wait(pause)
        released = time.monotonic() < self.released_until
        self._set("closed", "It was given to another program for two minutes." if released else "")

    def _standing_refusal(self) -> Refusal | None:
        """The refusal that still holds: its time is not over, and the login is the same."""
        refusal = self._refusal
        if refusal is None or time.monotonic() >= refusal.until:
            return None
        try:
            return refusal if self.login() == refusal.login else None
        except PxeError:
            return refusal  # the database is away for a moment; the next look comes

    def _once(self) -> PxeError | None:
        """Hold the line until it is lost, which is returned, or no longer wanted."""
        line: SerialLine | None = None
        login: Login | None = None
        try:
            login = self.login()
            take, self._take = self._take, False
            self._opening_since = time.monotonic()
            line = self.open(self._heard, take)
            self._line, self._opening_since = line, None
            self._set("open")
            line.run(lambda: not self.wanted)
        except BmcWrongPassword as trouble:
            self._refusal = Refusal(login, time.monotonic() + FOR_GOOD_S, str(trouble))
            return trouble
        except PxeError as trouble:
            return trouble
        except Exception as error:
            log.exception("The console of %s had trouble", self.name)
            return PxeError(f"The console had trouble ({type(error).__name__}).")
        finally:
            self._line = self._opening_since = None
            if line is not None:
                line.close()
        return None

    def _heard(self, data: bytes) -> None:
        with self.lock:
            self.said += data
            self.heard_at = self.clock()
            if len(self.said) > KEPT:
                gone = len(self.said) - KEPT
                del self.said[:gone]
                self.start += gone
            recorder = self.recorder
            if recorder is not None:
                try:
                    recorder.heard(data, now=self.heard_at)
                except OSError as error:  # the disk is full: whoever watches still sees everything
                    log.warning("The console of %s cannot be recorded: %s", self.name, error)
        self._tell()

    def _set(self, state: State, detail: str = "") -> None:
        with self.lock:
            same = (self.state, self.detail) == (state, detail)
            if not same:
                self.state, self.detail, self.since = state, detail, time.time()
        if not same:
            self._tell()

    def _tell(self) -> None:
        self.changed(self.machine_id)
