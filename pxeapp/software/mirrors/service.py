"""Mirrors as rows: made, changed, removed, shown, and their syncs ordered. No remote call is made here."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.sentences import few
from pxeapp.software.mirrors import places, selection
from pxeapp.software.mirrors.selection import Selection
from pxeapp.software.repositories.models import RESERVED, SoftwareRepository
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.models import SoftwareTask

MIRROR = "mirror"
SYNC, PREVIEW = "mirror.sync", "mirror.preview"
STATE = "state"  # beside what an operator says: what the last sync found
MOST_SAID = 5
WORDS = ("part", "preview")  # that addresses have where a name would stand
SAID = tuple(each.name for each in fields(Selection) if each.name not in ("kind", "architectures"))


def get(session: Session, name: str, *, lock: bool = False) -> SoftwareRepository:
    """A mirror by its name; raises NotFound."""
    query = select(SoftwareRepository).where(SoftwareRepository.name == name, SoftwareRepository.origin == MIRROR)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound(f"There is no mirror {name[:63]!r}.", hint="See: pxeapp mirror list")
    return row


def listing(session: Session, *, after: str = "", limit: int) -> Sequence[SoftwareRepository]:
    """Mirrors by name, behind `after`."""
    query = select(SoftwareRepository).where(SoftwareRepository.origin == MIRROR, SoftwareRepository.name > after)
    return session.scalars(query.order_by(SoftwareRepository.name).limit(limit)).all()


def readers(session: Session) -> dict[str, list[str]]:
    """Which mirrors read an upstream, by its name; or by a URL, where no upstream was named."""
    found: dict[str, list[str]] = {}
    query = select(SoftwareRepository.name, SoftwareRepository.mirror).where(SoftwareRepository.origin == MIRROR)
    for name, given in session.execute(query.order_by(SoftwareRepository.name)):
        for upstream in dict.fromkeys(source["upstream"] for source in given.get("sources", ())):
            found.setdefault(upstream, []).append(name)
    return found


def said(session: Session, known: Collection[str], given: Mapping[str, Any]) -> Selection:
    """A selection from what an operator sends, completed by its release; raises Invalid with all that is wrong.

    `known` are the names of the upstreams that there are.
    """
    completed = places.completed(session, given, known)
    found = selection.read(selection.kind_of(completed["kind"]), completed["architectures"], completed)
    selection.check(found)
    return found


def create(
    session: Session,
    known: Collection[str],
    name: str,
    given: Mapping[str, Any],
    *,
    description: str = "",
    actor: str,
    now: dt.datetime,
) -> SoftwareRepository:
    """Add a mirror; nothing is fetched before its first sync. Raises Invalid or Conflict."""
    taken = (*RESERVED, *WORDS)
    if not places.NAME.fullmatch(name) or name in taken:
        fix = f"Use a-z, 0-9, dots and dashes, and none of {', '.join(taken)}."
        problem = FieldProblem("name", f"{name[:63]!r} is no name for a repository.", fix)
        raise Invalid("This mirror cannot be saved.", problems=[problem])
    chosen = said(session, known, given)
    if session.scalar(select(SoftwareRepository.id).where(SoftwareRepository.name == name)) is not None:
        raise Conflict(
            f"There already is a repository {name}.", hint=f"Take another name, or: pxeapp mirror show {name}"
        )
    row = SoftwareRepository(name=name, origin=MIRROR, description=description, created_at=now, updated_at=now)
    _fill(row, chosen, {})
    session.add(row)
    session.flush()
    audit.record(
        session, at=now, actor=actor, action="mirror.create", subject=f"repository:{name}", **_recorded(chosen)
    )
    return row


def change(
    session: Session,
    known: Collection[str],
    name: str,
    given: Mapping[str, Any],
    *,
    agree: Callable[[dict[str, Any]], None] = lambda _: None,
    actor: str,
    now: dt.datetime,
) -> SoftwareRepository:
    """Change what it is of; what is served stays until the next sync. What kind it is of cannot change."""
    row = get(session, name, lock=True)
    agree(wire(row))
    before = read(row)
    merged = {
        **{key: value for key, value in row.mirror.items() if key != STATE},
        "kind": row.kind,
        "architectures": row.architectures,
        **given,
    }
    after = said(session, known, merged)
    if after.kind != row.kind:
        raise Conflict(f"{name} is a mirror of {row.kind} packages, and stays one.", hint="Make another mirror.")
    _fill(row, after, row.mirror.get(STATE, {}))
    if "description" in given:
        row.description = given["description"]
    row.updated_at = now
    row.version += 1
    audit.record(
        session, at=now, actor=actor, action="mirror.change", subject=f"repository:{name}",
        **audit.difference(_recorded(before), _recorded(after)),
    )  # fmt: skip
    return row


def remove(session: Session, name: str, *, readers: Sequence[str] = (), actor: str, now: dt.datetime) -> None:
    """Remove a mirror's row, unless somebody reads it; its caller takes the served tree away.

    Its files stay while a snapshot holds them.
    """
    row = get(session, name, lock=True)
    if readers:
        raise Conflict(f"{name} is read by {few(readers, MOST_SAID)}.", hint="Change these first.")
    refuse_while_working(session, name)
    audit.record(
        session, at=now, actor=actor, action="mirror.delete", subject=f"repository:{name}", **_recorded(read(row))
    )
    session.delete(row)


def refuse_while_working(session: Session, name: str) -> None:
    """Raises Conflict while a sync of it has not ended."""
    working = tasks.listing(session, limit=1, running=True, kind=SYNC, subject=name)
    if working:
        raise Conflict(
            f"Task {working[0].id} syncs {name}.", hint=f"Wait for it, or: pxeapp software cancel {working[0].id}"
        )


def sync(session: Session, name: str, *, actor: str, now: dt.datetime) -> SoftwareTask:
    """Order a sync; raises Conflict while there is one."""
    return tasks.order(session, SYNC, get(session, name).name, {}, actor=actor, now=now)


def preview(
    session: Session, known: Collection[str], given: Mapping[str, Any], *, name: str = "", actor: str, now: dt.datetime
) -> SoftwareTask:
    """Order a look at what a mirror would hold, of one that there is or one that there might be."""
    if name:
        row = get(session, name)
        given = {**{key: value for key, value in row.mirror.items() if key != STATE}, **given}
        given = {"kind": row.kind, "architectures": row.architectures, **given}
    chosen = said(session, known, given)
    options = {"kind": chosen.kind, "architectures": list(chosen.architectures), "mirror": chosen.as_json()}
    # Previews of different things do not wait for each other.
    subject = name or f"preview-{hashlib.sha256(repr(options).encode()).hexdigest()[:12]}"
    return tasks.order(session, PREVIEW, subject, options, actor=actor, now=now)


def read(row: SoftwareRepository) -> Selection:
    """What the row says it is of."""
    kind = selection.kind_of(row.kind)
    return selection.read(kind, row.architectures, row.mirror)


def state(row: SoftwareRepository) -> Mapping[str, Any]:
    """What the last sync found."""
    found: Mapping[str, Any] = row.mirror.get(STATE, {})
    return found


def wire(row: SoftwareRepository) -> dict[str, Any]:
    """A mirror as the API shows it."""
    found = state(row)
    return {
        "name": row.name,
        "kind": row.kind,
        "description": row.description,
        "suite": row.suite,
        "components": row.components,
        "architectures": row.architectures,
        **{name: row.mirror.get(name) for name in SAID},
        "packages_of_roles": found.get("names", {}),
        "unsatisfied": found.get("unsatisfied", []),
        "remarks": found.get("remarks", []),
        "upstream_date": found.get("dated"),
        "synced_at": found.get("synced_at"),
        "tried_at": found.get("tried_at"),
        "url": f"/repo/{row.name}/",
        "package_count": row.package_count,
        "bytes": row.bytes,
        "published_at": row.published_at.isoformat() if row.published_at else None,
        "problem": row.problem,
        "version": row.version,
    }


def _fill(row: SoftwareRepository, chosen: Selection, state_: Mapping[str, Any]) -> None:
    row.kind = chosen.kind
    row.architectures = list(chosen.architectures)
    row.suite, row.components = places.published(chosen)
    row.mirror = {**chosen.as_json(), STATE: dict(state_)}


def _recorded(chosen: Selection) -> dict[str, Any]:
    """As the audit keeps it: a key is named, not repeated."""
    found = chosen.as_json()
    found["key"] = f"{len(found['key'])} characters" if found["key"] else ""
    return {"mirror": found}
