"""A thread beside nginx that counts its access log into rows, writes down how upstreams are, and keeps logs bounded."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

from pxeapp.db import Database, now
from pxeapp.errors import PxeError
from pxeapp.software.cache import statistics
from pxeapp.software.cache.access_log import Log, summed

EVERY_S = 2.0
MAX_LOG_BYTES = 64 * 1024 * 1024
MANY = 10_000  # lines in one look
log = logging.getLogger(__name__)


class Seen(Protocol):
    """What the front knows of its upstreams."""

    def problems(self) -> dict[str, str]:
        """By upstream; empty texts for those that are well."""

    def sets(self, name: str) -> list[dict[str, Any]]:
        """An upstream's index sets."""

    def fetched(self) -> dict[str, int]:
        """Bytes of indexes since the last time."""


class Counting:
    """One for a running front."""

    def __init__(self, database: Database, folder: Path, seen: Seen) -> None:
        self._database, self._seen = database, seen
        self._log, self._errors = Log(folder / "access.log"), folder / "error.log"
        self._fetched: Counter[str] = Counter()
        self._written: dict[str, tuple[str, list[dict[str, Any]]]] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="counting", daemon=True)
        self._nginx = 0

    def begin(self, nginx: int) -> None:
        """Count from now on; `nginx` is told when its logs were put aside."""
        self._nginx = nginx
        self._thread.start()

    def end(self) -> None:
        """Count what is still there, and no more."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(10.0)
        self.look()
        self.look()  # the log may have been put aside: then the new one comes second

    def look(self) -> None:
        """Count what is new, and write down what has changed; what the database does not take now waits."""
        try:
            while self._count() > MANY:  # otherwise what comes meanwhile waits for the next look
                pass
            self._observe()
        except (PxeError, SQLAlchemyError, OSError) as error:
            log.warning("what was asked of upstreams is counted later: %s", error)

    def _go_on(self) -> None:
        while not self._ending.wait(EVERY_S):
            self.look()
            try:
                self._put_aside()
            except OSError as error:
                log.warning("the front's logs cannot be put aside: %s", error)

    def _count(self) -> int:
        self._fetched.update({name: size for name, size in self._seen.fetched().items() if size})
        lines, place = self._log.read()
        by_day = summed(lines)
        if by_day or self._fetched:
            with self._database.write() as session:
                statistics.add(session, by_day, self._fetched, list(self._seen.problems()), now())
            self._fetched.clear()
        self._log.was_read(place)
        return len(lines)

    def _observe(self) -> None:
        present = {name: (problem, self._seen.sets(name)) for name, problem in self._seen.problems().items()}
        changed = {name: each for name, each in present.items() if self._written.get(name) != each}
        if changed:
            with self._database.write() as session:
                for name, (problem, sets) in changed.items():
                    statistics.observe(session, name, problem, sets, now())
        self._written = present

    def _put_aside(self) -> None:
        """One older file of each is kept. What of the access log is not counted yet is found there."""
        aside = False
        if _size(self._log.path) > MAX_LOG_BYTES and self._log.is_being_read:
            self._log.rotate()
            aside = True
        if _size(self._errors) > MAX_LOG_BYTES:
            self._errors.replace(self._errors.with_name("error.log.1"))
            aside = True
        if aside:
            os.kill(self._nginx, signal.SIGUSR1)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
