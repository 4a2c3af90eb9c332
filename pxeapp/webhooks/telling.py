"""The worker's part: new changes become deliveries, and each webhook gets its deliveries one after the other.

A webhook's deliveries go out in the order of the changes; one that fails holds those behind it until it is given up.
A delivery may come twice (we may die between the answer and our note of it), never not at all while it is kept.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from netaddr import IPNetwork
from sqlalchemy import ColumnElement, Select, delete, func, or_, select, update
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.appliance import observing
from pxeapp.db import Database, now, one_at_a_time
from pxeapp.errors import PxeError, Unavailable
from pxeapp.vault import Vault
from pxeapp.webhooks import changes, sending
from pxeapp.webhooks.models import Delivery, Told, Webhook
from pxeapp.webhooks.sending import Sent
from pxeapp.webhooks.service import DELIVERED, FAILED, WAITING

LOOK_S = 1.0
AT_ONCE = 4  # webhooks that are sent to at the same time: a slow receiver holds up nobody else
IN_A_ROW = 50  # deliveries of one webhook before another one's turn
ATTEMPTS = 10  # then a delivery is given up, about three quarters of an hour after the first
FIRST_WAIT = dt.timedelta(seconds=5)  # doubled with each failure
LONGEST_WAIT = dt.timedelta(hours=1)
PATIENCE = dt.timedelta(days=1)  # without one success: the webhook is disabled
LEASE = dt.timedelta(seconds=60)
KEPT = dt.timedelta(days=7)
MOST_WAITING = 10_000  # of one webhook; the oldest are given up
FORGET_EVERY = dt.timedelta(minutes=10)
log = logging.getLogger(__name__)


class Teller:
    """One per worker process; any number of them may run, on any host."""

    def __init__(self, database: Database, vault: Vault, networks: Sequence[IPNetwork]) -> None:
        self._database = database
        self._vault = vault
        self._networks = networks
        self._forgotten_at: dt.datetime | None = None

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as pool:
            while not stop.is_set():
                try:
                    self.tell()
                    list(pool.map(self.send, self.due()))
                    self.forget()
                except Unavailable as error:
                    log.warning("Webhooks wait: %s", error)
                except Exception:  # one that dies silently would tell nobody anything any more
                    log.exception("Telling webhooks failed")
                stop.wait(LOOK_S)

    def tell(self) -> int:
        """Make deliveries of what changed since the last time; returns how many."""
        with self._database.read() as session:
            told = session.get(Told, 1)
            if told is None or changes.newest(session) <= told.change_id:
                return 0
        with self._database.write() as session:
            one_at_a_time(session, "webhooks")
            place = session.get_one(Told, 1)
            moment = now()
            rows = changes.after(session, place.change_id, now=moment)
            hooks = session.scalars(select(Webhook).where(Webhook.enabled)).all()
            made = 0
            for row in filter(changes.happened, rows):
                event, shown = changes.name(row), changes.wire(row)
                for hook in hooks:
                    if changes.wanted(event, hook.events):
                        session.add(
                            Delivery(webhook_id=hook.id, change_id=row.id, event=event, body=shown, created_at=moment)
                        )
                        made += 1
            if rows:
                place.change_id = rows[-1].id
            return made

    def due(self) -> list[int]:
        """The webhooks that have something to be sent, and whose waiting time is over."""
        with self._database.read() as session:
            if observing.present(session) is not None:
                return []  # a restored copy must not tell others what its original tells them too
            waiting = select(Delivery.id).where(Delivery.webhook_id == Webhook.id, Delivery.outcome == WAITING)
            found = select(Webhook.id).where(*_free(now()), waiting.exists()).order_by(Webhook.due_at)
            return list(session.scalars(found))

    def send(self, webhook_id: int) -> int:
        """Send what waits for one webhook until one fails; returns how many were delivered."""
        delivered = 0
        try:
            while delivered < IN_A_ROW and self._send_next(webhook_id):
                delivered += 1
        except Unavailable as error:
            log.warning("A webhook waits: %s", error)
        except Exception:
            log.exception("Sending to webhook %s failed", webhook_id)
        return delivered

    def _send_next(self, webhook_id: int) -> bool:
        moment = now()
        with self._database.write() as session:
            mine = session.execute(
                update(Webhook).where(Webhook.id == webhook_id, *_free(moment)).values(lease_until=moment + LEASE)
            )
            if mine.rowcount != 1:  # type: ignore[attr-defined]
                return False
            hook = session.get_one(Webhook, webhook_id)
            delivery = session.scalar(_next(webhook_id))
            if delivery is None:
                hook.lease_until = None
                return False
            delivery.attempts += 1
        sent = self._post(hook, delivery, moment)
        with self._database.write() as session:
            present = session.get(Webhook, webhook_id, with_for_update=True)
            if present is not None:  # else it was removed meanwhile, with its deliveries
                _note(session, present, session.get_one(Delivery, delivery.id), sent, now=now())
        return not sent.problem

    def _post(self, hook: Webhook, delivery: Delivery, moment: dt.datetime) -> Sent:
        try:
            secret = self._vault.decrypt(hook.secret_encrypted)
        except PxeError as error:
            return Sent(None, str(error))
        return sending.post(
            hook.url, sending.body(delivery.body), secret=secret, event=delivery.event, delivery=delivery.id,
            timestamp=int(moment.timestamp()), networks=self._networks,
        )  # fmt: skip

    def forget(self) -> None:
        """What was sent is kept for a week; what waits, up to a number."""
        moment = now()
        if self._forgotten_at is not None and moment - self._forgotten_at < FORGET_EVERY:
            return
        self._forgotten_at = moment
        with self._database.write() as session:
            session.execute(delete(Delivery).where(Delivery.created_at < moment - KEPT, Delivery.outcome != WAITING))
            for hook_id in session.scalars(select(Webhook.id)).all():
                newest = (
                    select(Delivery.id)
                    .where(Delivery.webhook_id == hook_id, Delivery.outcome == WAITING)
                    .order_by(Delivery.id.desc())
                )
                oldest_kept = session.scalar(newest.offset(MOST_WAITING - 1).limit(1))
                if oldest_kept is not None:
                    session.execute(
                        update(Delivery)
                        .where(Delivery.webhook_id == hook_id, Delivery.outcome == WAITING, Delivery.id < oldest_kept)
                        .values(outcome=FAILED, problem=f"More than {MOST_WAITING} were waiting.", finished_at=moment)
                    )


def wait(failures: int) -> dt.timedelta:
    """How long until the next attempt."""
    doubled: int = 2 ** min(max(failures - 1, 0), 20)
    return min(FIRST_WAIT * doubled, LONGEST_WAIT)


def waiting(session: Session) -> int:
    """How many deliveries wait."""
    return session.scalar(select(func.count()).where(Delivery.outcome == WAITING)) or 0


def _free(moment: dt.datetime) -> tuple[ColumnElement[bool], ...]:
    free = or_(Webhook.lease_until.is_(None), Webhook.lease_until < moment)
    return Webhook.enabled.is_(True), Webhook.due_at <= moment, free


def _next(webhook_id: int) -> Select[Delivery]:
    return (
        select(Delivery)
        .where(Delivery.webhook_id == webhook_id, Delivery.outcome == WAITING)
        .order_by(Delivery.id)
        .limit(1)
    )


def _note(session: Session, hook: Webhook, delivery: Delivery, sent: Sent, *, now: dt.datetime) -> None:
    hook.lease_until = None
    delivery.status, delivery.problem = sent.status, sent.problem
    if not sent.problem:
        delivery.outcome, delivery.finished_at = DELIVERED, now
        hook.failures, hook.failing_since, hook.problem = 0, None, ""
        return
    hook.failures += 1
    hook.failing_since = hook.failing_since or now
    hook.problem = sent.problem
    hook.due_at = now + wait(hook.failures)
    if delivery.attempts >= ATTEMPTS:
        delivery.outcome, delivery.finished_at = FAILED, now
    if hook.enabled and now - hook.failing_since >= PATIENCE:
        hook.enabled = False
        hook.version += 1
        hook.problem = f"Disabled after a day without one success; the last failure: {sent.problem}"
        audit.record(
            session, at=now, actor="system:webhooks", action="webhook.disable", subject=hook.name, problem=sent.problem
        )
