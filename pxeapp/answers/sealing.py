"""Secrets that lay open in the rows of an earlier version are sealed at the upgrade; nothing else changes."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Text, cast, or_, select, update
from sqlalchemy.orm import Session

from pxeapp.answers.models import Role
from pxeapp.machines import sealed
from pxeapp.machines.models import Machine
from pxeapp.vault import Vault

ACTOR = "system:upgrade"


def seal_open_secrets(session: Session, vault: Vault, *, now: dt.datetime) -> int:
    """Seal them; returns in how many rows there were some. Idempotent.

    Past the ORM: what the API shows of a machine is the same before and after, and so is its version.
    """
    changed = 0
    for table in (Machine, Role):
        text = cast(table.vars, Text)
        wanted = or_(*(text.contains(f'"{name}"') for name in sealed.BEFORE))
        for number, said in session.execute(select(table.id, table.vars).where(wanted).with_for_update()).all():
            kept = {
                name: sealed.seal(vault, value, by=ACTOR, now=now)
                if name in sealed.BEFORE and value is not None and not sealed.is_sealed(value)
                else value
                for name, value in said.items()
            }
            if kept != said:
                session.execute(update(table).where(table.id == number).values(vars=kept))
                changed += 1
    return changed
