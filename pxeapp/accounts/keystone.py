"""Tokens of OpenStack's Keystone: each is shown to Keystone, which says whose it is, of which project, until when.

`X-Auth-Token: TOKEN` on a request to our API. The token itself is the right to ask (a token may validate itself), so we
keep no account at Keystone. What it said is remembered for half a minute, and never beyond the token's own end. A
stream that was opened with a token is looked at by a thread that many streams share, which waits for nobody: it goes by
the last answer, and Keystone is asked again meanwhile.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pxeapp.accounts import asking, grants
from pxeapp.accounts.actor import KEYSTONE, Actor
from pxeapp.config import Settings
from pxeapp.errors import Forbidden, PxeError, Unauthenticated, Unavailable

REMEMBERED = dt.timedelta(seconds=30)
MOST_REMEMBERED = 1000
MOST_TOKEN = 8192


@dataclass(frozen=True, slots=True)
class _Answer:
    """Whose a token is; how long a request is let in with that, and when the token itself ends."""

    actor: Actor
    until: dt.datetime
    expires: dt.datetime


_known: dict[str, _Answer] = {}
_asking: set[str] = set()  # the streams' threads that are at it
_lock = threading.Lock()


def whose(settings: Settings, subject: str, now: dt.datetime) -> Actor:
    """Who a token stands for; raises Unauthenticated, Forbidden, or Unavailable when Keystone does not answer."""
    if len(subject) > MOST_TOKEN or not subject.isascii() or not subject.isprintable():
        raise _refused()
    key = _key(settings, subject)
    with _lock:
        found = _known.get(key)
    if found is not None and now < found.until:
        return found.actor
    try:
        actor, expires = _understood(settings, _ask(settings.keystone_url, subject), now)
    except (Unauthenticated, Forbidden):
        with _lock:
            _known.pop(key, None)
        raise
    with _lock:
        _known.pop(key, None)
        while len(_known) >= MOST_REMEMBERED:
            _known.pop(next(iter(_known)))
        _known[key] = _Answer(actor, min(now + REMEMBERED, expires), expires)
    return actor


def lately(settings: Settings, subject: str, now: dt.datetime) -> Actor:
    """Whose a token was by the last answer, without waiting for Keystone; raises Unauthenticated once it is refused.

    An answer that is too old for a request is asked for anew by a thread, and counts from the next look on. While
    Keystone does not answer, what it said last holds until the token's own end.
    """
    key = _key(settings, subject)
    with _lock:
        found = _known.get(key)
        if found is None or found.expires <= now:
            raise _refused()
        due = found.until <= now and key not in _asking
        if due:
            _asking.add(key)
    if due:
        threading.Thread(target=_ask_again, args=(settings, subject, now), name="keystone", daemon=True).start()
    return found.actor


def forget() -> None:
    """Ask anew for every token."""
    with _lock:
        _known.clear()


def _key(settings: Settings, subject: str) -> str:
    return hashlib.sha256(f"{settings.keystone_url}\n{subject}".encode()).hexdigest()


def _ask_again(settings: Settings, subject: str, now: dt.datetime) -> None:
    try:
        with contextlib.suppress(PxeError):  # refused: it is forgotten; not answered: the next look asks again
            whose(settings, subject, now)
    finally:
        with _lock:
            _asking.discard(_key(settings, subject))


def _ask(url: str, subject: str) -> dict[str, Any]:
    place = f"{url}/auth/tokens" if url.endswith("/v3") else f"{url}/v3/auth/tokens"
    headers = {"X-Auth-Token": subject, "X-Subject-Token": subject}
    status, body = asking.get_json("Keystone", place, headers, nocatalog="1")
    if status in (401, 403, 404):
        raise _refused()
    if status != HTTPStatus.OK:
        raise Unavailable(f"Keystone answered {status} when it was asked for a token.")
    found = body.get("token") if isinstance(body, dict) else None
    if not isinstance(found, dict):
        raise Unavailable("Keystone's answer is not what Keystone v3 says.")
    return found


def _understood(settings: Settings, said: dict[str, Any], now: dt.datetime) -> tuple[Actor, dt.datetime]:
    try:
        expires = dt.datetime.fromisoformat(str(said["expires_at"]))
        user = str(said["user"]["name"])[:100]
        roles = {str(role["name"]) for role in said.get("roles", [])}
        project = said.get("project")
        name = str(project["name"]) if project else None
    except (KeyError, TypeError, ValueError):
        raise Unavailable("Keystone's answer is not what Keystone v3 says.") from None
    if expires.tzinfo is None or expires <= now:
        raise _refused()
    found = grants.best(settings.keystone_roles, roles, project=name)
    if found is None:
        raise Forbidden(
            f"None of the roles that Keystone gives to {user} means anything here.",
            hint="An admin maps them with PXEAPP_KEYSTONE_ROLES.",
        )
    role, projects = found
    where = f"@{name}" if name else ""
    label = "".join(filter(str.isprintable, f"keystone:{user}{where}"))[:200]
    return Actor(label, role, None, projects, by=KEYSTONE), expires


def _refused() -> Unauthenticated:
    return Unauthenticated("Keystone does not know this token.", hint="Get a new one: openstack token issue")
