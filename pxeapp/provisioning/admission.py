"""Admission: how many machines install at once, and how fast one after another is switched on.

A thousand machines that are ordered at once would share one uplink, one DHCP server and one power feed. So attempts
are admitted in the order in which they were asked for, and each admitted one gets its own moment to be switched on.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pxeapp.db import one_at_a_time
from pxeapp.provisioning import steps
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step

PATIENCE = dt.timedelta(hours=24)  # for one's turn; an order that nobody came to within a day is not meant any more
AHEAD = dt.timedelta(seconds=15)  # starts are planned this far ahead: more than a tick, less than an operator's notice
NEAR = 20  # so many of the first in the queue look often; the others would only look in vain
SOON, LATER = dt.timedelta(seconds=4), dt.timedelta(seconds=30)
# What loads the network and the feed: from the order to switch it on until its installer is done.
LOADING = tuple(step for step in Step if steps.rank(Step.ARMED) <= steps.rank(step) < steps.rank(Step.INSTALLED))


@dataclass(frozen=True, slots=True)
class Limits:
    """`at_once` attempts between armed and installed; `per_minute` are switched on."""

    at_once: int = 100
    per_minute: int = 300

    @property
    def gap(self) -> dt.timedelta:
        """The time between two machines that are switched on."""
        return dt.timedelta(minutes=1) / self.per_minute


@dataclass(frozen=True, slots=True)
class Turn:
    """When an attempt's machine is switched on; or, where `why` says that it must wait, when to look again."""

    at: dt.datetime
    why: str = ""


def turn(session: Session, limits: Limits, deployment: Deployment, *, now: dt.datetime) -> Turn:
    """Whose turn it is is decided one attempt at a time, also between several workers; the caller commits."""
    one_at_a_time(session, "admission")
    ahead = (
        session.scalar(
            select(func.count()).where(
                Deployment.outcome.is_(None), Deployment.step == Step.REQUESTED, Deployment.id < deployment.id
            )
        )
        or 0
    )
    loading = (
        session.scalar(select(func.count()).where(Deployment.outcome.is_(None), Deployment.step.in_(LOADING))) or 0
    )
    look_again = now + (SOON if ahead < NEAR else LATER)
    if loading + ahead >= limits.at_once:
        return Turn(look_again, f"{loading} install now, {limits.at_once} may, {ahead} are before it")
    last = session.scalar(select(func.max(Deployment.admitted_at)))
    # A last start that lies far ahead was planned before the clock was set back.
    fresh = last if last is not None and last < now + 2 * AHEAD else None
    at = max(now, fresh + limits.gap) if fresh is not None else now
    mine = at + ahead * limits.gap
    if mine > now + AHEAD:
        return Turn(
            max(mine - AHEAD + limits.gap, now + SOON),
            f"{limits.per_minute} are switched on per minute, {ahead} are before it",
        )
    return Turn(at)
