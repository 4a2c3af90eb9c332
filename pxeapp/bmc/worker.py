"""The BMC worker process: hands in a heap, lanes of threads that look, and a beat that proves it is alive.

Every call to a BMC is bounded, but pyghmi's I/O thread has been seen to stop for good (one run in eight with dead
BMCs), and what hangs is a thread nobody can end. So when a look takes far too long the process gives back what it
holds and ends itself; the watchdog starts another, and the rows say where everything stood.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pxeapp.appliance import clock
from pxeapp.bmc.asking import Asked, Asker
from pxeapp.bmc.connect import Connector
from pxeapp.bmc.hands import Carrier, Hand
from pxeapp.bmc.lanes import Lane
from pxeapp.bmc.polling import Health, Poller
from pxeapp.bmc.power import PowerTimings
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.errors import Unavailable
from pxeapp.vault import open_vault

HANDS_LIMIT = 500  # those that wait for a dead BMC count, too
CLAIM_LIMIT = 64  # at once; the other processes want their share
THREADS: dict[Health, int] = {"well": 16, "sick": 8}
POLL_THREADS: dict[Health, int] = {"well": 6, "sick": 2}
ASK_THREADS = 8  # readings take seconds, and a power action never waits for a thread of theirs
# pyghmi's select() fails for good beyond 1,023 descriptors; we are far from it unless something leaks.
DESCRIPTORS_LIMIT = 700
SAY_EVERY_S = 30.0  # what keeps the loop from its work
LONGEST_WAIT_S = 10.0  # between two looks at a BMC
WORN_EXIT_CODE = 70  # hung, or leaking: another process takes over
BEAT = b"."
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the worker does what, in seconds; tests pass shorter ones."""

    idle: float = 0.1
    claim: float = 0.25
    renew: float = 5.0
    poll: float = 1.0
    hung: float = 90.0  # bounded calls add up to half of it; a locked database may add 30 s
    stop: float = 10.0


