"""Comparisons of more machines than a request has time for: ordered as a job, worked on here, kept for whoever asked.

    job = comparing.order(session, vault, proposal, selection, limit=20, actor=actor, now=now)
    ...
    shown = comparing.found(session, vault, job, actor)     # what POST /diff answers for fewer machines

A comparison changes no machine, so a job of it has no rows of machines: it says how many it has looked at. One that
breaks off begins anew. What it found is kept as long as the job is, and no longer than a page can show.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
import time
import zlib
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.accounts import scope
from pxeapp.accounts.actor import Actor
from pxeapp.accounts.permissions import ADMIN, allows
from pxeapp.db import Database, now
from pxeapp.errors import Conflict, Forbidden, NotFound, PxeError, TooMany, Unavailable
from pxeapp.jobs import service as jobs
from pxeapp.jobs.models import COMPARE, Job, JobContent
from pxeapp.machines.selectors import Filter
from pxeapp.provisioning import diffs
from pxeapp.provisioning.checking import Checker
from pxeapp.provisioning.diffs import Look
from pxeapp.provisioning.proposals import Proposal, Selection
from pxeapp.provisioning.sites import known_site
from pxeapp.vault import Vault

AT_ONCE = 500  # machines that are compared within a request
WAITING = 3  # comparisons of one account that are not done yet
BEGUN = 5  # a comparison that ends the process each time is not begun for ever
LEASE = dt.timedelta(seconds=60)
LOOK_S = 1.0
TELL_S = 1.0  # how often it is written down how far it is
MOST_GROUPS = 200
MOST_TEXT = 1_000_000  # characters of differences that are kept
log = logging.getLogger(__name__)


def takes_long(session: Session, selection: Selection) -> bool:
    """Whether these are too many machines for one request."""
    return selection.count(session) > AT_ONCE


def order(
    session: Session,
    vault: Vault,
    proposal: Proposal,
    selection: Selection,
    *,
    limit: int,
    actor: Actor,
    now: dt.datetime,
) -> Job:
    """Write the job down; see diffs.check for what is refused before. Raises TooMany while others of theirs wait."""
    mine = select(func.count()).select_from(Job).where(_unfinished(), Job.requested_by == actor.label)
    if (session.scalar(mine) or 0) >= WAITING:
        raise TooMany(
            f"{WAITING} comparisons of yours are not done yet.", hint="Wait for one of them, or cancel it.", after_s=10
        )
    total = selection.count(session)
    job = Job(action=COMPARE, options={}, requested_by=actor.label, requested_at=now, total=total)
    session.add(job)
    session.flush()
    wanted = {
        "proposal": asdict(proposal),
        "names": list(selection.names),
        "narrowed": asdict(selection.narrowed),
        "limit": limit,
        "projects": None if actor.projects is None else sorted(actor.projects),
    }
    session.add(JobContent(job_id=job.id, wanted=_sealed(vault, job.id, wanted)))
    audit.record(
        session, at=now, actor=actor.label, action=f"machines.{COMPARE}", subject=f"job {job.id}", machines=total
    )
    return job


def found(session: Session, vault: Vault, job: Job, actor: Actor) -> dict[str, Any]:
    """What it found. Raises NotFound for a job of another kind, Conflict before it is done, Forbidden for others."""
    if job.action != COMPARE:
        raise NotFound(f"Job {job.id} compares nothing.", hint=f"See /api/v1/jobs/{job.id}/items for its machines.")
    if not may_see(job, actor):
        raise Forbidden(
            f"What job {job.id} found is for whoever asked for it, and for admins.",
            hint="A template that is tried may say a secret in other words. Ask for the comparison yourself.",
        )
    if job.finished_at is None:
        raise Conflict(f"Job {job.id} has looked at {job.reached} of {job.total} machines.", hint="Ask again later.")
    if job.cancelled or job.problem:
        raise Conflict(job.problem or f"Job {job.id} was cancelled.", hint="Ask for the comparison again.")
    row = session.get_one(JobContent, job.id)
    return _opened(vault, job.id, row.found or b"")


def may_see(job: Job, actor: Actor) -> bool:
    """Whether somebody may see what a comparison found: whoever asked for it, or who may read every template."""
    return job.requested_by == actor.label or (allows(actor.role, ADMIN) and actor.projects is None)


def bounded(shown: dict[str, Any]) -> dict[str, Any]:
    """As much of a comparison as is kept, the largest groups first; a note says what was left out."""
    groups: list[dict[str, Any]] = []
    text = 0
    for group in shown["groups"][:MOST_GROUPS]:
        text += sum(len(each["diff"]) for each in group["files"])
        if groups and text > MOST_TEXT:
            break
        groups.append(group)
    left = shown["groups"][len(groups) :]
    notes = list(shown["notes"])
    if left:
        machines = sum(group["count"] for group in left)
        notes.append(f"{len(left)} more groups, of {machines} machines, are not shown: narrow the selection.")
    return {**shown, "groups": groups, "failures": shown["failures"][:MOST_GROUPS], "notes": notes}


@dataclass(frozen=True, slots=True)
class Hands:
    """What comparing needs."""

    database: Database
    vault: Vault
    checker: Checker


class _Stopped(Exception):
    """It was cancelled, the process ends, or another one has taken it over."""


class Comparer:
    """One per worker process, beside the one that works on machines: neither waits for the other."""

    def __init__(self, hands: Hands, owner: str) -> None:
        self._hands = hands
        self._owner = owner

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        while not stop.is_set():
            try:
                busy = self.look(stop)
            except Unavailable as error:  # a full or a locked database: the row is still there when it is mended
                log.warning("Comparisons wait: %s", error)
                busy = False
            except Exception:  # a thread that dies silently would strand every comparison
                log.exception("A comparison failed")
                busy = False
            if not busy:
                stop.wait(LOOK_S)

    def look(self, stop: threading.Event | None = None) -> bool:
        """Take a comparison and do it; False when there is none."""
        which = Job.action == COMPARE
        number = jobs.take(self._hands.database, which, owner=self._owner, lease=LEASE, now=now())
        if number is None:
            return False
        try:
            self._compare(number, stop or threading.Event())
        except _Stopped:
            with self._hands.database.write() as session:  # whoever comes next need not wait for the lease's end
                jobs.renew(session, number, owner=self._owner, until=now())
        except Unavailable:
            raise
        except PxeError as error:
            self._fail(number, error.in_full)
        except Exception:
            log.exception("Job %s", number)
            self._fail(number, "Something went wrong on our side; it is in the log.")
        return True

    def _compare(self, number: int, stop: threading.Event) -> None:
        own = self._hands
        wanted, total = self._begin(number)
        proposal, narrowed = Proposal(**wanted["proposal"]), Filter(**wanted["narrowed"])
        selection = Selection(tuple(wanted["names"]), narrowed)
        tools = own.checker.tools
        scope.limit(None if wanted["projects"] is None else frozenset(wanted["projects"]))
        try:
            with own.database.read() as session:
                site = known_site(session, tools.settings, tools.templates, tools.vault)
                look = Look(own.checker, site, seen=_Telling(self, number, total, stop))
                compared = diffs.compare(session, look, proposal, selection, now=now())
        finally:
            scope.limit(None)
        sealed = _sealed(own.vault, number, bounded(compared.to_dict(wanted["limit"])))
        with own.database.write() as session:
            if self.renew(session, number, reached=compared.looked_at, total=compared.looked_at):
                session.get_one(JobContent, number).found = sealed
                jobs.finish(session, jobs.get(session, number, lock=True), now=now())

    def _begin(self, number: int) -> tuple[dict[str, Any], int]:
        """What is to be compared, and how many machines that is."""
        with self._hands.database.write() as session:
            row = session.get_one(JobContent, number)
            row.begun += 1
            begun, sealed, total = row.begun, row.wanted or b"", session.get_one(Job, number).total
        if begun > BEGUN:
            raise Conflict(f"It was begun {BEGUN} times and never ended; the worker's log says more.")
        return _opened(self._hands.vault, number, sealed), total

    def _fail(self, number: int, sentence: str) -> None:
        with self._hands.database.write() as session:
            if self.renew(session, number, problem=sentence):
                jobs.finish(session, jobs.get(session, number, lock=True), now=now())

    def renew(self, session: Session, number: int, **values: Any) -> bool:
        """Go on with it; False: it is not ours any more."""
        return jobs.renew(session, number, owner=self._owner, until=now() + LEASE, **values)

    def write(self) -> Any:
        """A transaction, for what is written down on the way."""
        return self._hands.database.write()


class _Telling:
    """Writes down how far it is, once a second, and so keeps the lease; raises _Stopped where it is to end."""

    def __init__(self, comparer: Comparer, number: int, total: int, stop: threading.Event) -> None:
        self._comparer, self._number, self._total, self._stop = comparer, number, total, stop
        self._next = time.monotonic()

    def __call__(self, part: float) -> None:
        if self._stop.is_set():
            raise _Stopped
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + TELL_S
        with self._comparer.write() as session:
            if not self._comparer.renew(session, self._number, reached=int(part * self._total)):
                raise _Stopped


def _unfinished() -> ColumnElement[bool]:
    return (Job.action == COMPARE) & Job.finished_at.is_(None)


def _sealed(vault: Vault, number: int, content: dict[str, Any]) -> bytes:
    return vault.seal(zlib.compress(json.dumps(content, default=str).encode()), belongs_to=f"content of job {number}")


def _opened(vault: Vault, number: int, sealed: bytes) -> dict[str, Any]:
    content = zlib.decompress(vault.unseal(sealed, belongs_to=f"content of job {number}"))
    return dict(json.loads(content))
