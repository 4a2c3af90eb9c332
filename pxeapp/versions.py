"""Every version of a network, a release, a role and a cluster: what it said, who made it so, when and how.

A version is written by whoever changes the row, in the change's own transaction, so that neither exists without the
other. Its body is what the row holds: a secret is sealed in it just as it is there, so that going back brings it back.
A version gets its number at the very end of its transaction, when the rows are locked already: of two that change the
same thing, one waits there for the other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from sqlalchemy import JSON, String, Text, UniqueConstraint, delete, event, exists, func, null, select
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from pxeapp import audit
from pxeapp.db import Base, one_at_a_time
from pxeapp.errors import FieldProblem, Invalid, NotFound

assert audit  # noqa: S101 - its end of a transaction comes first, in every process: both take a lock there

NETWORKS: Final = "networks"
RELEASES: Final = "releases"
ROLES: Final = "roles"
CLUSTERS: Final = "clusters"

KEPT = 100  # of each thing; older ones are forgotten
FORGOTTEN = dt.timedelta(days=365)  # after which nothing is left of what was deleted
LONGEST_COMMENT = 500
FOUND, NOBODY = "found", "system:found"  # of what was there before anybody kept versions of it
_ADDED = "versions"  # in a session's info: there are versions that have no number yet
_comment: ContextVar[str] = ContextVar("comment", default="")


class Version(Base):
    """One version of a thing. `kind` is what its address in the API begins with."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("kind", "name", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(63))
    number: Mapped[int | None]  # counts per thing, from 1; filled in at the end of its transaction
    body: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # None: it was deleted
    author: Mapped[str] = mapped_column(String(200))
    at: Mapped[dt.datetime]
    action: Mapped[str] = mapped_column(String(20))  # create, change, delete, rotate ...
    comment: Mapped[str] = mapped_column(Text, default="")


@contextmanager
def because(comment: str) -> Iterator[None]:
    """What is changed within is changed for this reason."""
    token = _comment.set(comment.strip()[:LONGEST_COMMENT])
    try:
        yield
    finally:
        _comment.reset(token)


def record(
    session: Session,
    kind: str,
    name: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    action: str,
    author: str,
    at: dt.datetime,
) -> None:
    """Keep what something became; None: it was not there, or is not any more. What changes nothing is no version."""
    if before == after:
        return
    if before is not None and not _known(session, kind, name):
        _add(session, kind, name, before, action=FOUND, author=NOBODY, at=at)
    _add(session, kind, name, after, action=action, author=author, at=at, comment=_comment.get())


def listing(session: Session, kind: str, name: str) -> Sequence[Version]:
    """All that are kept of something, the newest first."""
    found = select(Version).where(Version.kind == kind, Version.name == name).order_by(Version.number.desc())
    return session.scalars(found).all() if "\0" not in name else []


def get(session: Session, kind: str, name: str, number: int) -> Version:
    """One of them; raises NotFound."""
    found = select(Version).where(Version.kind == kind, Version.name == name, Version.number == number)
    row = session.scalar(found) if "\0" not in name else None
    if row is None:
        raise NotFound(f"There is no version {number} of {name[:80]!r}.", hint="See its list of versions.")
    return row


def body(session: Session, kind: str, name: str, number: int) -> Mapping[str, Any]:
    """What one of them says, as the row held it; raises NotFound, and Invalid for a deletion."""
    found = get(session, kind, name, number).body
    if found is None:
        problem = FieldProblem("number", f"{number} is its deletion.", "Choose the version before it.")
        raise Invalid("There is nothing to go back to.", problems=[problem])
    return found


def back_to(number: int, comment: str) -> str:
    """Why something becomes what it was."""
    return f"Back to version {number}. {comment}"


def deleted(session: Session, kind: str, *, limit: int) -> Sequence[Version]:
    """The deletions of what is not there any more, the last ones first."""
    gone = _gone().where(Version.kind == kind).order_by(Version.id.desc())
    return session.scalars(gone.limit(limit)).all()


def wire(row: Version) -> dict[str, Any]:
    """A version as the API lists it."""
    return {
        "number": row.number,
        "author": row.author,
        "at": row.at.isoformat(),
        "action": row.action,
        "comment": row.comment,
        "deleted": row.body is None,
    }


def _known(session: Session, kind: str, name: str) -> bool:
    return session.scalar(select(exists().where(Version.kind == kind, Version.name == name))) is True


def _add(session: Session, kind: str, name: str, body: Mapping[str, Any] | None, **about: Any) -> None:
    said = {**about, "author": about["author"][:200]}
    session.add(Version(kind=kind, name=name, body=None if body is None else dict(body), **said))
    session.info[_ADDED] = True


def _gone() -> Any:
    """The deletions that nothing came after."""
    later = aliased(Version)
    came_after = exists().where(later.kind == Version.kind, later.name == Version.name, later.number > Version.number)
    return select(Version).where(Version.body.is_(null()), Version.number.is_not(None), ~came_after)


def _number(session: Session) -> None:
    """Give every version of this transaction its number, and forget what is too old."""
    one_at_a_time(session, "versions")
    fresh = session.scalars(select(Version).where(Version.number.is_(None)).order_by(Version.id)).all()
    for row in fresh:
        same = (Version.kind == row.kind, Version.name == row.name)
        row.number = (session.scalar(select(func.max(Version.number)).where(*same)) or 0) + 1
        session.flush()
        session.execute(delete(Version).where(*same, Version.number <= row.number - KEPT))
    if fresh:
        for gone in session.scalars(_gone().where(Version.at < fresh[-1].at - FORGOTTEN)).all():
            session.execute(delete(Version).where(Version.kind == gone.kind, Version.name == gone.name))


@event.listens_for(Session, "before_commit")
def _at_the_end(session: Session) -> None:
    if session.info.get(_ADDED) and not session.in_nested_transaction():
        session.flush()
        _number(session)
        session.info[_ADDED] = False
