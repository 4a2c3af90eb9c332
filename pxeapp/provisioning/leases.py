"""Leases on deployments: who works on a row now, and the epoch that fences a worker that wakes up late."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select, update

from pxeapp.db import Database
from pxeapp.provisioning.models import Deployment

LEASE = dt.timedelta(seconds=30)  # far longer than one look at a row takes; a look sends nothing and waits for nothing


def _free(now: dt.datetime) -> ColumnElement[bool]:
    """Nobody holds the row. A lease that ends much later than any lease can was taken before the clock was set back."""
    until = Deployment.lease_until
    return or_(until.is_(None), until <= now, until > now + 2 * LEASE)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to commit one step of one deployment."""

    deployment_id: int
    owner: str
    epoch: int


def take(database: Database, deployment_id: int, *, owner: str, now: dt.datetime) -> Lease | None:
    """Take the row if it is due and nobody holds it; None when somebody else does or it is over."""
    with database.write() as session:
        epoch = session.scalar(
            update(Deployment)
            .where(
                Deployment.id == deployment_id,
                Deployment.outcome.is_(None),
                Deployment.due_at <= now,
                _free(now),
            )
            .values(lease_owner=owner, lease_until=now + LEASE, lease_epoch=Deployment.lease_epoch + 1)
            .returning(Deployment.lease_epoch)
            .execution_options(synchronize_session=False)
        )
    return None if epoch is None else Lease(deployment_id, owner, epoch)


def held(deployment: Deployment, lease: Lease) -> bool:
    """Whether the lease is still the row's present one; compare inside the transaction that commits."""
    return deployment.lease_owner == lease.owner and deployment.lease_epoch == lease.epoch


def give_back(deployment: Deployment) -> None:
    """Free the row for the next look."""
    deployment.lease_until = None
    deployment.lease_owner = None


def due(database: Database, *, now: dt.datetime, limit: int = 1000) -> list[int]:
    """Which deployments want a look, the longest waiting first."""
    with database.read() as session:
        rows = session.scalars(
            select(Deployment.id)
            .where(
                Deployment.outcome.is_(None),
                Deployment.due_at <= now,
                _free(now),
            )
            .order_by(Deployment.due_at)
            .limit(limit)
        )
        return list(rows)
