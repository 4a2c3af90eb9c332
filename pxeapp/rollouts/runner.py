"""The runner: looks at every rollout that is due, and at every machine that is worked on.

Level-triggered: rows in, rows out, any number of processes on any host, after any crash. A look at a machine talks to
it, to its cloud or to nobody, outside of any transaction and under a lease; what was found is written down only while
the lease is still held, so that a process that wakes up late changes nothing.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session, undefer

from pxeapp.appliance import observing
from pxeapp.db import Database
from pxeapp.db import now as wall_clock
from pxeapp.errors import Conflict, PxeError, Unavailable
from pxeapp.rollouts import course, leases, service, waves
from pxeapp.rollouts.amounts import as_text
from pxeapp.rollouts.leases import Lease
from pxeapp.rollouts.models import Rollout, RolloutMember, RolloutStep
from pxeapp.rollouts.port import AGAIN, KEPT_LOG, Done, Failed, Outcome, Step, Subject, Waiting
from pxeapp.rollouts.spec import Spec

LOOK_S = 1.0
AT_ONCE = 24  # machines that one process talks to at the same time; most of a look is waiting for an answer
FORECAST_EVERY = dt.timedelta(minutes=10)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hands:
    """What the runner works with; wiring is hands.py's."""

    database: Database
    steps: Mapping[str, Step]
    clock: Callable[[], dt.datetime] = wall_clock


