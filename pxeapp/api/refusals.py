"""Every refusal leaves a row in the audit: who was turned away, from what, and why.

Whoever is not signed in could fill the disk that way. Theirs are therefore written once a minute for each address and
route, with how often it happened in between, and not more than a few hundred a minute altogether.
"""

from __future__ import annotations

import logging
import threading
import time
from http import HTTPStatus

from flask import Response, g, request

from pxeapp import audit
from pxeapp.accounts.actor import Actor
from pxeapp.accounts.permissions import SAFE_METHODS
from pxeapp.api.context import context
from pxeapp.db import now
from pxeapp.errors import PxeError

log = logging.getLogger(__name__)
ALWAYS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
OF_WRITES = frozenset({HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED})
EVERY_S = 60.0
MOST = 300  # rows of strangers in EVERY_S
NOBODY = "nobody"
Key = tuple[str, str, int]


class Strangers:
    """How often somebody without an account was turned away, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = 0.0
        self._seen: dict[Key, int] = {}
        self._missed = 0

    def take(self, key: Key, at: float) -> int | None:
        """How many were left out before this one; None: leave this one out as well."""
        with self._lock:
            if at - self._since >= EVERY_S:
                self._missed += sum(self._seen.values())
                self._since, self._seen = at, {}
            if key in self._seen or len(self._seen) >= MOST:
                if key in self._seen:
                    self._seen[key] += 1
                else:
                    self._missed += 1
                return None
            self._seen[key] = 0
            missed, self._missed = self._missed, 0
            return missed


strangers = Strangers()


def note(response: Response) -> Response:
    """After each request; never turns an answer into another one."""
    status = response.status_code
    if status not in ALWAYS and not (status in OF_WRITES and request.method not in SAFE_METHODS):
        return response
    actor: Actor | None = g.get("actor")
    missed = 0
    if actor is None:
        found = strangers.take((request.remote_addr or "", request.endpoint or "", status), time.monotonic())
        if found is None:
            return response
        missed = found
    try:
        _write(response, actor, missed)
    except PxeError as error:
        log.warning("A refusal could not be kept: %s", error)
    return response


def _write(response: Response, actor: Actor | None, missed: int) -> None:
    values = request.view_args or {}
    subject = next((str(values[name]) for name in ("key", "name", "number") if name in values), request.path)
    more = {"left_out_before": missed} if missed else {}
    with context().database.write() as session:
        audit.record(
            session,
            at=now(),
            actor=actor.label if actor else NOBODY,
            action=request.endpoint or "unknown",
            subject="".join(filter(str.isprintable, subject)),
            outcome=audit.REFUSED,
            method=request.method,
            status=response.status_code,
            reason=str(g.get("problem", ""))[:500],
            **more,
        )
