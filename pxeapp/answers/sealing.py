"""Secrets that lie open in rows are sealed: an earlier version's, and what a role declares to be secret later."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Text, cast, null, select, update
from sqlalchemy.orm import Session

from pxeapp import versions
from pxeapp.answers import knowledge
from pxeapp.answers.models import Role
from pxeapp.answers.variables.rules import as_it_is
from pxeapp.machines import sealed
from pxeapp.machines.models import Cluster, Machine
from pxeapp.templates import Templates
from pxeapp.vault import Vault
from pxeapp.versions import Version

ACTOR = "system:upgrade"


def seal_open_secrets(session: Session, vault: Vault, templates: Templates, *, now: dt.datetime) -> int:
    """Seal them; returns in how many rows there were some. Idempotent, and nothing else changes.

    Past the ORM: a row's version stays, for nobody has changed anything. In the versions that are kept of rows, too:
    what is a secret from now on is one in all that was.
    """

    def seal(value: Any, present: Any) -> Any:
        return sealed.sealed_anew(vault, value, present, by=ACTOR, now=now)

    rules = knowledge.rules(session, templates)
    known = {role: rules.of(role) for role in (None, *rules.roles)}

    def kept(role: str | None, said: Mapping[str, Any]) -> dict[str, Any]:
        of_role = known.get(role, known[None])
        return {name: as_it_is(of_role.get(name), value, seal) for name, value in said.items()}

    changed = 0
    for table, role in ((Machine, Machine.role), (Role, Role.name), (Cluster, null())):
        asked = select(table.id, role, table.vars).where(cast(table.vars, Text) != "{}")
        open_ones = [number for number, of, said in session.execute(asked) if kept(of, said) != said]
        for number in open_ones:  # read again under a lock: somebody may be saving it
            of, said = session.execute(
                select(role, table.vars).where(table.id == number).with_for_update(of=table)
            ).one()
            session.execute(update(table).where(table.id == number).values(vars=kept(of, said)))
        changed += len(open_ones)
    for number, whose, body in _bodies(session):
        sealed_vars = kept(whose, body["vars"])
        if sealed_vars != body["vars"]:
            session.execute(update(Version).where(Version.id == number).values(body={**body, "vars": sealed_vars}))
    return changed


def _bodies(session: Session) -> list[tuple[int, str | None, Mapping[str, Any]]]:
    """Of each version that holds variables: its number, whose variables they are, and what it says."""
    found = select(Version.id, Version.kind, Version.name, Version.body).where(
        Version.kind.in_((versions.ROLES, versions.CLUSTERS)), Version.body.is_not(null())
    )
    return [
        (number, name if kind == versions.ROLES else None, body)
        for number, kind, name, body in session.execute(found)
        if body["vars"]
    ]
