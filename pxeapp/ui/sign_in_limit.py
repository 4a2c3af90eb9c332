"""Slows down guessing of passwords: per name and per address, in this process's memory."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus

from pxeapp.errors import PxeError

WINDOW = dt.timedelta(minutes=5)
TRIES = 10
REMEMBERED = 10_000  # keys; a guesser with many addresses forgets itself, never us


class TooManyTries(PxeError):
    """Somebody guesses."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    title = "Too many tries"
    retryable = True


class SignInLimit:
    """Counts failures in a window."""

    def __init__(self) -> None:
        self._failures: dict[str, list[dt.datetime]] = {}

    def check(self, name: str, address: str, now: dt.datetime) -> None:
        """Raises TooManyTries when this name or this address failed too often lately."""
        for key in (f"name:{name}", f"address:{address}"):
            if len(self._recent(key, now)) >= TRIES:
                raise TooManyTries("There were too many tries.", hint="Wait five minutes.")

    def failed(self, name: str, address: str, now: dt.datetime) -> None:
        """Note a failure."""
        for key in (f"name:{name}", f"address:{address}"):
            if len(self._failures) >= REMEMBERED:
                self._failures.pop(next(iter(self._failures)))
            self._failures[key] = [*self._recent(key, now), now]

    def _recent(self, key: str, now: dt.datetime) -> list[dt.datetime]:
        return [moment for moment in self._failures.get(key, []) if now - moment < WINDOW]
