"""Carrying out power actions: claim a row, look at its BMC, commit, send once, commit, look again.

A `Hand` is an action that this process holds under a lease. Its epoch is compared in every commit, and
before a command leaves: a process that was frozen and wakes up late changes nothing and sends nothing.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from pxeapp.bmc import power
from pxeapp.bmc.connect import Connector
from pxeapp.bmc.errors import BmcError
from pxeapp.bmc.models import PowerAction
from pxeapp.bmc.ports import Driver
from pxeapp.bmc.power import Decision, Observation, PowerTimings
from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.machines.models import Bmc

LEASE = dt.timedelta(seconds=20)  # renewed every few seconds; after a crash others wait no longer than this
SEND_MARGIN = dt.timedelta(seconds=5)  # with less lease than this left, no command leaves
AFTER_TROUBLE = dt.timedelta(seconds=5)
log = logging.getLogger(__name__)


class Fenced(PxeError):
    """Somebody else has the action now, or it was cancelled; whatever we still meant to do is dropped."""


class Unusable(BmcError):
    """The row itself cannot be used: an unknown type, an address that is not allowed, a key that does not fit."""

    code = "unusable"


@dataclass
class Hand:
    """One action in hand. `lease_until` is what the database knows too; `next_at` is ours."""

    action_id: int
    machine_id: int
    epoch: int
    lease_until: dt.datetime
    next_at: dt.datetime
    driver: Driver | None = field(default=None, repr=False)


@dataclass
class Carrier:
    """Does the work of one worker process; its methods run in a pool of threads, one hand per thread at a time."""

    database: Database
    connector: Connector
    owner: str
    clock: Callable[[], dt.datetime]
    timings: PowerTimings = field(default_factory=PowerTimings)

    def claim(self, *, limit: int) -> list[Hand]:
        """Take due rows that nobody holds, the longest waiting first."""
        now = self.clock()
        free = or_(PowerAction.lease_until.is_(None), PowerAction.lease_until <= now)
        with self.database.read() as session:
            due = select(PowerAction.id).where(PowerAction.finished_at.is_(None), PowerAction.due_at <= now, free)
            waiting = session.scalars(due.order_by(PowerAction.due_at).limit(limit)).all()
        if not waiting:
            return []
        with self.database.write() as session:
            rows = session.execute(
                update(PowerAction)
                .where(PowerAction.id.in_(waiting), PowerAction.finished_at.is_(None), free)
                .values(lease_owner=self.owner, lease_until=now + LEASE, lease_epoch=PowerAction.lease_epoch + 1)
                .returning(PowerAction.id, PowerAction.machine_id, PowerAction.lease_epoch)
                .execution_options(synchronize_session=False)
            ).all()
        return [Hand(row.id, row.machine_id, row.lease_epoch, now + LEASE, now) for row in rows]

    def renew(self, hands: list[Hand]) -> None:
        """Prolong the leases of everything in hand; a hand that was fenced keeps its old end and runs out."""
        if not hands:
            return
        now = self.clock()
        by_id = {hand.action_id: hand for hand in hands}
        with self.database.write() as session:
            rows = session.execute(
                update(PowerAction)
                .where(PowerAction.id.in_(by_id), PowerAction.lease_owner == self.owner, PowerAction.lease_until > now)
                .values(lease_until=now + LEASE)
                .returning(PowerAction.id, PowerAction.lease_epoch)
                .execution_options(synchronize_session=False)
            ).all()
        for action_id, epoch in rows:
            if by_id[action_id].epoch == epoch:
                by_id[action_id].lease_until = now + LEASE

    def step(self, hand: Hand) -> bool:
        """Look once and do what follows; False when the action is over or no longer ours."""
        try:
            return self._step(hand)
        except Fenced as error:
            log.info("Power action %s: %s", hand.action_id, error)
            self.drop(hand)
            return False

    def drop(self, hand: Hand) -> None:
        """Let go of a hand's session."""
        driver, hand.driver = hand.driver, None
        if driver is not None:
            driver.close()

    def _step(self, hand: Hand) -> bool:
        seen = self._look(hand)
        decision = self._commit_look(hand, seen)
        if decision.do == "intend":
            self._carry_out(hand, decision.phase)
        elif decision.do == "observe":
            hand.next_at = self.clock() + (AFTER_TROUBLE if seen.trouble else self.timings.poll)
        if decision.do == "end" or decision.phase == power.DONE:
            self.drop(hand)
            return False
        return True

    def _look(self, hand: Hand) -> Observation:
        """Ask the BMC; trouble is part of the answer. A driver that had trouble is not used again."""
        try:
            driver = self._driver(hand)
            with self.database.read() as session:
                phase = session.get_one(PowerAction, hand.action_id).phase
            state = driver.power_state()
            device = driver.boot_device() if phase == "boot_sent" else None
            return Observation(self.clock(), state, device)
        except BmcError as trouble:
            self.drop(hand)
            return Observation(self.clock(), "unknown", trouble=trouble)

    def _driver(self, hand: Hand) -> Driver:
        if hand.driver is None:
            with self.database.read() as session:
                bmc = session.scalar(select(Bmc).where(Bmc.machine_id == hand.machine_id))
            if bmc is None:
                raise Unusable("The machine's BMC was taken out of our records.")
            try:
                hand.driver = self.connector.driver(bmc)
            except BmcError:
                raise
            except PxeError as error:
                raise Unusable(error.sentence, hint=error.hint) from error
        return hand.driver

    def _commit_look(self, hand: Hand, seen: Observation) -> Decision:
        with self.database.write() as session:
            action = self._mine(session, hand)
            power.observed(session, action.machine_id, seen.power, now=seen.at)
            decision = power.decide(power.standing_of(action, self.timings), seen)
            if decision.do == "end":
                power.end(session, action, outcome=decision.outcome, now=seen.at, error=decision.error)
            elif decision.phase == power.DONE:
                power.end(session, action, outcome=power.DONE, now=seen.at)
            elif decision.phase:
                power.enter(session, action, decision.phase, now=seen.at, note=decision.note)
            elif seen.trouble is not None and action.error_code != seen.trouble.code:
                # Not the end yet, but explain() should already be able to say what is wrong.
                action.error_code, action.error = seen.trouble.code, str(seen.trouble)
        return decision

    def _carry_out(self, hand: Hand, phase: str) -> None:
        """Send what was just intended, once, and record that it left. No lease, no command."""
        stage = phase.partition("_")[0]
        if self.clock() >= hand.lease_until - SEND_MARGIN:
            raise Fenced("the lease is about to end; nothing was sent.")
        driver = self._driver(hand)
        note = ""
        try:
            if stage == "boot":
                self._set_boot_device(hand, driver)
            else:
                driver.set_power("on" if stage == "on" else "off")
        except BmcError as trouble:
            self.drop(hand)
            if not trouble.retryable:
                self._end(hand, trouble)
                return
            note = f"no answer came: {trouble.sentence}"
        with self.database.write() as session:
            action = self._mine(session, hand)
            power.enter(session, action, f"{stage}_sent", now=self.clock(), note=note)
        hand.next_at = self.clock() + self.timings.poll

    def _set_boot_device(self, hand: Hand, driver: Driver) -> None:
        with self.database.read() as session:
            device = session.get_one(PowerAction, hand.action_id).boot_device
        driver.set_boot_device("network" if device == "network" else "disk")

    def _end(self, hand: Hand, error: BmcError) -> None:
        with self.database.write() as session:
            power.end(session, self._mine(session, hand), outcome=power.FAILED, now=self.clock(), error=error)

    def _mine(self, session: Session, hand: Hand) -> PowerAction:
        """The row, locked, if it is still ours; raises Fenced otherwise."""
        action = session.scalar(select(PowerAction).where(PowerAction.id == hand.action_id).with_for_update())
        if action is None or action.finished_at is not None:
            raise Fenced("it was ended by somebody else.")
        if action.lease_owner != self.owner or action.lease_epoch != hand.epoch:
            raise Fenced("another worker has taken it over.")
        return action
