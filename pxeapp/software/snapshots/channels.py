"""Channels: promotion from one to the next, rollback, history, and end. Rows; trees are made by publishing.py."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.db import one_at_a_time
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.sentences import few
from pxeapp.software.snapshots import service
from pxeapp.software.snapshots.models import Channel, ChannelMove, Snapshot
from pxeapp.software.snapshots.pins import Pin
from pxeapp.software.snapshots.service import Holder

PUBLISH, WITHDRAW = "channel.publish", "channel.withdraw"
PROMOTE, ROLLBACK = "promote", "rollback"
MOST = 20
LONGEST_REASON = 500


def listing(session: Session) -> Sequence[Channel]:
    """All of them in the order of promotion."""
    return session.scalars(select(Channel).order_by(Channel.position)).all()


def get(session: Session, name: str) -> Channel:
    """A channel; raises NotFound."""
    row = session.scalar(select(Channel).where(Channel.name == name))
    if row is None:
        known = ", ".join(each.name for each in listing(session))
        raise NotFound(f"There is no channel {name[:80]!r}.", hint=f"Known: {known}.")
    return row


def create(session: Session, name: str, *, before: str = "", actor: str, now: dt.datetime) -> Channel:
    """One more, as the last one or before another."""
    service.check_name(name, what="channel")
    one_at_a_time(session, service.CHANGES)
    rows = listing(session)
    if any(row.name == name for row in rows):
        raise Conflict(f"There is a channel {name} already.")
    if len(rows) >= MOST:
        raise Conflict(f"There are {MOST} channels already.", hint="Snapshots may be pinned without one.")
    position = get(session, before).position if before else max((row.position for row in rows), default=0) + 1
    for row in rows:
        if row.position >= position:
            row.position += 1
    made = Channel(name=name, position=position, created_at=now, updated_at=now)
    session.add(made)
    session.flush()
    audit.record(session, at=now, actor=actor, action="channel.create", subject=f"channel:{name}", position=position)
    return made


def delete(session: Session, name: str, *, held_by: Iterable[Holder], actor: str, now: dt.datetime) -> None:
    """Serve and keep it no longer, nor its history, which the audit has; raises Conflict with whoever is pinned to it.

    The snapshot that it led to is held by it no more, and the channels behind it move up.
    """
    one_at_a_time(session, service.CHANGES)
    row = get(session, name)
    if holders := sorted({str(holder) for holder in held_by if holder.pin == Pin(name, channel=True)}):
        raise Conflict(
            f"Channel {name} is read by {few(holders, 10)}.",
            hint="Pin these to another one first: pxeapp snapshot pin. A deployment is over by itself.",
        )
    audit.record(
        session, at=now, actor=actor, action="channel.delete", subject=f"channel:{name}", position=row.position,
        snapshot=row.snapshot,
    )  # fmt: skip
    for each in listing(session):
        if each.position > row.position:
            each.position -= 1
    session.execute(sql_delete(ChannelMove).where(ChannelMove.channel == name))
    session.delete(row)
    session.flush()
    service.order(session, WITHDRAW, name, actor=actor, now=now)


def promote(
    session: Session,
    snapshot: str,
    to: str = "",
    *,
    force: bool = False,
    reason: str = "",
    needed: Iterable[tuple[Holder, set[str]]] = (),
    actor: str,
    now: dt.datetime,
) -> Channel:
    """Have a channel lead to this snapshot: the next one after the last that it is in, unless one is named.

    It must be, or have been, in the channel before that one. `needed` are the repositories that each holder of a pin
    reads; one that the channel's machines would miss is refused. `force` with a reason does it all the same.
    """
    one_at_a_time(session, service.CHANGES)
    row = service.get(session, snapshot)
    rows = listing(session)
    channel = get(session, to) if to else _next(rows, snapshot)
    if force and not reason.strip():
        problem = FieldProblem("reason", "is missing.", "Say why the order of channels is left aside.")
        raise Invalid("A forced promotion needs a reason; it is kept in the history.", problems=[problem])
    if channel.snapshot == snapshot:
        return channel
    before = next((each for each in reversed(rows) if each.position < channel.position), None)
    skipped = before is not None and not was_in(session, before.name, snapshot)
    if skipped and before is not None and not force:
        raise Conflict(
            f"Snapshot {snapshot} was never in {before.name}, which comes before {channel.name}.",
            hint=f"Promote it to {before.name} first, or use --force with a --reason.",
        )
    lacking = _lacking(channel, row, needed)
    if lacking and not force:
        raise Conflict(
            f"Snapshot {snapshot} lacks {lacking[1]}, which {lacking[0]} reads from channel {channel.name}.",
            hint="Take one with that repository, pin that one elsewhere, or use --force with a --reason.",
        )
    _move(
        session, channel, row, PROMOTE, forced=force and bool(skipped or lacking), reason=reason, actor=actor, now=now
    )
    return channel


def rollback(session: Session, name: str, *, reason: str = "", actor: str, now: dt.datetime) -> Channel:
    """Have the channel lead to what it led to before; done again, to what came before that."""
    one_at_a_time(session, service.CHANGES)
    channel = get(session, name)
    came = session.scalar(
        select(ChannelMove)
        .where(
            ChannelMove.channel == name, ChannelMove.action == PROMOTE, ChannelMove.snapshot == (channel.snapshot or "")
        )
        .order_by(ChannelMove.id.desc())
        .limit(1)
    )
    if came is None or came.before is None:
        raise Conflict(f"Channel {name} has led to nothing before.", hint=f"See: pxeapp channel history {name}")
    row = session.scalar(select(Snapshot).where(Snapshot.name == came.before, Snapshot.deleted_at.is_(None)))
    if row is None:
        raise Conflict(
            f"Snapshot {came.before}, which {name} led to before, was deleted.", hint="Promote one that is there."
        )
    _move(session, channel, row, ROLLBACK, forced=False, reason=reason, actor=actor, now=now)
    return channel


def was_in(session: Session, channel: str, snapshot: str) -> bool:
    """Whether a channel leads to this snapshot, or did so at any time."""
    found = select(ChannelMove.id).where(ChannelMove.channel == channel, ChannelMove.snapshot == snapshot)
    return session.scalar(found.limit(1)) is not None


def history(session: Session, name: str, *, before: int = 0, limit: int) -> Sequence[ChannelMove]:
    """Where a channel has led, the latest first."""
    get(session, name)
    found = select(ChannelMove).where(ChannelMove.channel == name).order_by(ChannelMove.id.desc())
    return session.scalars((found.where(ChannelMove.id < before) if before else found).limit(limit)).all()


def leads_to(session: Session, name: str) -> Snapshot:
    """The snapshot that a channel's machines read; raises NotFound, or Conflict while there is none."""
    channel = get(session, name)
    led = channel.published or channel.snapshot
    if led is None:
        raise Conflict(f"Channel {name} leads to no snapshot yet.", hint=f"See: pxeapp snapshot promote --to {name}")
    return service.get(session, led)