class Runner:
    """One per worker process."""

    def __init__(self, hands: Hands, owner: str) -> None:
        self._hands = hands
        self._owner = owner
        self._typical: dict[int, tuple[dt.datetime, dt.timedelta]] = {}
        self._busy: set[int] = set()  # machines that threads of this process are at
        self._lock = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Until told to stop; looks that have begun are finished first."""
        with ThreadPoolExecutor(AT_ONCE, "rollouts") as pool:
            while not stop.is_set():
                try:
                    self._round(pool)
                except Unavailable as error:  # a full or a locked database: the rows are there when it is mended
                    log.warning("Rollouts wait: %s", error)
                except Exception:  # a runner that dies silently would strand every machine that is drained
                    log.exception("A look at the rollouts failed")
                stop.wait(LOOK_S)

    def due(self) -> tuple[list[int], list[int]]:
        """Rollouts and machines that want a look now."""
        now = self._hands.clock()
        with self._hands.database.read() as session:
            return leases.due(session, Rollout, now=now), leases.due(session, RolloutMember, now=now)

    def look(self, number: int) -> bool:
        """Look at one rollout; False when somebody else does or it is not due."""
        now = self._hands.clock()
        lease = leases.take(self._hands.database, Rollout, number, owner=self._owner, now=now)
        if lease is None:
            return False
        typical = self._typically(number, now)
        with self._hands.database.write() as session:
            rollout = service.get(session, number, lock=True)
            if not lease.held(rollout) or rollout.state not in leases.AT_WORK:
                return False
            waves.advance(session, rollout, now=now, typical=typical)
            leases.give_back(rollout)
        return True

    def work(self, number: int) -> bool:
        """Look at one machine; False when somebody else does, or it is not due, or nothing may move."""
        now = self._hands.clock()
        lease = leases.take(self._hands.database, RolloutMember, number, owner=self._owner, now=now)
        if lease is None:
            return False
        with self._hands.database.read() as session:
            member = session.get_one(RolloutMember, number)
            rollout = session.get_one(Rollout, member.rollout_id)
            subject, memory = self._subject(session, rollout, member)
            watching = observing.present(session)
        if watching:
            says = "The appliance only observes, until somebody runs `pxeapp resume`."
            return self._keep(lease, Waiting(says, memory, waves.SELDOM))
        if rollout.state == waves.ABORTING and member.step == course.DRAIN:
            return self._keep(lease, None)
        return self._keep(lease, self._ask(subject, memory, member, now))

    def _round(self, pool: ThreadPoolExecutor) -> None:
        rollouts, members = self.due()
        for number in rollouts:
            self.look(number)
        with self._lock:
            free = [number for number in members if number not in self._busy][: 2 * AT_ONCE]
            self._busy.update(free)
        for number in free:
            pool.submit(self._work_safely, number)

    def _work_safely(self, number: int) -> None:
        try:
            self.work(number)
        except Unavailable as error:
            log.warning("A machine of a rollout waits: %s", error)
        except Exception:
            log.exception("A look at a machine of a rollout failed")
        finally:
            with self._lock:
                self._busy.discard(number)

    def _ask(self, subject: Subject, memory: Mapping[str, object], member: RolloutMember, now: dt.datetime) -> Outcome:
        if member.step_deadline is not None and now >= member.step_deadline:
            allowed = as_text(course.allowance(subject.spec, subject.step))
            says = f"It took longer than {allowed}. {member.says}".strip()
            return Failed(f"{subject.step}_timeout", says, "See its log, then retry or skip it.", memory=memory)
        try:
            return self._hands.steps[subject.step].look(subject, memory, now=now)
        except PxeError as error:
            if error.retryable:
                return Waiting(str(error), memory, 2 * AGAIN)
            return Failed("refused", error.in_full, error.hint, memory=memory)
        except Exception:  # ours; the step has its deadline
            log.exception("Rollout %s, %s: %s", subject.rollout_id, subject.machine, subject.step)
            return Waiting("Something went wrong on our side; it is in the log.", memory, 4 * AGAIN)

    def _subject(
        self, session: Session, rollout: Rollout, member: RolloutMember
    ) -> tuple[Subject, Mapping[str, object]]:
        rows = session.scalars(
            select(RolloutStep).where(RolloutStep.member_id == member.id).order_by(RolloutStep.id)
        ).all()
        present = next(row for row in reversed(rows) if row.step == member.step and row.outcome is None)
        subject = Subject(
            rollout.id, member.id, member.machine_id, member.machine, member.role, member.release, member.cluster,
            Spec.model_validate(rollout.spec), member.step, present.tries, present.started_at,
            {row.step: row.memory for row in rows if row is not present},
        )  # fmt: skip
        return subject, present.memory

    def _keep(self, lease: Lease, outcome: Outcome | None) -> bool:
        """Write down what a look has found, if it is still ours to; None: the step is broken off."""
        now = self._hands.clock()
        with self._hands.database.write() as session:
            member = session.get(RolloutMember, lease.id, with_for_update=True)
            if member is None or not lease.held(member):
                return False
            rollout = session.get_one(Rollout, member.rollout_id)
            row = course.running_try(session, member)
            leases.give_back(member)
            if row is not None:
                _Found(session, rollout, member, row, now).keep(outcome)
        return True

    def _typically(self, number: int, now: dt.datetime) -> dt.timedelta | None:
        """How long one of its machines takes; asked now and then, and only where windows may close."""
        at, found = self._typical.get(number, (None, None))
        if at is None or not dt.timedelta() <= now - at < FORECAST_EVERY:
            with self._hands.database.read() as session:
                rollout = service.get(session, number)
                if not Spec.model_validate(rollout.spec).order.windows:
                    return None
                found = service.forecast(session, rollout, now=now).typical
            self._typical[number] = (now, found)
        return found


@dataclass(frozen=True, slots=True)
class _Found:
    """What one look has found, put into the rows."""

    session: Session
    rollout: Rollout
    member: RolloutMember
    row: RolloutStep
    now: dt.datetime

    def keep(self, outcome: Outcome | None) -> None:
        """Keep it, and go where it leads."""
        if outcome is None:
            self._end("aborted", "", "Broken off: the rollout is being aborted.")
            self._enter(course.UNDRAIN)
            return
        self.row.memory, self.row.says = dict(outcome.memory), outcome.says
        self._log(outcome.log)
        if isinstance(outcome, Waiting):
            self.member.says = outcome.says
            self.member.due_at = self.now + outcome.again
            return
        self.row.evidence = dict(outcome.evidence)
        self.session.execute(update(Rollout).where(Rollout.id == self.rollout.id).values(due_at=self.now))
        if isinstance(outcome, Done):
            self._end("done", "", outcome.says)
            self._enter(self._next())
            return
        self._end("failed", outcome.code, outcome.says)
        course.fail(
            self.session, self.rollout, self.member, code=outcome.code, reason=outcome.says, hint=outcome.hint,
            now=self.now,
        )  # fmt: skip

    def _next(self) -> str | None:
        following = course.after(Spec.model_validate(self.rollout.spec), self.member.step)
        if self.rollout.state == waves.ABORTING:
            if self.member.step == course.DRAIN:
                return course.UNDRAIN
            if following == course.SOAK:  # nothing comes after it that it would have to stop
                return None
        return following

    def _enter(self, step: str | None) -> None:
        try:
            if step is None:
                course.settle(self.session, self.rollout, self.member, self._how_it_ended(), now=self.now)
            else:
                course.enter(self.session, self.rollout, self.member, step, now=self.now)
        except Conflict as error:  # an operator has taken the machine meanwhile, or it is gone
            course.fail(
                self.session, self.rollout, self.member, code="machine_taken", reason=str(error), hint=error.hint,
                now=self.now,
            )  # fmt: skip

    def _how_it_ended(self) -> str:
        """Done, or aborted where what the rollout is for was not done to it."""
        spec = Spec.model_validate(self.rollout.spec)
        rows = select(RolloutStep.id).where(
            RolloutStep.member_id == self.member.id,
            RolloutStep.step == spec.action.kind,
            RolloutStep.outcome == "done",
        )
        return "done" if self.session.scalar(rows.limit(1)) is not None else "aborted"

    def _end(self, outcome: str, code: str, says: str) -> None:
        self.row.outcome, self.row.code, self.row.says, self.row.finished_at = outcome, code, says, self.now
        self.session.flush()

    def _log(self, more: str) -> None:
        if more:
            row = self.session.get_one(RolloutStep, self.row.id, options=[undefer(RolloutStep.log)])
            row.log = (row.log + more.encode())[-KEPT_LOG:]
