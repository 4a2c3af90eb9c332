"""Leases on rollouts and their machines: who works on a row now, and the epoch that fences who wakes up late."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from pxeapp.db import Database
from pxeapp.rollouts.models import Rollout, RolloutMember

LEASE = dt.timedelta(seconds=90)  # twice what a look may take (port.LOOK_S)
AT_WORK = ("running", "paused", "aborting")
Row = type[Rollout] | type[RolloutMember]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write down what one look at one row has found."""

    id: int
    owner: str
    epoch: int

    def held(self, row: Rollout | RolloutMember) -> bool:
        """Whether it is still the row's present one; compare in the transaction that commits."""
        return row.lease_owner == self.owner and row.lease_epoch == self.epoch


def _free(of: Row, now: dt.datetime) -> ColumnElement[bool]:
    """Nobody holds it. A lease that ends later than any can was taken before the clock was set back."""
    return or_(of.lease_until.is_(None), of.lease_until <= now, of.lease_until > now + 2 * LEASE)


def _wants_a_look(of: Row, now: dt.datetime) -> list[ColumnElement[bool]]:
    states = AT_WORK if of is Rollout else ("running",)
    return [of.state.in_(states), of.due_at <= now, _free(of, now)]


def due(session: Session, of: Row, *, now: dt.datetime, limit: int = 500) -> list[int]:
    """Which rows want a look, the longest waiting first."""
    return list(session.scalars(select(of.id).where(*_wants_a_look(of, now)).order_by(of.due_at, of.id).limit(limit)))


def take(database: Database, of: Row, number: int, *, owner: str, now: dt.datetime) -> Lease | None:
    """Take the row if it is due and nobody holds it."""
    values: dict[str, Any] = {"lease_owner": owner, "lease_until": now + LEASE, "lease_epoch": of.lease_epoch + 1}
    with database.write() as session:
        epoch = session.scalar(
            update(of)
            .where(of.id == number, *_wants_a_look(of, now))
            .values(values)
            .returning(of.lease_epoch)
            .execution_options(synchronize_session=False)
        )
    return None if epoch is None else Lease(number, owner, epoch)


def give_back(row: Rollout | RolloutMember) -> None:
    """Free the row for the next look."""
    row.lease_owner = row.lease_until = None
