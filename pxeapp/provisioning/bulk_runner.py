"""Works on jobs: one machine after the other, each in a transaction of its own that writes its outcome down too.

Any number of runners may run, on any host: a job is worked on under a lease, and an item is claimed by comparing.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pxeapp.bmc import power
from pxeapp.db import Database, now
from pxeapp.errors import Conflict, PxeError, Unavailable
from pxeapp.jobs import service as jobs
from pxeapp.jobs.models import Job, JobItem
from pxeapp.machines import service
from pxeapp.machines.models import Machine
from pxeapp.machines.wire import MachineChange
from pxeapp.provisioning import lifecycle
from pxeapp.provisioning.checking import Checker, Rehearsal
from pxeapp.provisioning.queue import Queue
from pxeapp.vault import Vault

LOOK_S = 1.0
LEASE = dt.timedelta(seconds=60)  # renewed with every machine; after a crash another runner waits this long
FORGET_EVERY = dt.timedelta(hours=1)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hands:
    """What working on a machine needs besides a session."""

    database: Database
    vault: Vault
    checker: Checker
    queue: Queue


@dataclass(frozen=True, slots=True)
class Work:
    """One machine of a job."""

    job: int
    item: int
    machine_id: int
    action: str
    options: dict[str, Any]
    by: str


class Runner:
    """One per worker process."""

    def __init__(self, hands: Hands, owner: str) -> None:
        self._hands = hands
        self._owner = owner
        self._forgotten_at: dt.datetime | None = None

    def run(self, stop: threading.Event) -> None:
        """Until told to stop; what is in hand is finished first."""
        while not stop.is_set():
            try:
                busy = self.look(stop)
            except Unavailable as error:  # a full or a locked database: the row is still there when it is mended
                log.warning("Jobs wait: %s", error)
                busy = False
            except Exception:  # a runner that dies silently would strand every job
                log.exception("A job failed")
                busy = False
            if not busy:
                stop.wait(LOOK_S)

    def look(self, stop: threading.Event | None = None) -> bool:
        """Take a job and work on it until it has ended, or somebody says stop; False when there is none."""
        self._forget_old()
        number = self._take()
        if number is None:
            return False
        while (stop is None or not stop.is_set()) and (work := self._next(number)) is not None:
            self._do(work)
        return True

    def _take(self) -> int | None:
        return jobs.take(self._hands.database, Job.action.in_(ACTS), owner=self._owner, lease=LEASE, now=now())

    def _next(self, number: int) -> Work | None:
        """The next machine; when there is none, the job has ended."""
        with self._hands.database.read() as session:
            job = session.get(Job, number)
            if job is None or job.finished_at is not None or job.lease_owner != self._owner:
                return None
            item = session.scalar(
                select(JobItem)
                .where(JobItem.job_id == number, JobItem.outcome == jobs.WAITING)
                .order_by(JobItem.id)
                .limit(1)
            )
            if item is not None:
                return Work(number, item.id, item.machine_id, job.action, job.options, job.requested_by)
        with self._hands.database.write() as session:
            jobs.finish(session, jobs.get(session, number, lock=True), now=now())
        return None

    def _do(self, work: Work) -> None:
        """One machine: its outcome is written in the transaction that does it, so it is done once or not at all."""
        try:
            rehearsal = self._rehearse(work)
            with self._hands.database.write() as session:
                if not self._claim(session, work):
                    return
                result = self._act(session, work, rehearsal)
                self._settle(session, work, jobs.DONE, "", result)
        except Unavailable:
            raise
        except PxeError as error:
            self._refused(work, error.in_full)
            return
        except Exception:
            log.exception("Job %s, machine %s", work.job, work.machine_id)
            self._refused(work, "Something went wrong on our side; it is in the log.")
            return
        if "deployment" in result:
            self._hands.queue.hint(result["deployment"])

    def _rehearse(self, work: Work) -> Rehearsal | None:
        """What a deployment checks before its transaction."""
        if work.action != "deploy":
            return None
        release, role = work.options.get("release"), work.options.get("role")
        with self._hands.database.read() as session:
            row = session.get(Machine, work.machine_id)
        key = row.name if row is not None else ""
        return self._hands.checker.rehearse(self._hands.database, key, release=release, role=role)

    def _act(self, session: Session, work: Work, rehearsal: Rehearsal | None) -> dict[str, Any]:
        machine = session.scalar(select(Machine).where(Machine.id == work.machine_id).with_for_update(of=Machine))
        if machine is None:
            raise Conflict("It is not there any more.")
        return ACTS[work.action](self._hands, session, machine, work, rehearsal)

    def _claim(self, session: Session, work: Work) -> bool:
        """Whether the machine is still to be done: a job may have been cancelled, or its lease lost, meanwhile."""
        mine = jobs.renew(session, work.job, owner=self._owner, until=now() + LEASE)
        waiting = select(JobItem.id).where(JobItem.id == work.item, JobItem.outcome == jobs.WAITING)
        return mine and session.scalar(waiting) is not None

    @staticmethod
    def _settle(session: Session, work: Work, outcome: str, detail: str, result: dict[str, Any]) -> None:
        session.flush()
        session.execute(
            update(JobItem)
            .where(JobItem.id == work.item, JobItem.outcome == jobs.WAITING)
            .values(outcome=outcome, detail=detail, result=result, at=now())
        )

    def _refused(self, work: Work, sentence: str) -> None:
        with self._hands.database.write() as session:
            if self._claim(session, work):
                self._settle(session, work, jobs.REFUSED, sentence, {})

    def _forget_old(self) -> None:
        moment = now()
        if self._forgotten_at is not None and moment - self._forgotten_at < FORGET_EVERY:
            return
        self._forgotten_at = moment
        with self._hands.database.write() as session:
            jobs.forget_old(session, now=moment)


def _deploy(
    _hands: Hands, session: Session, machine: Machine, work: Work, rehearsal: Rehearsal | None
) -> dict[str, Any]:
    said = work.options
    deployment = lifecycle.deploy(
        session, machine, release=said.get("release"), role=said.get("role"), reimage=bool(said.get("reimage")),
        rehearsal=rehearsal or _hands.checker.unrehearsed(), requested_by=work.by, now=now(),
    )  # fmt: skip
    return {"deployment": deployment.id}


def _abort(_hands: Hands, session: Session, machine: Machine, work: Work, _: Rehearsal | None) -> dict[str, Any]:
    return {"deployment": lifecycle.abort(session, machine, requested_by=work.by, now=now()).id}


def _release(_hands: Hands, session: Session, machine: Machine, work: Work, _: Rehearsal | None) -> dict[str, Any]:
    lifecycle.release_machine(session, machine, requested_by=work.by, now=now())
    return {}


def _power(_hands: Hands, session: Session, machine: Machine, work: Work, _: Rehearsal | None) -> dict[str, Any]:
    lifecycle.refuse_power_order(machine)
    goal = work.options["power"]
    action = power.request(session, machine_id=machine.id, goal=goal, requested_by=work.by, now=now())
    session.flush()
    return {"power_action": action.id}


def _change(hands: Hands, session: Session, machine: Machine, work: Work, **said: Any) -> dict[str, Any]:
    """No name of the site's is among what changes, so that nothing has to be known of it."""
    site = service.Site(frozenset(), frozenset(), frozenset(), ())
    change = MachineChange.model_validate(said)
    changed = service.change(session, hands.vault, site, machine, change, actor=work.by, now=now())
    return {"changed": bool(changed)}


