"""A recording for each deployment, begun by itself when the machine is about to be switched on, and ended after it."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.config import Settings
from pxeapp.consoles import recordings
from pxeapp.consoles.held import Held
from pxeapp.consoles.models import ConsoleRecording
from pxeapp.consoles.recordings import Recorder
from pxeapp.db import Database
from pxeapp.errors import Conflict, Unavailable
from pxeapp.machines.models import Bmc, Machine
from pxeapp.provisioning.models import Deployment

LAST_WORDS = dt.timedelta(seconds=20)  # a panic comes after the report, if any comes
EVERY = dt.timedelta(seconds=2)
TIDY_EVERY = dt.timedelta(hours=1)
log = logging.getLogger(__name__)


@dataclass
class Kept:
    """One recording under way."""

    recording: int
    held: Held
    recorder: Recorder
    over_since: dt.datetime | None = None


@dataclass
class Keeping:
    """Looks at the deployments' rows now and then; `held` gives a machine's console."""

    database: Database
    settings: Settings
    held: Callable[[int, str], Held]
    _kept: dict[int, Kept] = field(default_factory=dict)
    _looked_at: dt.datetime | None = None
    _tidied_at: dt.datetime | None = None

    def look(self, now: dt.datetime) -> None:
        """Begin, end and forget what is due. A database that is away is looked at again."""
        if self._looked_at is not None and abs(now - self._looked_at) < EVERY:
            return
        self._looked_at = now
        try:
            if self.settings.console_recording:
                self._begin(now)
            self._end(now)
            if self._tidied_at is None or abs(now - self._tidied_at) > TIDY_EVERY:
                self._tidied_at = now
                self._tidy(now)
        except Unavailable as error:
            log.warning("The console process waits: %s", error)
        except Exception:
            log.exception("Recording consoles had trouble")

    def close(self) -> None:
        """The process ends: the files are whole, and the next process goes on with them."""
        for kept in self._kept.values():
            kept.held.record(None, None)
        self._kept.clear()

    def _begin(self, now: dt.datetime) -> None:
        with self.database.read() as session:
            running = session.execute(
                select(
                    Deployment.id, Deployment.machine_id, Deployment.attempt, Deployment.release, Deployment.role,
                    Machine.name,
                )
                .join(Machine, Machine.id == Deployment.machine_id)
                .join(Bmc, Bmc.machine_id == Machine.id)
                .where(Deployment.outcome.is_(None), Deployment.admitted_at.is_not(None))
            ).all()  # fmt: skip
        for row in running:
            if row.id in self._kept:
                continue
            title = f"{row.name}, attempt {row.attempt}: {row.release} as {row.role}"
            try:
                held = self.held(row.machine_id, row.name)
            except Conflict as error:  # too many consoles at once: this one is not recorded
                log.warning("The console of %s is not recorded: %s", row.name, error)
                continue
            with self.database.write() as session:
                kept = _row(session, row.id, row.machine_id, title, now)
                number, started = kept.id, kept.started_at
            path = recordings.path_of(self.settings.data_dir, number)
            try:
                recorder = Recorder(path, started_at=started, title=title)
            except OSError as error:
                log.warning("The console of %s cannot be recorded: %s", row.name, error)
                continue
            self._kept[row.id] = Kept(number, held, recorder)
            held.record(recorder, number)

    def _end(self, now: dt.datetime) -> None:
        with self.database.read() as session:
            open_rows = session.execute(
                select(ConsoleRecording.id, ConsoleRecording.deployment_id, Deployment.outcome)
                .outerjoin(Deployment, Deployment.id == ConsoleRecording.deployment_id)
                .where(ConsoleRecording.ended_at.is_(None))
            ).all()
        known = {row.deployment_id for row in open_rows}
        running = {row.deployment_id for row in open_rows if row.deployment_id and row.outcome is None}
        over = []
        for deployment_id, kept in self._kept.items():
            if deployment_id in running:
                continue
            kept.over_since = kept.over_since or now
            if deployment_id not in known or now - kept.over_since >= LAST_WORDS or now < kept.over_since:
                over.append(deployment_id)
        left = [row.id for row in open_rows if row.deployment_id not in running | set(self._kept)]
        for deployment_id in over:
            kept = self._kept.pop(deployment_id)
            detail = kept.held.detail if kept.held.state != "open" else ""
            kept.held.record(None, None)
            self._finish(kept.recording, now, kept.recorder.size, cut=kept.recorder.cut, trouble=detail)
        for number in left:
            path = recordings.path_of(self.settings.data_dir, number)
            size = path.stat().st_size if path.exists() else 0
            self._finish(number, now, size, cut=size >= recordings.SIZE_LIMIT, trouble="")

    def _finish(self, number: int, now: dt.datetime, size: int, *, cut: bool, trouble: str) -> None:
        with self.database.write() as session:
            row = session.get(ConsoleRecording, number)
            if row is not None and row.ended_at is None:
                row.ended_at, row.size, row.cut, row.trouble = now, size, cut, trouble[:300]

    def _tidy(self, now: dt.datetime) -> None:
        with self.database.write() as session:
            files = recordings.forget_old(
                session, self.settings.data_dir, now=now, days=self.settings.console_keep_days
            )
        for path in files:
            path.unlink(missing_ok=True)


def _row(session: Session, deployment_id: int, machine_id: int, title: str, now: dt.datetime) -> ConsoleRecording:
    """The deployment's recording: after a crash it is there already."""
    found = session.scalar(select(ConsoleRecording).where(ConsoleRecording.deployment_id == deployment_id))
    if found is None:
        found = ConsoleRecording(machine_id=machine_id, deployment_id=deployment_id, title=title[:200], started_at=now)
        session.add(found)
    found.ended_at = None
    session.flush()
    return found
