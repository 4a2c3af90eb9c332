"""Lists that somebody comes back to: everybody's own, and those that all share. Names are unique in each of the two."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.accounts.permissions import OPERATOR, allows
from pxeapp.accounts.service import Actor
from pxeapp.errors import Conflict, FieldProblem, Forbidden, Invalid, NotFound
from pxeapp.machines import columns as known_columns
from pxeapp.machines import query, selectors
from pxeapp.machines.models import SavedFilter

LONGEST_NAME = 63
MOST = 100  # of one user, and shared ones
SHARED = "shared"


def listing(session: Session, actor: Actor) -> Sequence[SavedFilter]:
    """What somebody may use: their own first, then the shared ones."""
    visible: ColumnElement[bool] = SavedFilter.user_id.is_(None)
    if actor.user_id is not None:
        visible = or_(visible, SavedFilter.user_id == actor.user_id)
    order = (SavedFilter.user_id.is_(None), SavedFilter.name)
    return session.scalars(select(SavedFilter).where(visible).order_by(*order)).all()


def get(session: Session, actor: Actor, name: str, *, shared: bool, lock: bool = False) -> SavedFilter:
    """One of them; raises NotFound."""
    found = _find(session, _scope(actor, shared=shared), name, lock=lock)
    if found is None:
        which = "shared filter" if shared else "filter of yours"
        raise NotFound(f"There is no {which} called {name[:80]!r}.", hint="See the list of saved filters.")
    return found


def save(
    session: Session,
    actor: Actor,
    name: str,
    *,
    text: str,
    shared: bool,
    now: dt.datetime,
    sort: str = "",
    columns: Sequence[str] = (),
) -> SavedFilter:
    """Keep it under this name, in place of the one that has it; raises Invalid with every problem, or Forbidden."""
    scope = _scope(actor, shared=shared)
    terms = query.parse(text, field="query")
    _check(name, sort)
    known_columns.chosen(columns)
    row = _find(session, scope, name)
    before = wire(row) if row is not None else None
    if row is None:
        if len([each for each in listing(session, actor) if each.scope == scope]) >= MOST:
            raise Conflict(f"There are {MOST} saved filters already.", hint="Delete one that nobody uses.")
        row = SavedFilter(scope=scope, user_id=None if shared else actor.user_id, name=name)
        session.add(row)
    row.query, row.sort, row.columns = query.written(terms), sort, list(dict.fromkeys(columns))
    row.created_by, row.updated_at = actor.label, now
    session.flush()
    changed: dict[str, Any] = {"shared": shared, "query": row.query, "before": before and before["query"]}
    audit.record(session, at=now, actor=actor.label, action="filter.save", subject=name, **changed)
    return row


def delete(session: Session, actor: Actor, name: str, *, shared: bool, now: dt.datetime) -> None:
    """Forget it; raises NotFound, or Forbidden for a shared one without the role."""
    row = get(session, actor, name, shared=shared)
    audit.record(
        session, at=now, actor=actor.label, action="filter.delete", subject=name, shared=shared, query=row.query
    )
    session.delete(row)


def wire(row: SavedFilter) -> dict[str, Any]:
    """As the API shows it."""
    return {
        "name": row.name,
        "shared": row.user_id is None,
        "query": row.query,
        "sort": row.sort,
        "columns": row.columns,
        "saved_by": row.created_by,
        "updated_at": row.updated_at.isoformat(),
    }


def _find(session: Session, scope: str, name: str, *, lock: bool = False) -> SavedFilter | None:
    if "\0" in name:
        return None
    query = select(SavedFilter).where(SavedFilter.scope == scope, SavedFilter.name == name)
    return session.scalar(query.with_for_update() if lock else query)


def _scope(actor: Actor, *, shared: bool) -> str:
    """Whose it is. What all see is changed only by those who may change machines."""
    if shared:
        if not allows(actor.role, OPERATOR):
            raise Forbidden(f"To change shared filters needs the role {OPERATOR}; {actor.label} is {actor.role}.")
        return SHARED
    if actor.user_id is None:
        fix = "Share it, or use a token of a user."
        raise Invalid("This token belongs to no user.", problems=[FieldProblem("shared", "is false.", fix)], hint=fix)
    return f"user:{actor.user_id}"


def _check(name: str, sort: str) -> None:
    problems = []
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable() or "/" in name:
        fix = f"Use one line of at most {LONGEST_NAME} characters, without a slash."
        problems.append(FieldProblem("name", f"{name[:LONGEST_NAME]!r} cannot be its name.", fix))
    if sort and (problem := selectors.sort_problem(sort)):
        problems.append(problem)
    if problems:
        raise Invalid("The filter cannot be saved.", problems=problems)
