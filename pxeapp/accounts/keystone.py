"""Tokens of OpenStack's Keystone: each is shown to Keystone, which says whose it is, of which project, until when.

`X-Auth-Token: TOKEN` on a request to our API. The token itself is the right to ask (a token may validate itself), so we
keep no account at Keystone. What it said is remembered for half a minute, and never beyond the token's own end.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from http import HTTPStatus
from typing import Any

from pxeapp.accounts import asking, grants
from pxeapp.accounts.actor import KEYSTONE, Actor
from pxeapp.config import Settings
from pxeapp.errors import Forbidden, Unauthenticated, Unavailable

REMEMBERED = dt.timedelta(seconds=30)
MOST_REMEMBERED = 1000
MOST_TOKEN = 8192
_known: dict[str, tuple[dt.datetime, Actor]] = {}
_lock = threading.Lock()


def whose(settings: Settings, subject: str, now: dt.datetime) -> Actor:
    """Who a token stands for; raises Unauthenticated, Forbidden, or Unavailable when Keystone does not answer."""
    if len(subject) > MOST_TOKEN or not subject.isascii() or not subject.isprintable():
        raise _refused()
    key = hashlib.sha256(f"{settings.keystone_url}\n{subject}".encode()).hexdigest()
    with _lock:
        until, found = _known.get(key, (now, None))
    if found is not None and now < until:
        return found
    said = _ask(settings.keystone_url, subject)
    actor, expires = _understood(settings, said, now)
    with _lock:
        while len(_known) >= MOST_REMEMBERED:
            _known.pop(next(iter(_known)))
        _known[key] = (min(now + REMEMBERED, expires), actor)
    return actor


def forget() -> None:
    """Ask anew for every token."""
    with _lock:
        _known.clear()


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
