"""Carrying out power actions: claim a row, look at its BMC, commit, send once, commit, look again.

A `Hand` is an action that this process holds under a lease. Its epoch is compared in every commit, and the lease's
end before a command leaves: a process that was frozen and wakes up late changes nothing and sends nothing.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from sqlalchemy import or_, select, update

from pxeapp import prepared
from pxeapp.bmc import orders, power
from pxeapp.bmc.connect import Connector
from pxeapp.bmc.errors import BmcError, BmcHangs
from pxeapp.bmc.ledger import Ledger
from pxeapp.bmc.models import PowerAction
from pxeapp.bmc.ports import Driver, PowerState
from pxeapp.bmc.power import Decision, Observation, PowerTimings, Standing
from pxeapp.commits import GroupCommit
from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.prepared import Runner

AFTER_TROUBLE = dt.timedelta(seconds=5)
TELL_EVERY = dt.timedelta(seconds=15)  # an unchanged power state is written this often, not at every look
log = logging.getLogger(__name__)


class Fenced(PxeError):
    """Somebody else has the action now, or it was cancelled; whatever we still meant to do is dropped."""


class Unusable(BmcError):
    """The row itself cannot be used: an unknown type, an address that is not allowed, a key that does not fit."""

    code = "unusable"


@dataclass
class Hand:
    """One action in hand: what the database knows (lease, standing), and what only we know (the rest)."""

    action_id: int
    machine_id: int
    epoch: int
    lease_until: dt.datetime
    next_at: dt.datetime
    driver: Driver | None = field(default=None, repr=False)
    standing: Standing | None = None
    uefi: bool = False
    fenced: bool = False  # the last renewal found it in other hands
    sick: bool = False  # its BMC did not answer: it waits for its next look in a lane of its own
    steady: tuple[PowerState, dt.datetime] | None = None  # the power last seen, and since when without a break
    told: tuple[PowerState, dt.datetime] | None = None  # what machine.power was last set to, and when


@dataclass
class Carrier:
    """Does the work of one worker process; its methods run in a pool of threads, one hand per thread at a time."""

    database: Database
    connector: Connector
    owner: str
    clock: Callable[[], dt.datetime]
    timings: PowerTimings = field(default_factory=PowerTimings)
    commits: GroupCommit = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.commits = GroupCommit(self.database)

    def claim(self, *, limit: int) -> list[Hand]:
        """Take due rows that nobody holds, the longest waiting first."""
        now = self.clock()
        until, longest = PowerAction.lease_until, 2 * self.timings.lease
        # A lease that ends much later than any lease can was taken before the clock was set back.
        free = or_(until.is_(None), until <= now, until > now + longest)
        with self.database.read() as session:
            calm = ~orders.being_asked(PowerAction.machine_id, now)  # a reading in hand is let finish
            due = select(PowerAction.id).where(PowerAction.finished_at.is_(None), PowerAction.due_at <= now, free, calm)
            waiting = session.scalars(due.order_by(PowerAction.due_at).limit(limit)).all()
        if not waiting:
            return []
        with self.database.write() as session:
            rows = session.execute(
                update(PowerAction)
                .where(PowerAction.id.in_(waiting), PowerAction.finished_at.is_(None), free)
                .values(
                    lease_owner=self.owner,
                    lease_until=now + self.timings.lease,
                    lease_epoch=PowerAction.lease_epoch + 1,
                )
                .returning(PowerAction.id, PowerAction.machine_id, PowerAction.lease_epoch)
                .execution_options(synchronize_session=False)
            ).all()
        return [Hand(row.id, row.machine_id, row.lease_epoch, now + self.timings.lease, now) for row in rows]

    def renew(self, hands: Iterable[Hand]) -> None:
        """Prolong the leases of everything in hand; a hand that is no longer ours is marked and does nothing more."""
        by_id = {hand.action_id: hand for hand in hands}
        if not by_id:
            return
        now = self.clock()
        with self.database.write() as session:
            rows = session.execute(
                update(PowerAction)
                .where(
                    PowerAction.id.in_(by_id),
                    PowerAction.finished_at.is_(None),
                    PowerAction.lease_owner == self.owner,
                    PowerAction.lease_until > now,
                )
                .values(lease_until=now + self.timings.lease)
                .returning(PowerAction.id, PowerAction.lease_epoch)
                .execution_options(synchronize_session=False)
            ).all()
        ours = {action_id for action_id, epoch in rows if by_id[action_id].epoch == epoch}
        for hand in by_id.values():
            if hand.action_id in ours:
                hand.lease_until = now + self.timings.lease
            else:
                hand.fenced = True

    def release(self, hands: Iterable[Hand]) -> None:
        """Give back what is in hand, so that nobody has to wait for the lease to run out."""
        epochs = {}
        for hand in hands:
            self.drop(hand)
            hand.fenced = True
            epochs[hand.action_id] = hand.epoch
        if not epochs:
            return
        with self.database.write() as session:
            for action_id, epoch in epochs.items():
                session.execute(
                    update(PowerAction)
                    .where(
                        PowerAction.id == action_id,
                        PowerAction.lease_owner == self.owner,
                        PowerAction.lease_epoch == epoch,
                    )
                    .values(lease_until=None)
                )

    def step(self, hand: Hand) -> bool:
        """Look once and do what follows; False when the action is over or no longer ours."""
        try:
            return self._step(hand)
        except Fenced as error:
            log.info("Power action %s: %s", hand.action_id, error)
            hand.fenced = True
            self.drop(hand)
            return False

    def drop(self, hand: Hand) -> None:
        """Let go of a hand's session."""
        driver, hand.driver = hand.driver, None
        if driver is not None:
            driver.close()

    def _step(self, hand: Hand) -> bool:
        if hand.fenced:
            raise Fenced("it is no longer ours.")
        seen = self._look(hand)
        hand.sick = seen.trouble is not None
        last = self._conclude(hand, seen)
        if last.do == "intend":
            if not self._carry_out(hand, last.phase):
                self.drop(hand)
                return False
        elif last.do == "end" or last.phase == power.DONE:
            self.drop(hand)
            return False
        else:
            hand.next_at = self._next_look(hand, seen)
        return True

    def _next_look(self, hand: Hand, seen: Observation) -> dt.datetime:
        """After the usual pause, or when the gap between two power commands is over, if that comes first."""
        now = self.clock()
        if seen.trouble is not None:
            return now + AFTER_TROUBLE
        usual, standing = now + self.timings.poll, hand.standing
        if standing is None or standing.phase not in ("off_due", "on_due") or standing.command_at is None:
            return usual
        ready = standing.command_at + self.timings.gap
        return ready if now < ready < usual else usual

    def _look(self, hand: Hand) -> Observation:
        """Ask the BMC; trouble is part of the answer. A driver that had trouble is not used again."""
        try:
            driver = self._driver(hand)
            if self._hopeless(hand):
                raise BmcHangs  # every look so far ended with its process; the next one would as well
            state = driver.power_state()
            asked = hand.standing is not None and hand.standing.phase in ("boot_intended", "boot_sent")
            device = driver.boot_device() if asked else None
        except BmcError as trouble:
            self.drop(hand)
            hand.steady = None
            return Observation(self.clock(), "unknown", trouble=trouble)
        now = self.clock()
        if hand.steady is None or hand.steady[0] != state:
            hand.steady = (state, now)
        return Observation(now, state, device, steady_since=hand.steady[1])

    def _hopeless(self, hand: Hand) -> bool:
        """Taken over more than once and still not ended long after its time: whoever looked did not come back."""
        over = hand.standing is not None and self.clock() >= hand.standing.deadline + self.timings.confirm
        return over and hand.epoch > 2

    def _driver(self, hand: Hand) -> Driver:
        """The hand's driver, and at the first use its standing; both are read in one go."""
        if hand.driver is not None and hand.standing is not None:
            return hand.driver
        with prepared.reading(self.database) as run:
            ledger = Ledger(run)
            bmc, action = ledger.bmc(hand.machine_id), ledger.action(hand.action_id)
            hand.uefi = ledger.boots_uefi(hand.machine_id)
        if action is None:
            raise Fenced("its machine was deleted.")
        hand.standing = power.standing_of(action, self.timings)
        if bmc is None:
            raise Unusable("The machine's BMC was taken out of our records.", hint="Add it again.")
        try:
            hand.driver = self.connector.driver(bmc)
        except BmcError:
            raise
        except PxeError as error:
            raise Unusable(error.sentence, hint=error.hint) from error
        return hand.driver

    def _conclude(self, hand: Hand, seen: Observation) -> Decision:
        """Decide and commit; the last decision is what is to be done. Nothing new means nothing written."""
        if hand.standing is not None and power.decide(hand.standing, seen).do == "observe" and self._known(hand, seen):
            return Decision("observe")
        last, hand.standing = self.commits.run(lambda run: self._commit(Ledger(run), hand, seen))
        hand.told = (seen.power, seen.at)
        return last

    def _known(self, hand: Hand, seen: Observation) -> bool:
        told = hand.told
        return (
            told is not None and told[0] == seen.power and abs(seen.at - told[1]) < TELL_EVERY and seen.trouble is None
        )

    def _commit(self, ledger: Ledger, hand: Hand, seen: Observation) -> tuple[Decision, Standing]:
        action = self._mine(ledger, hand)
        ledger.seen(action.machine_id, seen.power, seen.at)
        while True:
            standing = power.standing_of(action, self.timings)
            decision = power.decide(standing, seen)
            if decision.do == "intend" and self.clock() - seen.at > self.timings.fresh:
                decision = Decision("observe")  # the commit had to wait: what was seen is no longer news
            if decision.do == "intend" and (held := ledger.observing()) is not None:
                action.error_code, action.error = "observing", held.sentence
                decision = Decision("observe")
            if decision.do == "end":
                power.end(ledger, action, outcome=decision.outcome, now=seen.at, error=decision.error)
            elif decision.phase == power.DONE:
                power.end(ledger, action, outcome=power.DONE, now=seen.at, note=decision.note)
            elif decision.phase:
                power.enter(ledger, action, decision.phase, now=seen.at, note=decision.note)
            elif seen.trouble is not None:
                # Not the end yet, but explain() should already be able to say what is wrong.
                action.error_code, action.error = seen.trouble.code, str(seen.trouble)
            if decision.do != "advance" or decision.phase == power.DONE:
                return decision, self._saved(ledger, action)
            seen = replace(seen, boot_device=None)  # the next stage has yet to be asked for its own

    def _carry_out(self, hand: Hand, phase: str) -> bool:
        """Send what was just intended, once, and record that it left. No lease, no command. False: it is over."""
        stage = phase.partition("_")[0]
        if hand.fenced or hand.driver is None or self.clock() >= hand.lease_until - self.timings.margin:
            raise Fenced("the lease is about to end; nothing was sent.")
        try:
            note = "" if self._send(hand, hand.driver, stage) else "no answer came; what is observed decides"
        except BmcError as trouble:
            self.drop(hand)
            if not trouble.retryable:
                self._end(hand, trouble)
                return False
            note = f"it may not have left: {trouble.sentence}"
        if note:
            self.drop(hand)
            hand.steady = None
        hand.next_at = self.clock() + self.timings.poll
        if stage == "boot" and note:
            return True  # stays intended: it is read back and, if need be, set again; that does no harm
        if stage == "boot":
            hand.next_at = self.clock()  # the answer is here, so it can be read back at once
        hand.standing = self.commits.run(lambda run: self._record(Ledger(run), hand, f"{stage}_sent", note))
        return True

    def _send(self, hand: Hand, driver: Driver, stage: str) -> bool:
        if stage == "boot":
            wanted = hand.standing.boot_device if hand.standing else None
            return driver.set_boot_device("disk" if wanted == "disk" else "network", uefi=hand.uefi)
        return driver.set_power("on" if stage == "on" else "off")

    def _record(self, ledger: Ledger, hand: Hand, phase: str, note: str) -> Standing:
        action = self._mine(ledger, hand)
        power.enter(ledger, action, phase, now=self.clock(), note=note)
        return self._saved(ledger, action)

    def _end(self, hand: Hand, error: BmcError) -> None:
        def close(run: Runner) -> None:
            ledger = Ledger(run)
            action = self._mine(ledger, hand)
            power.end(ledger, action, outcome=power.FAILED, now=self.clock(), error=error)
            self._saved(ledger, action)

        self.commits.run(close)

    def _mine(self, ledger: Ledger, hand: Hand) -> PowerAction:
        """The row, locked, if it is still ours; raises Fenced otherwise."""
        action = ledger.action(hand.action_id)
        if action is None or action.finished_at is not None:
            raise Fenced("it was ended by somebody else.")
        if action.lease_owner != self.owner or action.lease_epoch != hand.epoch:
            raise Fenced("another worker has taken it over.")
        return action

    def _saved(self, ledger: Ledger, action: PowerAction) -> Standing:
        if not ledger.save(action):
            raise Fenced("another worker has taken it over.")
        return power.standing_of(action, self.timings)
