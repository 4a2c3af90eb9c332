"""This host's own appliance: its API in this very process, without a socket and without a token.

Whoever may read its database and its key file is asked for nothing more. What goes wrong is not put into a document
and taken out again: the error itself comes through, a bug with its traceback.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NoReturn, Protocol

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.test import Client, TestResponse

from pxeapp.client import Answer, Listening, refusal
from pxeapp.commandline import loading
from pxeapp.errors import PxeError

BASE = "/api/v1"
LOOK_EVERY_S = 1.0


class Own(Protocol):
    """The API as own_api.py has it."""

    def answering(self, path: str) -> Flask:
        """What answers at an address; the same application each time."""

    def close(self) -> None:
        """Close its database."""


class Local:
    """A transport; `environ` says who asks."""

    remote: ClassVar[bool] = False

    def __init__(self, make: Callable[[], Own], environ: Mapping[str, Any]) -> None:
        self._make = make
        self._environ = {"REMOTE_ADDR": "", **environ}
        self._own: Own | None = None
        self._known: set[int] = set()  # applications whose errors come as they are

    def send(
        self, method: str, path: str, query: Mapping[str, Any], body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """One request."""
        with contextlib.closing(self._open(method, path, query, body, headers)) as found:
            return Answer(found.status_code, found.get_data(), dict(found.headers))

    def stream(self, path: str, query: Mapping[str, Any], headers: Mapping[str, str]) -> Iterator[bytes]:
        """A long answer, piece by piece."""
        with contextlib.closing(self._open("GET", path, query, None, headers)) as found:
            if found.status_code >= 400:
                raise refusal(found.status_code, found.get_data())
            yield from found.iter_encoded()

    @contextlib.contextmanager
    def listening(self, events: str) -> Iterator[Listening]:
        """Nobody tells us; its database is near enough to look again."""
        del events
        yield _Clock()

    def close(self) -> None:
        """Close its database."""
        if self._own is not None:
            self._own.close()

    def _open(
        self, method: str, path: str, query: Mapping[str, Any], body: bytes | None, headers: Mapping[str, str]
    ) -> TestResponse:
        with loading():
            if self._own is None:
                self._own = self._make()
            app = self._own.answering(path)
        if id(app) not in self._known:
            self._known.add(id(app))
            app.config["PROPAGATE_EXCEPTIONS"] = True
            for kind in (PxeError, SQLAlchemyError, Exception):
                app.register_error_handler(kind, _as_it_is)
        return Client(app, use_cookies=False).open(
            path=BASE + path, method=method, query_string=dict(query), data=body, headers=dict(headers),
            environ_overrides=self._environ,
        )  # fmt: skip


class _Clock:
    """Looks again after a while."""

    def wait(self, seconds: float) -> None:
        """As long as that takes."""
        time.sleep(min(seconds, LOOK_EVERY_S))


def _as_it_is(error: Exception) -> NoReturn:
    raise error