class BmcWorker:
    """One process's worth of power actions and power polling."""

    def __init__(
        self,
        settings: Settings,
        *,
        beat: int | None = None,
        timings: PowerTimings | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.database = Database(settings.database_url)
        clock.watch(self.database)
        connector = Connector(settings, open_vault(settings.data_dir), self.database)
        owner = f"{socket.gethostname()}:{os.getpid()}"
        self.carrier = Carrier(self.database, connector, owner, now, timings or PowerTimings())
        self.poller = Poller(self.database, connector, self.carrier.commits)
        self.asker = Asker(self.database, connector, self.carrier.commits, owner, now)
        self._pace = pace or Pace()
        self._beat = beat
        self._heap: list[tuple[float, int, Hand]] = []
        self._order = itertools.count()
        self._wake = threading.Event()
        self._hands: dict[Health, Lane[Hand, bool]] = {
            health: Lane(f"bmc-{health}", threads, self.carrier.step, self._wake.set)
            for health, threads in THREADS.items()
        }
        self._polls: dict[Health, Lane[int, str]] = {
            health: Lane(f"poll-{health}", threads, self._poll_one, self._wake.set)
            for health, threads in POLL_THREADS.items()
        }
        self._asks: Lane[Asked, None] = Lane("bmc-ask", ASK_THREADS, self.asker.carry_out, self._wake.set)
        self._lanes: tuple[Lane[Any, Any], ...] = (*self._hands.values(), *self._polls.values(), self._asks)
        self._jobs: tuple[tuple[float, Callable[[], None]], ...] = (
            (self._pace.claim, self._claim),
            (self._pace.renew, self._renew),
            (self._pace.poll, self._poll),
            (self._pace.claim, self._ask),
            (self._pace.renew, self._count_descriptors),
        )
        self._descriptors = 0
        self._said_at = -SAY_EVERY_S

    def run(self, stop: threading.Event) -> int:
        """Until `stop`, or until it is worn out; gives back what it holds. Returns the process's exit code.

        Not 0 means that threads still hang in a BMC: end the process with os._exit, for nothing else ends them.
        """
        due = dict.fromkeys(range(len(self._jobs)), 0.0)
        while not stop.is_set() and not self._worn():
            for number, (every, job) in enumerate(self._jobs):
                if time.monotonic() >= due[number]:
                    due[number] = time.monotonic() + every
                    self._survive(job)
                    if not self._send_beat():
                        stop.set()  # the watchdog was killed, and its successor starts workers of its own
            self._collect()
            self._start_due()
            self._send_beat()
            self._wake.wait(self._pace.idle)
            self._wake.clear()
        return self._finish()

    def _claim(self) -> None:
        room = HANDS_LIMIT - len(self._heap) - sum(len(lane.items) for lane in self._hands.values())
        if room > 0:
            for hand in self.carrier.claim(limit=min(room, CLAIM_LIMIT)):
                self._push(hand)

    def _renew(self) -> None:
        working = [hand for lane in self._hands.values() for hand in lane.items]
        self.carrier.renew([hand for _, _, hand in self._heap] + working)

    def _poll(self) -> None:
        for health, lane in self._polls.items():
            if lane.room > 0:
                for machine_id in self.poller.claim(health, now=now(), limit=lane.room):
                    lane.start(machine_id)

    def _ask(self) -> None:
        if self._asks.room > 0:
            for asked in self.asker.claim(limit=self._asks.room):
                self._asks.start(asked)

    def _poll_one(self, machine_id: int) -> str:
        return self.poller.look(machine_id, now=now())

    def _push(self, hand: Hand) -> None:
        # At most: the clock may be set back between the two moments.
        wait = min(max(0.0, (hand.next_at - now()).total_seconds()), LONGEST_WAIT_S)
        heapq.heappush(self._heap, (time.monotonic() + wait, next(self._order), hand))

    def _start_due(self) -> None:
        kept = []
        while self._heap and self._heap[0][0] <= time.monotonic():
            entry = heapq.heappop(self._heap)
            lane = self._hands["sick" if entry[2].sick else "well"]
            if lane.room > 0:
                lane.start(entry[2])
            else:
                kept.append(entry)
        for entry in kept:
            heapq.heappush(self._heap, entry)

    def _collect(self) -> None:
        for lane in self._hands.values():
            for ended in lane.collect():
                if ended.error is not None:
                    # Our own bug or the database: let the lease run out, and another look will come.
                    log.error("Power action %s: a look failed: %r", ended.item.action_id, ended.error)
                    self.carrier.drop(ended.item)
                elif ended.result:
                    self._push(ended.item)
        polled = 0
        for poll in self._polls.values():
            for look in poll.collect():
                polled += 1
                if look.error is not None:
                    log.error("A power poll failed: %r", look.error)
        for ask in self._asks.collect():
            if ask.error is not None:  # our own bug or the database: the lease runs out, and it is asked again
                log.error("Order %s to a BMC failed: %r", ask.item.order_id, ask.error)
        if polled:
            self._survive(self._poll)  # there is room again, and probably more that is due

    def _worn(self) -> bool:
        hung = max(lane.longest_s() for lane in self._lanes)
        if hung > self._pace.hung:
            log.error("A BMC has held a thread for %.0f s; this process ends and another takes over.", hung)
            return True
        if self._descriptors > DESCRIPTORS_LIMIT:
            log.error("This process has more than %s open files; it ends and another takes over.", DESCRIPTORS_LIMIT)
            return True
        return False

    def _count_descriptors(self) -> None:
        with contextlib.suppress(OSError):  # no /proc here
            self._descriptors = len(list(Path("/proc/self/fd").iterdir()))

    def _finish(self) -> int:
        """Wait a little for the looks under way, and give back everything, so that the next worker need not wait."""
        deadline = time.monotonic() + self._pace.stop
        while time.monotonic() < deadline and any(lane.longest_s() for lane in self._lanes):
            self._collect_only()
            if self._everything_left_hangs():
                break
            self._wake.wait(self._pace.idle)
            self._wake.clear()
        self._collect_only()
        self._survive(lambda: self.carrier.release([hand for _, _, hand in self._heap]))
        hanging = any(lane.longest_s() for lane in self._lanes)
        for lane in self._lanes:
            lane.close()
        if not hanging:
            self.database.dispose()
        return WORN_EXIT_CODE if hanging else 0

    def _collect_only(self) -> None:
        for lane in self._hands.values():
            for ended in lane.collect():
                if ended.result:
                    self._push(ended.item)
        for poll in self._polls.values():
            poll.collect()
        self._asks.collect()

    def _everything_left_hangs(self) -> bool:
        busy = [lane for lane in self._lanes if lane.items]
        return bool(busy) and all(lane.shortest_s() > self._pace.hung for lane in busy)

    def _send_beat(self) -> bool:
        """False when nobody listens any more."""
        try:
            return self._beat is None or os.write(self._beat, BEAT) > 0
        except BlockingIOError:
            return True  # the watchdog is slow to read; the pipe is full of proof that we live
        except BrokenPipeError:
            return False

    def _survive(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Unavailable as error:  # a full or a locked database passes; the loop comes by several times a second
            if time.monotonic() - self._said_at > SAY_EVERY_S:
                self._said_at = time.monotonic()
                log.warning("The BMC worker waits: %s", error)
        except Exception:
            log.exception("The BMC worker's loop had trouble")
