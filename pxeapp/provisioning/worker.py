"""The worker process: Huey's consumer takes hints, and a ticker finds every due row that no hint came for."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from huey.exceptions import HueyException

from pxeapp.appliance import clock
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.errors import Unavailable
from pxeapp.provisioning import bulk_runner, comparing, leases
from pxeapp.provisioning.admission import Limits
from pxeapp.provisioning.checking import Checker
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.queue import OneLine, Queue
from pxeapp.provisioning.reconciler import Reconciler
from pxeapp.templates import Templates
from pxeapp.vault import open_vault
from pxeapp.webhooks.telling import Teller

TICK_S = 5.0
SOON_S = 2.0  # a row that is due this soon gets a hint of its own instead of waiting for the next tick
CONSUMER_THREADS = 4
TICKS_WITHIN_S = 300.0  # one look waits 30 s for a locked database, and a few times that for a server that is away
log = logging.getLogger(__name__)


class Loop(Protocol):
    """Looks at its rows again and again."""

    def run(self, stop: threading.Event) -> None:
        """Until told to stop; what is in hand is finished first."""
        ...


class Worker:
    """One reconciling process; any number of them may run, on any host."""

    def __init__(self, settings: Settings, more: Sequence[Callable[[Worker], Loop]] = ()) -> None:
        """`more`: loops of capabilities above this one, each made with the worker and run in a thread of its own."""
        self.database = Database(settings.database_url)
        self.clock = clock.watch(self.database)
        owner = f"{socket.gethostname()}:{os.getpid()}"
        limits = Limits(settings.installs_at_once, settings.starts_per_minute)
        vault = open_vault(settings.data_dir)
        self.reconciler = Reconciler(self.database, vault, owner, limits)
        self.queue = Queue(settings.queue_url, look=self.look)
        self.checker = Checker(settings, vault, Templates(settings.templates_dir))
        self.jobs = bulk_runner.Runner(bulk_runner.Hands(self.database, vault, self.checker, self.queue), owner)
        self.comparisons = comparing.Comparer(comparing.Hands(self.database, vault, self.checker), owner)
        self.webhooks = Teller(self.database, vault, settings.webhook_networks)
        self.owner = owner
        self._more = [make(self) for make in more]
        self._stop = threading.Event()
        self._ticked_at = time.monotonic()

    @property
    def ticks(self) -> bool:
        """Whether the ticker moves, without which no row is found that no hint came for."""
        return time.monotonic() - self._ticked_at < TICKS_WITHIN_S

    def look(self, deployment_id: int) -> None:
        """Look at one row, and again soon if its step asks for that."""
        try:
            self._look(deployment_id)
        except Unavailable as error:  # a full or a locked database; the ticker comes by until it is mended
            log.warning("Deployment %s waits: %s", deployment_id, error)

    def _look(self, deployment_id: int) -> None:
        if not self.reconciler.look(deployment_id, now=now()):
            return
        with self.database.read() as session:
            row = session.get(Deployment, deployment_id)
            if row is not None and row.outcome is None:
                wait = (row.due_at - now()).total_seconds()
                if wait < SOON_S:
                    self.queue.hint(deployment_id, delay_s=max(wait, 0.0) + 0.05)

    def tick(self) -> int:
        """Write the time down, and hint every due row; returns how many."""
        self._ticked_at = time.monotonic()
        self.clock.beat()
        rows = leases.due(self.database, now=now())
        for deployment_id in rows:
            self._ticked_at = time.monotonic()
            if not self.queue.hint(deployment_id):
                self.look(deployment_id)
        return len(rows)

    def run(self) -> None:
        """Run until SIGTERM; what is in hand is finished first."""
        OneLine().install()
        threads = [
            threading.Thread(target=self._tick_for_ever, name="ticker", daemon=True),
            threading.Thread(target=self.jobs.run, args=(self._stop,), name="jobs", daemon=True),
            threading.Thread(target=self.comparisons.run, args=(self._stop,), name="comparisons", daemon=True),
            threading.Thread(target=self.webhooks.run, args=(self._stop,), name="webhooks", daemon=True),
            *(threading.Thread(target=loop.run, args=(self._stop,), daemon=True) for loop in self._more),
        ]
        for thread in threads:
            thread.start()
        consumer = self.queue.huey.create_consumer(  # type: ignore[no-untyped-call]
            workers=CONSUMER_THREADS,
            worker_type="thread",
            periodic=False,
            max_delay=0.5,
            graceful_signal="TERM",
            check_worker_health=True,
        )
        try:
            consumer.run()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(TICK_S)
            self.database.dispose()

    def _tick_for_ever(self) -> None:
        while not self._stop.is_set():
            try:
                self.tick()
            except (HueyException, OSError, Unavailable) as error:
                log.warning("A tick failed: %s", error)
            except Exception:  # a ticker that dies silently would strand every row
                log.exception("A tick failed")
            self._stop.wait(TICK_S)
