"""Adding, changing and removing webhooks; what each was sent, and sending it again."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from netaddr import AddrFormatError, IPAddress, IPNetwork
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pxeapp import audit, pinned
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.software import fetch
from pxeapp.vault import Vault
from pxeapp.webhooks import changes
from pxeapp.webhooks.models import Delivery, Told, Webhook

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
EVENT = r"^[a-z_]+\.([a-z_]+|\*)$"
TEST = "webhook.test"
MOST = 50  # webhooks: each is a request for every change
LEAST_SECRET = 16
WAITING, DELIVERED, FAILED = "waiting", "delivered", "failed"


def get(session: Session, name: str, *, lock: bool = False) -> Webhook:
    """A webhook by name; raises NotFound."""
    query = select(Webhook).where(Webhook.name == name)
    row = session.scalar(query.with_for_update() if lock else query) if re.fullmatch(NAME, name) else None
    if row is None:
        raise NotFound(f"There is no webhook {name[:63]!r}.")
    return row


def listing(session: Session, *, after: str, limit: int) -> Sequence[Webhook]:
    """Webhooks by name."""
    return session.scalars(select(Webhook).where(Webhook.name > after).order_by(Webhook.name).limit(limit)).all()


def create(
    session: Session,
    vault: Vault,
    networks: Sequence[IPNetwork],
    said: Mapping[str, Any],
    *,
    actor: str,
    now: dt.datetime,
) -> tuple[Webhook, str | None]:
    """A new webhook, and its secret if that was made here: it is never to be had again."""
    _refuse(said, networks)
    if session.scalar(select(Webhook.id).where(Webhook.name == said["name"])) is not None:
        raise Conflict(f"There already is a webhook {said['name']}.")
    if (session.scalar(select(func.count()).select_from(Webhook)) or 0) >= MOST:
        raise Conflict(f"There are {MOST} webhooks already.", hint="Remove one that nobody needs.")
    made = None if said.get("secret") else secrets.token_urlsafe(32)
    row = Webhook(
        name=said["name"],
        url=said["url"],
        events=list(said.get("events") or []),
        enabled=said.get("enabled") is not False,
        secret_encrypted=vault.encrypt(said.get("secret") or made or ""),
        created_at=now,
        updated_at=now,
        due_at=now,
    )
    session.add(row)
    if session.get(Told, 1) is None:
        session.add(Told(id=1, change_id=changes.newest(session)))
    session.flush()
    audit.record(session, at=now, actor=actor, action="webhook.create", subject=row.name, url=row.url)
    return row, made


def change(
    session: Session,
    vault: Vault,
    networks: Sequence[IPNetwork],
    row: Webhook,
    said: Mapping[str, Any],
    *,
    actor: str,
    now: dt.datetime,
) -> list[str]:
    """Change what is given; returns what really changed. Whoever enables it again has it tried at once."""
    _refuse(said, networks)
    changed = [
        name for name in ("url", "events", "enabled") if said.get(name) is not None and said[name] != getattr(row, name)
    ]
    for name in changed:
        setattr(row, name, said[name])
    if said.get("secret") and said["secret"] != vault.decrypt(row.secret_encrypted):
        row.secret_encrypted = vault.encrypt(said["secret"])
        changed.append("secret")
    if changed:
        row.version += 1
        row.updated_at = now
        if {"url", "enabled"} & set(changed):
            row.failures, row.failing_since, row.problem, row.due_at = 0, None, "", now
        session.flush()
        audit.record(session, at=now, actor=actor, action="webhook.change", subject=row.name, changed=changed)
    return changed


def delete(session: Session, row: Webhook, *, actor: str, now: dt.datetime) -> None:
    """Remove it with what it was sent."""
    audit.record(session, at=now, actor=actor, action="webhook.delete", subject=row.name)
    session.delete(row)


def deliveries(session: Session, row: Webhook, *, after: int, limit: int, outcome: str = "") -> Sequence[Delivery]:
    """What it was sent, and what waits, in order."""
    found = select(Delivery).where(Delivery.webhook_id == row.id, Delivery.id > after)
    found = found.where(Delivery.outcome == outcome) if outcome else found
    return session.scalars(found.order_by(Delivery.id).limit(limit)).all()


def delivery(session: Session, row: Webhook, number: int) -> Delivery:
    """One of them; raises NotFound."""
    found = session.get(Delivery, number)
    if found is None or found.webhook_id != row.id:
        raise NotFound(f"Webhook {row.name} has no delivery {number}.", hint="They are kept for a week.")
    return found


def replay(session: Session, row: Webhook, number: int, *, actor: str, now: dt.datetime) -> Delivery:
    """Send one again, after all that waits; it stays the same change with the same id."""
    old = delivery(session, row, number)
    if old.outcome == WAITING:
        raise Conflict(f"Delivery {number} still waits; it is sent by itself.")
    times = select(func.max(Delivery.replay)).where(Delivery.webhook_id == row.id, Delivery.change_id == old.change_id)
    again = Delivery(
        webhook_id=row.id, change_id=old.change_id, replay=(session.scalar(times) or 0) + 1, event=old.event,
        body=old.body, created_at=now,
    )  # fmt: skip
    session.add(again)
    session.flush()
    audit.record(session, at=now, actor=actor, action="webhook.replay", subject=row.name, delivery=number)
    return again


def test(session: Session, row: Webhook, *, actor: str, now: dt.datetime) -> Delivery:
    """Send something harmless, to see whether it arrives and its signature is understood."""
    times = select(func.max(Delivery.replay)).where(Delivery.webhook_id == row.id, Delivery.change_id == 0)
    last = session.scalar(times)
    body = {
        "id": 0, "event": TEST, "at": now.isoformat(), "subject": row.name, "actor": actor, "details": {},
        "before": None, "after": None,
    }  # fmt: skip
    sent = Delivery(
        webhook_id=row.id, change_id=0, replay=0 if last is None else last + 1, event=TEST, body=body, created_at=now
    )
    session.add(sent)
    row.due_at = now
    session.flush()
    audit.record(session, at=now, actor=actor, action=TEST, subject=row.name)
    return sent


def wire(row: Webhook) -> dict[str, Any]:
    """A webhook as the API shows it: never its secret."""
    return {
        "name": row.name,
        "url": row.url,
        "events": row.events,
        "enabled": row.enabled,
        "problem": row.problem,
        "failing_since": row.failing_since.isoformat() if row.failing_since else None,
        "version": row.version,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }


def delivery_wire(row: Delivery) -> dict[str, Any]:
    """One delivery as the API shows it."""
    return {
        "id": row.id,
        "event": row.event,
        "body": row.body,
        "outcome": row.outcome,
        "attempts": row.attempts,
        "status": row.status,
        "problem": row.problem,
        "created_at": row.created_at.isoformat(),
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
    }


def _refuse(said: Mapping[str, Any], networks: Sequence[IPNetwork]) -> None:
    problems = []
    if "name" in said and not re.fullmatch(NAME, said["name"]):
        fix = "Use a-z, 0-9 and dashes, at most 63 characters."
        problems.append(FieldProblem("name", f"{said['name'][:40]!r} is not possible here.", fix))
    if said.get("url") is not None:
        problems += _url_problems(said["url"], networks)
    for number, event in enumerate(said.get("events") or []):
        if not re.fullmatch(EVENT, event):
            fix = "Write machine.deploy, or machine.* for all of a kind."
            problems.append(FieldProblem(f"events.{number}", f"{event[:40]!r} is no event.", fix))
    if said.get("secret") and (len(said["secret"]) < LEAST_SECRET or not said["secret"].isprintable()):
        fix = f"Use at least {LEAST_SECRET} characters on one line, or leave it out to have one made."
        problems.append(FieldProblem("secret", "is too short.", fix))
    if problems:
        raise Invalid("The webhook cannot be saved.", problems=problems)


def _url_problems(url: str, networks: Sequence[IPNetwork]) -> list[FieldProblem]:
    """A number that may not be contacted is refused here already; a name is checked whenever it is connected to."""
    try:
        host = str(fetch.check_url(url).hostname)
    except Invalid as error:
        return list(error.problems)
    try:
        IPAddress(host)
    except (AddrFormatError, ValueError):
        return []
    if pinned.allowed(host, networks):
        return []
    return [FieldProblem("url", f"{host} may not be contacted.", "PXEAPP_WEBHOOK_NETWORKS names what is allowed.")]