def _label(hands: Hands, session: Session, machine: Machine, work: Work, _: Rehearsal | None) -> dict[str, Any]:
    labels = {**machine.labels, **work.options.get("set", {})}
    for name in work.options.get("remove", []):
        labels.pop(name, None)
    return _change(hands, session, machine, work, labels=labels)


def _maintenance(hands: Hands, session: Session, machine: Machine, work: Work, _: Rehearsal | None) -> dict[str, Any]:
    on = bool(work.options["on"])
    reason = work.options.get("reason") or ""
    return _change(hands, session, machine, work, maintenance=on, maintenance_reason=reason if on else "")


def _lock(hands: Hands, session: Session, machine: Machine, work: Work, _: Rehearsal | None) -> dict[str, Any]:
    return _change(hands, session, machine, work, locked=bool(work.options["on"]))


def _bring(_hands: Hands, session: Session, machine: Machine, work: Work, _: Rehearsal | None) -> dict[str, Any]:
    service.bring(session, machine, work.options["verb"], actor=work.by, now=now())
    return {"state": machine.state}


def _delete(_hands: Hands, session: Session, machine: Machine, work: Work, _: Rehearsal | None) -> dict[str, Any]:
    service.delete(session, machine, actor=work.by, now=now())
    return {}


Act = Callable[[Hands, Session, Machine, Work, Rehearsal | None], dict[str, Any]]
ACTS: dict[str, Act] = {
    "deploy": _deploy,
    "release": _release,
    "abort": _abort,
    "power": _power,
    "label": _label,
    "maintenance": _maintenance,
    "lock": _lock,
    "bring": _bring,
    "delete": _delete,
}
