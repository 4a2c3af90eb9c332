"""Slows down guessing of passwords: per name and per address, in this process's memory."""

from __future__ import annotations

import datetime as dt
import threading
from http import HTTPStatus

from pxeapp.errors import PxeError

WINDOW = dt.timedelta(minutes=5)
TRIES = 10  # from one address
TRIES_AT_NAME = 100  # from everywhere; few enough for a guesser, many enough that nobody locks a colleague out
REMEMBERED = 10_000  # keys; a guesser with many addresses forgets itself, never us


class TooManyTries(PxeError):
    """Somebody guesses."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    title = "Too many tries"
    retryable = True


class SignInLimit:
    """Counts tries in a window; a try that succeeds is forgiven."""

    def __init__(self) -> None:
        self._tries: dict[str, list[dt.datetime]] = {}
        self._lock = threading.Lock()
        # Checking a password costs memory and time on purpose: whoever sends many at once waits in line for it.
        self.one_at_a_time = threading.Lock()

    def count(self, name: str, address: str, now: dt.datetime) -> None:
        """Note a try before its password is looked at; raises TooManyTries when there were too many lately."""
        with self._lock:
            tries = {key: self._recent(key, now) for key in _limits(name, address)}
            if any(len(tries[key]) >= most for key, most in _limits(name, address).items()):
                raise TooManyTries("There were too many tries.", hint="Wait five minutes.")
            for key, before in tries.items():
                if key not in self._tries and len(self._tries) >= REMEMBERED:
                    self._tries.pop(next(iter(self._tries)))
                self._tries[key] = [*before, now]

    def forgive(self, name: str, address: str) -> None:
        """It was the right password: the last try does not count."""
        with self._lock:
            for key in _limits(name, address):
                self._tries[key] = self._tries.get(key, [])[:-1]

    def _recent(self, key: str, now: dt.datetime) -> list[dt.datetime]:
        return [moment for moment in self._tries.get(key, []) if now - moment < WINDOW]


def _limits(name: str, address: str) -> dict[str, int]:
    return {f"address:{address}": TRIES, f"name:{name}": TRIES_AT_NAME}
