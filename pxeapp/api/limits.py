"""Around every request to the API: how often somebody may ask, and a request that comes twice is done once."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

from flask import Flask, Response, current_app, g, request
from flask.sansio.app import App

from pxeapp.api import problems
from pxeapp.api.context import Context, actor
from pxeapp.db import now
from pxeapp.errors import PxeError, TooMany
from pxeapp.traffic.once import Answer, Once
from pxeapp.traffic.rates import Rates
from pxeapp.traffic.tally import Tally

KEY = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
WITH_KEY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
KEPT_HEADERS = ("Content-Type", "ETag", "Location")
STRANGERS = 10  # who sends no valid token may ask so many times less often
PRUNE_S = 600.0
LIMITS, TALLY = "pxeapp.limits", "pxeapp.tally"


@dataclass(slots=True)
class Limits:
    """One per process."""

    own: Context
    rates: Rates
    once: Once
    _prune_at: float = 0.0
    _pruning: threading.Lock = field(default_factory=threading.Lock)

    def take(self, who: str, per_minute: int) -> None:
        """Raises TooMany."""
        wait = self.rates.take(who, per_minute, now=time.monotonic())
        if wait:
            raise TooMany(
                f"These are more than {per_minute} requests a minute.",
                hint="Ask for more at once, or listen at /api/v1/events; PXEAPP_REQUESTS_PER_MINUTE is the limit.",
                after_s=max(1, math.ceil(wait)),
            )

    def before(self) -> Response | None:
        """Count whoever was let in, and give back the answer to what was asked before."""
        if not _is_api() or "actor" not in g:
            return None
        who = f"{actor().user_id or ''} {actor().label}"
        self.take(f"account {who}", self.own.settings.requests_per_minute)
        key = request.headers.get(KEY)
        if key is None or request.method not in WITH_KEY:
            return None
        asked = b"\0".join(
            (request.method.encode(), request.full_path.encode(), request.mimetype.encode(), request.get_data())
        )
        found = self.once.begin(who, key, asked, now=now())
        if isinstance(found, Answer):
            return Response(found.body, found.status, {**found.headers, REPLAYED: "true"})
        g.ticket = found
        return None

    def after(self, response: Response) -> Response:
        """Keep an answer of success for who asks again; count whoever was not let in."""
        ticket = g.pop("ticket", None)
        if ticket is not None:
            self._settle(ticket, response)
        if response.status_code == HTTPStatus.UNAUTHORIZED and _is_api():
            try:
                self.take(f"address {request.remote_addr}", max(1, self.own.settings.requests_per_minute // STRANGERS))
            except TooMany as error:
                return problems.of(error)
        return response

    def _settle(self, ticket: str, response: Response) -> None:
        """A database that is away now leaves the ticket as it is: whoever asks again is told that nobody knows."""
        try:
            if response.status_code < HTTPStatus.BAD_REQUEST:
                headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
                self.once.keep(ticket, Answer(response.status_code, headers, response.get_data()))
            else:
                self.once.forget(ticket)
            self._prune()
        except PxeError as error:
            problems.log.warning("An answer could not be kept: %s", error)

    def _prune(self) -> None:
        with self._pruning:
            if time.monotonic() < self._prune_at:
                return
            self._prune_at = time.monotonic() + PRUNE_S
        self.once.forget_old(now=now())


def install(app: Flask) -> None:
    """After the guard, which knows who is asking."""
    begin(app)
    app.before_request_funcs.setdefault(None, []).insert(0, _clock)
    app.after_request(_count)
    app.before_request(lambda: _limits().before())
    app.after_request(lambda response: _limits().after(response))


def begin(app: App) -> None:
    """Count from nothing on, over the application's context."""
    own: Context = app.extensions["pxeapp"]
    app.extensions[LIMITS] = Limits(own, Rates(own.settings.run_dir / "requests"), Once(own.database, own.vault))
    app.extensions[TALLY] = Tally(own.settings.run_dir / "tally")


def _clock() -> None:
    g.began = time.monotonic()


def _count(response: Response) -> Response:
    kind = "api" if _is_api() else "page" if request.blueprint == "ui" else "other"
    tally: Tally = current_app.extensions[TALLY]
    tally.count(kind, response.status_code, time.monotonic() - g.get("began", time.monotonic()))
    return response


def _limits() -> Limits:
    return cast(Limits, current_app.extensions[LIMITS])


def _is_api() -> bool:
    return request.path.startswith("/api/")
