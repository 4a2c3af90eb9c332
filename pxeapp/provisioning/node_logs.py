"""Logs that installers send: the last of each name, capped in size and number."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pxeapp.errors import Invalid
from pxeapp.provisioning import tokens
from pxeapp.provisioning.models import NodeLog

LIMIT = 1024 * 1024  # bytes per log
NAMES_LIMIT = 16  # logs per attempt


def receive(session: Session, token: str, name: str, content: bytes, *, now: dt.datetime) -> None:
    """Keep the log of whoever the token belongs to; raises UnknownToken."""
    keep(session, tokens.redeem(session, token, tokens.CALLBACK, now=now), name, content, now=now)


def keep(session: Session, deployment_id: int, name: str, content: bytes, *, now: dt.datetime) -> None:
    """Keep a log under its name, in place of an earlier one; raises Invalid when there are too many names."""
    row = session.scalar(select(NodeLog).where(NodeLog.deployment_id == deployment_id, NodeLog.name == name))
    if row is None:
        count = session.scalar(select(func.count()).where(NodeLog.deployment_id == deployment_id)) or 0
        if count >= NAMES_LIMIT:
            raise Invalid(f"This attempt already has {NAMES_LIMIT} logs.", hint="Replace one by using its name.")
        row = NodeLog(deployment_id=deployment_id, name=name, at=now, content=b"")
        session.add(row)
    row.at = now
    row.content = content[-LIMIT:]


def listing(session: Session, deployment_id: int) -> list[dict[str, object]]:
    """Names, times and sizes of an attempt's logs."""
    rows = session.execute(
        select(NodeLog.name, NodeLog.at, func.length(NodeLog.content)).where(NodeLog.deployment_id == deployment_id)
    )
    return [{"name": name, "at": at.isoformat(), "size": size} for name, at, size in rows]
