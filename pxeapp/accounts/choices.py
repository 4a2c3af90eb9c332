"""How somebody wants a page to be: kept per user, seen by nobody else."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from pxeapp.accounts.models import UserChoice
from pxeapp.accounts.service import Actor


def get(session: Session, actor: Actor, name: str) -> Any:
    """What somebody has chosen; None: nothing yet, or a token that belongs to no user."""
    row = session.get(UserChoice, (actor.user_id, name)) if actor.user_id is not None else None
    return row.value if row is not None else None


def put(session: Session, actor: Actor, name: str, value: Any) -> None:
    """Keep a choice; of a token that belongs to no user nothing is kept. No audit row: it changes nobody's machines."""
    if actor.user_id is not None:
        session.merge(UserChoice(user_id=actor.user_id, name=name, value=value))
