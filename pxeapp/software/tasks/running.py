"""What a task's work is given, and how it tells how far it is."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import update

from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.db import now as wall_clock
from pxeapp.errors import PxeError
from pxeapp.software.content.store import Store
from pxeapp.software.tasks.models import SoftwareTask

LEASE = dt.timedelta(seconds=60)
TELL_S = 1.0  # how often it is written down how far it is


class Stopped(Exception):
    """Somebody cancelled it, the process ends, or another one has it by now: end, and leave things as they were."""


class Work(Protocol):
    """A kind of task: does it, and returns what came of it for the row. It may be called again after a crash."""

    def __call__(self, run: Run, /) -> dict[str, Any]: ...


@dataclass(slots=True)
class Run:
    """One task in work, under the lease of `owner`."""

    settings: Settings
    database: Database
    store: Store
    task_id: int
    kind: str
    subject: str
    options: dict[str, Any]
    actor: str  # who asked for it
    owner: str
    begun: int = 1  # how often: what was begun before may have been done already, all but for saying so
    stopping: bool = False  # the process ends; set by another thread
    _told_at: float = field(default=0.0, init=False)

    def now(self) -> dt.datetime:
        """The present moment."""
        return wall_clock()

    def progress(self, done: int, total: int = 0, *, unit: str = "", says: str = "") -> None:
        """Write down how far it is, at most once a second; call it often. Raises Stopped when the work is to end.

        What a call leaves out (0, "") stays as it was said before.
        """
        if self.stopping:
            raise Stopped
        if time.monotonic() - self._told_at < TELL_S:
            return
        said = {"total": total, "unit": unit, "says": says}
        self._renew(done=done, **{name: value for name, value in said.items() if value})

    def says(self, sentence: str) -> None:
        """Write down what it is at now, at once. Raises Stopped when the work is to end."""
        if self.stopping:
            raise Stopped
        self._renew(says=sentence)

    @contextmanager
    def busy(self, sentence: str) -> Iterator[None]:
        """Say what it is at, and keep the task while the block does what cannot tell how far it is.

        Whether somebody cancelled it meanwhile is heard at the next word after the block.
        """
        self.says(sentence)
        over = threading.Event()

        def keep() -> None:
            while not over.wait(LEASE.total_seconds() / 4):
                with suppress(Stopped, PxeError):
                    self._renew()

        thread = threading.Thread(target=keep, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _renew(self, **values: Any) -> None:
        self._told_at = time.monotonic()
        with self.database.write() as session:
            renewed = session.execute(
                update(SoftwareTask)
                .where(
                    SoftwareTask.id == self.task_id,
                    SoftwareTask.lease_owner == self.owner,
                    SoftwareTask.finished_at.is_(None),
                    SoftwareTask.cancelled.is_(False),
                )
                .values(lease_until=self.now() + LEASE, **values)
            )
            if renewed.rowcount != 1:  # type: ignore[attr-defined]
                raise Stopped
