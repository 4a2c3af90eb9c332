"""Observing only: nothing is switched, netbooted into an installer or newly deployed until an operator says go on.

So a restored appliance begins, whose records are older than its rack. Power is still read, callbacks are still
recorded, deployments still advance by evidence: what is observed makes the records true again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.appliance.models import ONLY, Appliance
from pxeapp.errors import Conflict
from pxeapp.prepared import Prepared, Runner

GO_ON = "Look whether its records fit the rack, then run: pxeapp resume (API: POST /api/v1/appliance/resume)."
REASON_LIMIT = 500


class ObservesOnly(Conflict):
    """The appliance was told, or a restore made it, to move nothing."""

    title = "Observing only"

    def __init__(self, observing: Observing) -> None:
        super().__init__(observing.sentence, hint=GO_ON)


@dataclass(frozen=True, slots=True)
class Observing:
    """Since when and why nothing is moved."""

    since: dt.datetime
    reason: str

    @property
    def sentence(self) -> str:
        """For whoever is refused, and for every place that shows it."""
        return (
            f"The appliance only observes since {self.since:%Y-%m-%d %H:%M} UTC: {self.reason} "
            "No power command is sent, no installer is netbooted, no deployment begins."
        )


_PRESENT = select(Appliance.observing_since, Appliance.observing_reason).where(Appliance.id == ONLY)
_PREPARED = Prepared(_PRESENT)


def present(session: Session) -> Observing | None:
    """Whether the appliance only observes now; None when it does its work. Read anew at each call."""
    return _read(session.execute(_PRESENT).one_or_none())


def present_on(run: Runner) -> Observing | None:
    """The same past the ORM."""
    return _read(run.first(_PREPARED))


def _read(row: Sequence[Any] | None) -> Observing | None:
    return Observing(row[0], row[1]) if row is not None and row[0] is not None else None


def refuse(session: Session) -> None:
    """Raises ObservesOnly while nothing may be moved."""
    observing = present(session)
    if observing is not None:
        raise ObservesOnly(observing)


def begin(session: Session, *, reason: str, actor: str, now: dt.datetime) -> Observing:
    """Move nothing from the next commit on. Idempotent: a second reason replaces the first, the time stays."""
    row = the_row(session)
    row.observing_since = row.observing_since or now
    row.observing_reason = _sentence(reason)
    audit.record(session, at=now, actor=actor, action="appliance.observe", subject="appliance", reason=reason)
    return Observing(row.observing_since, row.observing_reason)


def end(session: Session, *, actor: str, now: dt.datetime) -> bool:
    """Go on; False when it did its work already."""
    ended = session.execute(
        update(Appliance)
        .where(Appliance.id == ONLY, Appliance.observing_since.is_not(None))
        .values(observing_since=None, observing_reason="")
    )
    if ended.rowcount != 1:  # type: ignore[attr-defined]
        return False
    audit.record(session, at=now, actor=actor, action="appliance.resume", subject="appliance")
    return True


def the_row(session: Session) -> Appliance:
    """The one row, locked; made where it is missing."""
    row = session.scalar(select(Appliance).where(Appliance.id == ONLY).with_for_update())
    if row is None:
        row = Appliance(id=ONLY)
        session.add(row)
        session.flush()
    return row


def _sentence(reason: str) -> str:
    clean = " ".join(reason.split())[:REASON_LIMIT]
    return clean if clean.endswith((".", "!", "?")) else f"{clean}."
