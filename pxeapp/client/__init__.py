"""The command line's appliance: this host's own, or one elsewhere. A command asks `appliance()` and never which it is.

Both are asked the same API: elsewhere over HTTP (`http.py`), here in this very process (`local.py`). So a command is
written once, prints one way, and cannot do here what the API would refuse.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Protocol
from urllib.parse import quote

import click

from pxeapp.errors import (
    Conflict,
    FieldProblem,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    PxeError,
    TooMany,
    Unauthenticated,
    Unavailable,
)

JSON = "application/json"
PAGE = 1000  # what is asked for at once
OLDER = "Not Found"  # the title of a route that is not there; of a thing that is not there it is "Not found"
BY_STATUS: dict[int, type[PxeError]] = {
    each.status: each
    for each in (
        Conflict, Forbidden, NotFound, PreconditionFailed, PreconditionRequired, TooMany, Unauthenticated, Unavailable,
    )
}  # fmt: skip


class Refused(PxeError):
    """The appliance said no, in its own words."""

    title = "Refused"


class Unreachable(PxeError):
    """No answer from the appliance, or not in time."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    title = "Unreachable"
    retryable = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes = field(repr=False)  # it may hold a new token
    headers: Mapping[str, str] = field(default_factory=dict)


class Listening(Protocol):
    """Changes as they happen, or nothing but time."""

    def wait(self, seconds: float) -> None:
        """Until something changed, so many seconds at most."""


class Transport(Protocol):
    """How an appliance is asked."""

    remote: ClassVar[bool]

    def send(
        self, method: str, path: str, query: Mapping[str, Any], body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """One request; raises Unreachable."""

    def stream(self, path: str, query: Mapping[str, Any], headers: Mapping[str, str]) -> Iterator[bytes]:
        """A long answer, piece by piece; raises what `send` raises, and what a refusal is."""

    def listening(self, events: str) -> contextlib.AbstractContextManager[Listening]:
        """Hear of changes for a while."""

    def close(self) -> None:
        """Give back what it holds."""


class Appliance:
    """The API of one appliance."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    @property
    def remote(self) -> bool:
        """Whether it is another process than this one, perhaps on another host."""
        return self.transport.remote

    def get(self, path: str, **query: Any) -> Any:
        """What is there."""
        return self._ask("GET", path, query)

    def post(self, path: str, body: Any = None, *, version: int | None = None) -> Any:
        """Order something; with `version` only if it is still the one that was looked at."""
        return self._ask("POST", path, {}, body, {} if version is None else _if_match(version))

    def patch(self, path: str, body: Any, *, version: int | None = None) -> Any:
        """Change something; whatever is there by now, or only what was looked at."""
        return self._ask("PATCH", path, {}, body, _if_match(version))

    def delete(self, path: str) -> None:
        """Forget something."""
        self._ask("DELETE", path, {}, None, _if_match(None))

    def upload(self, path: str, content: bytes, media: str, **query: Any) -> Any:
        """Send a file as it is."""
        return _read(self.transport.send("POST", path, _said(query), content, {"Content-Type": media}))

    def each(self, path: str, limit: int = PAGE, **query: Any) -> Iterator[dict[str, Any]]:
        """Everything of a list, page after page."""
        after: str | None = ""
        while after is not None:
            page = self.get(path, **{**query, "after": after, "limit": limit})
            yield from page["items"]
            after = page["next"]

    def text(self, path: str, **query: Any) -> str:
        """An answer that is no JSON."""
        return _whole(self.transport.send("GET", path, _said(query), None, {})).body.decode()

    def stream(self, path: str, **query: Any) -> Iterator[bytes]:
        """A long answer, piece by piece."""
        return self.transport.stream(path, _said(query), {})

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        content = None if body is None else json.dumps(body, default=str).encode()  # YAML's dates
        media = {"Content-Type": JSON} if content is not None else {}
        return _read(self.transport.send(method, path, _said(query), content, {**(headers or {}), **media}))


@dataclass(slots=True)
class Chosen:
    """Which appliance this call of `pxeapp` speaks to: `make` is called when a command first asks it something."""

    make: Callable[[], Appliance]
    remote: bool
    name: str = ""
    _made: Appliance | None = None

    def appliance(self) -> Appliance:
        """The one."""
        if self._made is None:
            self._made = self.make()
        return self._made

    def close(self) -> None:
        """At the end of the command."""
        if self._made is not None:
            self._made.transport.close()


def chosen() -> Chosen:
    """What the command line said, or the profiles."""
    found = click.get_current_context().find_object(Chosen)
    if found is None:
        raise RuntimeError("Commands are called through pxeapp.cli.main, which chooses the appliance.")
    return found


def appliance() -> Appliance:
    """The appliance that the running command is about."""
    return chosen().appliance()


def at(*parts: str | int) -> str:
    """A path of the API out of names as they were typed."""
    for part in map(str, parts):
        if part in ("", ".", ".."):
            raise NotFound(f"There is nothing called {part!r}.")
    return "/" + "/".join(quote(str(part), safe="") for part in parts)


def refusal(status: int, body: bytes) -> PxeError:
    """What a problem+json says, as the error that it was on the other side."""
    try:
        said = json.loads(body)
        detail, hint = _inert(said["detail"]), _inert(said.get("hint", ""))
        problems = [_problem(each) for each in said.get("errors") or ()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return Refused(
            f"The answer {status} is none of pxeapp's API.", hint="Check the address: is there a proxy in between?"
        )
    if problems or status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return Invalid(detail, problems=problems, hint=hint)
    if said.get("title") == OLDER and status == HTTPStatus.NOT_FOUND:
        return Refused(detail, hint="The appliance may be of another version than this command.")
    return BY_STATUS.get(status, Refused)(detail, hint=hint)


def _problem(said: Mapping[str, Any]) -> FieldProblem:
    return FieldProblem(
        _inert(said["field"]), _inert(said["problem"]), _inert(said.get("fix") or ""), said.get("line"), said.get("row")
    )


def _inert(text: object) -> str:
    """Nothing that a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


def _whole(answer: Answer) -> Answer:
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise refusal(answer.status, answer.body)
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        where = answer.headers.get("Location", "")[:200]
        raise Refused(f"The address leads elsewhere: {where or answer.status}.", hint="Use the address it leads to.")
    return answer


def _read(answer: Answer) -> Any:
    body = _whole(answer).body
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        raise Refused("The answer is no JSON: this is no pxeapp.", hint="Check the address of the appliance.") from None


def _if_match(version: int | None) -> dict[str, str]:
    """A star where no version is known: sites that insist on If-Match are told that this is meant."""
    return {"If-Match": "*" if version is None else f'"{version}"'}


def _said(query: Mapping[str, Any]) -> dict[str, Any]:
    """Only what was said; true and false as the API reads them."""
    found = {name: value for name, value in query.items() if value not in (None, "")}
    return {name: int(value) if isinstance(value, bool) else value for name, value in found.items()}
