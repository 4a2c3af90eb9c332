"""The software worker: takes tasks one after the other, a few at a time, each under a lease that it renews as it goes.

A worker that was killed leaves its task with a lease; when that is over the task begins again, and since work goes on
from what lies in the store, little is done twice. What ends the process each time is given up after `BEGUN` tries.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import or_, select, update

from pxeapp import audit
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.errors import PxeError, Unavailable
from pxeapp.software.content import unsynced
from pxeapp.software.content.store import Store
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.software.tasks.running import LEASE, Run, Stopped, Work
from pxeapp.software.tasks.service import CANCELLED, DONE, FAILED, forget_old

AT_ONCE = 2
BEGUN = 5
LOOK_S = 1.0
HOUSEKEEPING_S = 30.0
log = logging.getLogger(__name__)


class Runner:
    """One per process; any number may run, on any host that shares the data directory."""

    def __init__(
        self,
        settings: Settings,
        kinds: Mapping[str, Callable[[], Work]],
        regular: Sequence[Callable[[Settings, Database, dt.datetime], None]] = (),
    ) -> None:
        """`kinds`: what does the tasks of each, loaded when one is there; `regular` is called every half minute."""
        self._settings = settings
        self._database = Database(settings.database_url)
        self._store = Store(settings.data_dir / "software")
        self._kinds = kinds
        self._regular = regular
        self._runs: dict[int, Run] = {}
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    def run(self, stop: threading.Event) -> None:
        """Until told to stop; work in hand ends at its next word, and goes on with the next worker."""
        if wrong := unsynced.look(self._store):
            log.warning("%s files of the store had not reached the disk when the power went; they are gone", wrong)
        threads = [threading.Thread(target=self._work, args=(number, stop), daemon=True) for number in range(AT_ONCE)]
        threads.append(threading.Thread(target=self._keep_house, args=(stop,), daemon=True))
        for thread in threads:
            thread.start()
        stop.wait()
        for run in list(self._runs.values()):
            run.stopping = True
        for thread in threads:
            thread.join(10.0)
        self._database.dispose()

    def look(self, number: int = 0, stop: threading.Event | None = None) -> bool:
        """Take the oldest task that nobody works on and do it; False when there is none."""
        owner = f"{self._name}:{number}"
        run = self._take(owner)
        if run is None:
            return False
        self._runs[number] = run
        run.stopping = stop is not None and stop.is_set()
        try:
            kind = self._kinds.get(run.kind)
            if kind is None:
                raise PxeError(f"This appliance knows no task {run.kind!r}.", hint="Is an older worker running?")
            result = kind()(run)
            self._end(run, DONE, result=result)
        except Stopped:
            self._put_back(run)
        except PxeError as error:
            log.warning("Task %s (%s) failed: %s", run.task_id, run.subject, error)
            self._end(run, FAILED, problem=error.in_full)
        except OSError as error:
            log.exception("Task %s (%s) failed", run.task_id, run.subject)
            self._end(run, FAILED, problem=f"A file could not be read or written: {error}.")
        except Exception:
            log.exception("Task %s (%s) failed", run.task_id, run.subject)
            self._end(run, FAILED, problem="Something went wrong on our side; it is in the log.")
        finally:
            self._runs.pop(number, None)
        return True

    def _work(self, number: int, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                busy = self.look(number, stop)
            except Unavailable as error:  # a full or a locked database: the row is still there when it is mended
                log.warning("Software tasks wait: %s", error)
                busy = False
            except Exception:  # a thread that dies silently would strand every task
                log.exception("A look for software tasks failed")
                busy = False
            if not busy:
                stop.wait(LOOK_S)

    def _keep_house(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                with self._database.write() as session:
                    forget_old(session, now=now())
                for look in self._regular:
                    look(self._settings, self._database, now())
            except PxeError as error:
                log.warning("Looking after software failed: %s", error)
            except Exception:
                log.exception("Looking after software failed")
            stop.wait(HOUSEKEEPING_S)

    def _take(self, owner: str) -> Run | None:
        moment = now()
        free = or_(SoftwareTask.lease_until.is_(None), SoftwareTask.lease_until < moment)
        open_ = SoftwareTask.finished_at.is_(None)
        with self._database.read() as session:
            number = session.scalar(select(SoftwareTask.id).where(open_, free).order_by(SoftwareTask.id).limit(1))
        if number is None:
            return None
        with self._database.write() as session:
            mine = session.execute(
                update(SoftwareTask)
                .where(SoftwareTask.id == number, open_, free)
                .values(lease_owner=owner, lease_until=moment + LEASE, begun=SoftwareTask.begun + 1)
            )
            if mine.rowcount != 1:  # type: ignore[attr-defined]
                return None
            row = session.get_one(SoftwareTask, number)
            session.refresh(row)
            row.started_at = row.started_at or moment
            run = Run(
                self._settings, self._database, self._store, row.id, row.kind, row.subject, dict(row.options),
                row.requested_by, owner, row.begun,
            )  # fmt: skip
            if row.cancelled or row.begun > BEGUN:
                row.finished_at, row.lease_owner, row.lease_until = moment, None, None
                row.outcome = CANCELLED if row.cancelled else FAILED
                row.problem = "" if row.cancelled else f"It was begun {BEGUN} times, and the worker ended each time."
                return None
        return run

    def _put_back(self, run: Run) -> None:
        """It was cancelled, and is over; or the process ends, and whoever comes next need not wait for the lease."""
        with self._database.write() as session:
            row = session.get(SoftwareTask, run.task_id, with_for_update=True)
            if row is None or row.finished_at is not None or row.lease_owner != run.owner:
                return
            row.lease_owner = row.lease_until = None
            if row.cancelled:
                row.finished_at, row.outcome = now(), CANCELLED
            else:
                row.begun -= 1  # told to stop is not a crash

    def _end(self, run: Run, outcome: str, *, problem: str = "", result: dict[str, object] | None = None) -> None:
        with self._database.write() as session:
            row = session.get(SoftwareTask, run.task_id, with_for_update=True)
            if row is None or row.finished_at is not None or row.lease_owner != run.owner:
                return  # another one has it by now, and will say how it ended
            row.finished_at, row.outcome, row.problem = now(), outcome, problem
            row.result = dict(result or {})
            row.lease_owner = row.lease_until = None
            if outcome == DONE and row.total:
                row.done = row.total
            audit.record(
                session, at=now(), actor="system:software", action=f"{row.kind}.{outcome}",
                subject=f"software:{row.subject}", task=row.id, requested_by=row.requested_by, problem=problem,
            )  # fmt: skip
