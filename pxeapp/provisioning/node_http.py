"""HTTP as far as machines need it: a request, a reply, and routes to functions, as a WSGI application.

When forty racks boot at once, what stands between the socket and an answer is paid for thousands of times a minute. A
framework would cost more than the token's check; there are eight routes here, no cookies, no forms and no sessions.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.exceptions import HTTPException
from werkzeug.utils import send_file

from pxeapp.errors import RETRY_AFTER_S, Invalid, NotFound, PxeError

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Answer = Callable[[Environ, StartResponse], Iterable[bytes]]  # a WSGI response: a Reply, or a file by werkzeug

PLAIN = "text/plain; charset=utf-8"
NO_STORE = (("Cache-Control", "no-store"),)
NOT_HERE = "There is nothing here.\n"
LATER = "The appliance cannot record that right now; nothing was changed. Try again in a moment.\n"
log = logging.getLogger(__name__)


class Refused(Exception):
    """A request that is none of ours, by its HTTP status."""

    def __init__(self, status: HTTPStatus, text: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.text = text or f"{status.phrase}\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = PLAIN
    headers: tuple[tuple[str, str], ...] = NO_STORE

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """As WSGI sends it. Of a HEAD only the head, which says how long the body would be."""
        length = str(len(self.body))
        start_response(
            f"{self.status:d} {self.status.phrase}",
            [("Content-Type", self.content_type), *self.headers, ("Content-Length", length)],
        )
        return (self.body,) if self.body and environ["REQUEST_METHOD"] != "HEAD" else ()


def text(said: str, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    """A text, which nobody on the way may keep."""
    return Reply(said.encode(), status)


def file(path: Path, request: Request, content_type: str) -> Answer:
    """A file, or the part of it that was asked for; whoever keeps it asks again whether it is still the same."""
    try:
        return send_file(path, request.environ, mimetype=content_type, conditional=True, max_age=0)
    except HTTPException as error:
        raise Refused(HTTPStatus(error.code or HTTPStatus.BAD_REQUEST), f"{error.name}\n") from None


class Request:
    """What a machine asked. Nothing of it is read before somebody wants it."""

    def __init__(self, environ: Environ, *, behind_front: bool) -> None:
        self.environ = environ
        self._behind_front = behind_front

    @property
    def address(self) -> str:
        """The client's address: the connection's, or the front's word where only the front can connect."""
        name = "HTTP_X_REAL_IP" if self._behind_front else "REMOTE_ADDR"
        return self.environ.get(name) or "unknown"

    @cached_property
    def args(self) -> Mapping[str, str]:
        """The query's fields; of one that comes twice the first."""
        said = self.environ.get("QUERY_STRING", "").encode("latin-1").decode(errors="replace")
        return dict(reversed(parse_qsl(said, keep_blank_values=True)))

    def body(self, limit: int) -> bytes:
        """The whole body; one that is longer than the limit is refused, before it is read if it says so itself."""
        chunked = "HTTP_TRANSFER_ENCODING" in self.environ
        said = "" if chunked else self.environ.get("CONTENT_LENGTH", "")
        if not said:  # chunked, or none at all; a server that does not know the body's end must not be asked for it
            content: bytes = self.environ["wsgi.input"].read(limit + 1) if self._ends_by_itself else b""
        elif not said.isascii() or not said.isdigit():
            raise Refused(HTTPStatus.BAD_REQUEST)
        elif int(said) > limit:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            content = self.environ["wsgi.input"].read(int(said))
            if len(content) < int(said):
                raise Refused(HTTPStatus.BAD_REQUEST)  # the client is gone
        if len(content) > limit:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return content

    @property
    def _ends_by_itself(self) -> bool:
        return bool(self.environ.get("wsgi.input_terminated"))


Handler = Callable[..., Answer]  # called with the request and the parts of its path


@dataclass(frozen=True, slots=True)
class Route:
    """Which methods a path is good for, and who answers; `<name>` is one part of the path, `<name...>` all the rest."""

    methods: str
    path: str
    handler: Handler

    @property
    def pattern(self) -> re.Pattern[str]:
        """The path as a regular expression."""
        found = ""
        for piece in re.split(r"(<[^>]+>)", self.path):
            found += ("(.+)" if "..." in piece else "([^/]+)") if piece.startswith("<") else re.escape(piece)
        return re.compile(found, re.DOTALL)


class Application:
    """A WSGI application over routes, which also says what is wrong in words a machine's log can hold."""

    def __init__(self, routes: Sequence[Route], *, behind_front: bool, too_large: str) -> None:
        self.routes = tuple(routes)
        self._behind_front = behind_front
        self._too_large = too_large
        self._by_beginning: dict[str, list[tuple[re.Pattern[str], tuple[str, ...], Handler]]] = {}
        for route in routes:
            known = self._by_beginning.setdefault(_beginning(route.path), [])
            methods = tuple(route.methods.split())
            known.append((route.pattern, ("HEAD", *methods) if "GET" in methods else methods, route.handler))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        return self._answer(environ)(environ, start_response)

    def _answer(self, environ: Environ) -> Answer:
        endpoint = "none"
        try:
            # A compressed body could be a bomb, and no installer sends one.
            if environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
                raise Invalid("Compressed bodies are not taken.", hint="Send it without Content-Encoding.")
            handler, parts = self._found(environ)
            endpoint = getattr(handler, "__name__", endpoint)
            return handler(Request(environ, behind_front=self._behind_front), *parts)
        except Refused as refused:
            large = refused.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            return text(self._too_large if large else refused.text, refused.status)
        except NotFound:
            return text(NOT_HERE, HTTPStatus.NOT_FOUND)
        except PxeError as error:
            if not error.retryable:
                return text(f"{error}\n", HTTPStatus(error.status))
            # What is wrong with the appliance is not the machines' business; that they may come again is.
            log.error("A machine's request (%s) was refused: %s", endpoint, error)  # noqa: TRY400 - a sentence
            headers = (*NO_STORE, ("Retry-After", RETRY_AFTER_S))
            return Reply(LATER.encode(), HTTPStatus(error.status), headers=headers)
        except Exception:
            log.exception("A machine's request (%s) failed", endpoint)  # never its path: that may hold a token
            return text("Internal Server Error\n", HTTPStatus.INTERNAL_SERVER_ERROR)

    def _found(self, environ: Environ) -> tuple[Handler, tuple[str, ...]]:
        path = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
        if "//" in path:
            path = re.sub("/{2,}", "/", path)  # as nginx does for files
        method, allowed = environ["REQUEST_METHOD"], False
        for pattern, methods, handler in self._by_beginning.get(_beginning(path), ()):
            if match := pattern.fullmatch(path):
                if method in methods:
                    return handler, match.groups()
                allowed = True
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED if allowed else HTTPStatus.NOT_FOUND)


def _beginning(path: str) -> str:
    return path[1:].partition("/")[0]
