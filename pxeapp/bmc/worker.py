"""The BMC worker process: hands in a heap, a pool of threads that look, and a beat that proves it is alive.

pyghmi can hang for ever (one run in eight with dead BMCs did), and what hangs is a thread nobody can
end. So this process ends itself when a look takes too long; the watchdog starts another, and the rows
say where everything stood.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from pxeapp.bmc.connect import Connector
from pxeapp.bmc.hands import Carrier, Hand
from pxeapp.bmc.polling import Poller
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.vault import open_vault

THREADS = 24
POLL_THREADS = 4
HANDS_LIMIT = 200
LOOP_S = 0.1
CLAIM_EVERY_S = 0.5
RENEW_EVERY_S = 5.0
POLL_EVERY_S = 2.0
HUNG_AFTER_S = 90.0  # pyghmi's own worst case is about a minute
HUNG_EXIT_CODE = 70
BEAT = b"."
log = logging.getLogger(__name__)


class BmcWorker:
    """One process's worth of power actions and power polling."""

    def __init__(self, settings: Settings, *, beat: int | None = None) -> None:
        self.database = Database(settings.database_url)
        connector = Connector(settings, open_vault(settings.data_dir))
        owner = f"{socket.gethostname()}:{os.getpid()}"
        self.carrier = Carrier(self.database, connector, owner, now)
        self.poller = Poller(self.database, connector)
        self._beat = beat
        self._heap: list[tuple[float, int, Hand]] = []
        self._order = itertools.count()
        self._busy: dict[Future[bool], tuple[float, Hand]] = {}
        self._polls: dict[Future[str], float] = {}
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="bmc")
        self._poll_pool = ThreadPoolExecutor(POLL_THREADS, thread_name_prefix="poll")

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; a look that is under way is finished, what is in hand is left to its lease."""
        due = dict.fromkeys(("claim", "renew", "poll"), 0.0)
        jobs = (
            ("claim", CLAIM_EVERY_S, self._claim),
            ("renew", RENEW_EVERY_S, self._renew),
            ("poll", POLL_EVERY_S, self._poll),
        )
        while not stop.is_set():
            for name, every, job in jobs:
                if time.monotonic() >= due[name]:
                    due[name] = time.monotonic() + every
                    self._survive(job)
            self._collect()
            self._start_due()
            self._end_if_hung()
            if not self._send_beat():
                break
            stop.wait(LOOP_S)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._poll_pool.shutdown(wait=False, cancel_futures=True)
        for _, _, hand in self._heap:
            self.carrier.drop(hand)
        self.database.dispose()

    def _claim(self) -> None:
        room = HANDS_LIMIT - len(self._heap) - len(self._busy)
        if room > 0:
            for hand in self.carrier.claim(limit=room):
                self._push(hand)

    def _renew(self) -> None:
        self.carrier.renew([hand for _, _, hand in self._heap] + [hand for _, hand in self._busy.values()])

    def _poll(self) -> None:
        room = POLL_THREADS - len(self._polls)
        if room > 0:
            for machine_id in self.poller.claim(now=now(), limit=room):
                self._polls[self._poll_pool.submit(self._poll_one, machine_id)] = time.monotonic()

    def _poll_one(self, machine_id: int) -> str:
        return self.poller.look(machine_id, now=now())

    def _push(self, hand: Hand) -> None:
        wait = max(0.0, (hand.next_at - now()).total_seconds())
        heapq.heappush(self._heap, (time.monotonic() + wait, next(self._order), hand))

    def _start_due(self) -> None:
        while self._heap and self._heap[0][0] <= time.monotonic() and len(self._busy) < THREADS:
            _, _, hand = heapq.heappop(self._heap)
            self._busy[self._pool.submit(self.carrier.step, hand)] = (time.monotonic(), hand)

    def _collect(self) -> None:
        for future in [future for future in self._busy if future.done()]:
            _, hand = self._busy.pop(future)
            error = future.exception()
            if error is not None:
                # Our own bug or the database: let the lease run out, and another look will come.
                log.error("Power action %s: a look failed: %r", hand.action_id, error)
                self.carrier.drop(hand)
            elif future.result():
                self._push(hand)
        for poll in [poll for poll in self._polls if poll.done()]:
            del self._polls[poll]
            if poll.exception() is not None:
                log.error("A power poll failed: %r", poll.exception())

    def _end_if_hung(self) -> None:
        started = [since for since, _ in self._busy.values()] + list(self._polls.values())
        if started and time.monotonic() - min(started) > HUNG_AFTER_S:
            log.error("A BMC has held a thread for %.0f s; this process ends and another takes over.", HUNG_AFTER_S)
            os._exit(HUNG_EXIT_CODE)  # a thread inside pyghmi cannot be ended any other way

    def _send_beat(self) -> bool:
        """False when nobody listens any more: the watchdog was killed, and its successor starts workers of its own."""
        try:
            return self._beat is None or os.write(self._beat, BEAT) > 0
        except BrokenPipeError:
            return False

    @staticmethod
    def _survive(job: object) -> None:
        try:
            job()  # type: ignore[operator]
        except Exception:  # a locked database passes; the loop must not
            log.exception("The BMC worker's loop had trouble")