def wire(session: Session, row: Channel) -> dict[str, Any]:
    """A channel as the API shows it."""
    last = session.scalar(select(func.max(ChannelMove.at)).where(ChannelMove.channel == row.name))
    return {
        "name": row.name,
        "position": row.position,
        "snapshot": row.snapshot,
        "published": row.published,
        "moved_at": last.isoformat() if last else None,
    }


def wire_move(row: ChannelMove) -> dict[str, Any]:
    """A line of the history as the API shows it."""
    return {
        "id": row.id,
        "at": row.at.isoformat(),
        "actor": row.actor,
        "action": row.action,
        "snapshot": row.snapshot,
        "digest": row.digest,
        "before": row.before,
        "forced": row.forced,
        "reason": row.reason,
    }


def _next(rows: Sequence[Channel], snapshot: str) -> Channel:
    """The channel after the last one that leads to it; the first one for a snapshot that is in none."""
    last = max((row.position for row in rows if row.snapshot == snapshot), default=0)
    for row in rows:
        if row.position > last:
            return row
    if not rows:
        raise Conflict("There is no channel to promote it to.", hint="Make one: pxeapp channel create NAME")
    raise Conflict(f"Snapshot {snapshot} is in the last channel already.", hint="There is nowhere to promote it to.")


def _lacking(channel: Channel, row: Snapshot, needed: Iterable[tuple[Holder, set[str]]]) -> tuple[Holder, str] | None:
    has = {each.name for each in row.repositories}
    for holder, names in needed:
        if holder.pin.channel and holder.pin.name == channel.name and (missing := sorted(names - has)):
            return holder, missing[0]
    return None


def _move(
    session: Session,
    channel: Channel,
    row: Snapshot,
    action: str,
    *,
    forced: bool,
    reason: str,
    actor: str,
    now: dt.datetime,
) -> None:
    session.add(
        ChannelMove(
            channel=channel.name,
            at=now,
            actor=actor[:200],
            action=action,
            snapshot=row.name,
            digest=row.digest,
            before=channel.snapshot,
            forced=forced,
            reason=reason.strip()[:LONGEST_REASON],
        )
    )
    audit.record(
        session, at=now, actor=actor, action=f"channel.{action}", subject=f"channel:{channel.name}",
        before=channel.snapshot, after=row.name, digest=row.digest, forced=forced, reason=reason.strip(),
    )  # fmt: skip
    channel.snapshot, channel.updated_at = row.name, now
    service.order(session, PUBLISH, channel.name, actor=actor, now=now)
