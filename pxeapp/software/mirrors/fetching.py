"""Package files into the store: several at once, each checked against its index, gone on with where it broke off.

What the store has is not fetched. A file that comes in lies under a key made of its hash, so that a later try, of this
process or of the next, asks only for what is missing. The first failure ends it; what came in meanwhile stays.
"""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from pxeapp.errors import Conflict, Invalid, NotFound, PxeError, Unavailable
from pxeapp.software.content import unsynced
from pxeapp.software.content.store import Incoming, Store
from pxeapp.software.mirrors.line import Changed, Line, Place, deadline_s, patiently

AT_ONCE = 4  # connections to one mirror: what its operator does not mind
TELL_S = 0.5
OTHER_S = 0.5
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file: where it is, and what it must be."""

    place: Place
    path: str
    sha256: str
    size: int


@dataclass(slots=True)
class Count:
    """How far it is; bytes of this run alone, those that the store had are not in it."""

    files: int = 0
    bytes: int = 0
    fetched: int = 0  # files that were really fetched
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *, files: int = 0, bytes_: int = 0, fetched: int = 0) -> None:
        """One thread's share."""
        with self._lock:
            self.files += files
            self.bytes += bytes_
            self.fetched += fetched


def fetch(
    wanted: Iterable[Wanted], store: Store, *, at_once: int = AT_ONCE, tell: Callable[[Count], None] = lambda _: None
) -> Count:
    """Have all of them in the store. `tell` is called twice a second and may raise to end it."""
    left = list({each.sha256: each for each in wanted}.values())
    count = Count()
    left = [each for each in left if not _is_here(each, store, count)]
    todo, ending, lines = deque(left), threading.Event(), _Lines()
    try:
        with (
            unsynced.together(store, [each.sha256 for each in left]),
            ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="mirror") as pool,
        ):
            working = {pool.submit(_work, todo, store, lines, count, ending) for _ in range(at_once)}
            try:
                while working:
                    done, working = wait(working, timeout=TELL_S, return_when=FIRST_EXCEPTION)
                    for each in done:
                        each.result()
                    tell(count)
            finally:
                ending.set()
    finally:
        lines.close()
    return count


def missing(wanted: Iterable[Wanted], store: Store) -> Sequence[Wanted]:
    """Those that the store does not have."""
    return [each for each in wanted if not store.has(each.sha256)]


def _is_here(each: Wanted, store: Store, count: Count) -> bool:
    if not store.has(each.sha256):
        return False
    count.add(files=1)
    return True


class _Lines:
    """A thread's own lines, one for each place."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._all: list[Line] = []

    def to(self, place: Place) -> Line:
        known: dict[Place, Line] = self._mine.__dict__.setdefault("lines", {})
        if place not in known:
            known[place] = Line(place)
            self._all.append(known[place])
        return known[place]

    def close(self) -> None:
        for line in self._all:
            line.close()


class _Ended(Exception):
    """No error: another file failed, or the task is to end. Leave what came in and go."""


def _work(todo: deque[Wanted], store: Store, lines: _Lines, count: Count, ending: threading.Event) -> None:
    """One thread: a file after the other, until there is none left or it is to end."""
    while not ending.is_set():
        try:
            each = todo.popleft()
        except IndexError:
            return
        _one(each, store, lines, count, ending)


def _one(each: Wanted, store: Store, lines: _Lines, count: Count, ending: threading.Event) -> None:
    def pause(seconds: float) -> None:
        if ending.wait(seconds):
            raise _Ended

    def once() -> None:
        while not store.has(each.sha256):
            try:
                _receive(each, store, lines.to(each.place), count, ending)
            except _Resumed:  # what an earlier try had left was not what it should have been: all of it, once more
                continue
            except Conflict:  # the sync of another mirror is fetching this very file; it has deadlines of its own
                pause(OTHER_S)

    try:
        patiently(once, pause=pause)
        count.add(files=1, fetched=1)
    except _Ended:
        return
    except NotFound as error:
        raise Changed(
            f"{each.place} has no {each.path}, which its index names.",
            hint="The mirror is in the middle of an update, or not whole; try again, and then another mirror.",
        ) from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise Conflict(
                f"The disk became full while {each.path} came in.",
                hint="Make room, then sync again: what has come in is not fetched again.",
            ) from error
        raise


class _Resumed(Exception):
    """The hash is wrong, and a part of it came from an earlier try."""


def _receive(each: Wanted, store: Store, line: Line, count: Count, ending: threading.Event) -> None:
    give_up = time.monotonic() + deadline_s(each.size)
    resumed, key = False, f"mirror {each.sha256}"
    try:
        with store.receiving(sha256=each.sha256, key=key, name=f"{each.place}/{each.path}", durable=False) as into:
            if into.received >= each.size:
                into.restart()
            resumed = into.received > 0
            with line.get(each.path, start=into.received) as answer:
                if answer.start != into.received:
                    if answer.start != 0:
                        into.restart()
                        raise _Resumed
                    into.restart()
                    resumed = False
                _refuse_length(each, answer.length, into)
                while piece := answer.read():
                    into.write(piece)
                    count.add(bytes_=len(piece))
                    if into.received > each.size:
                        into.restart()
                        raise _other(each, f"sends more than the {each.size} bytes that its index says")
                    if ending.is_set():
                        raise _Ended
                    if time.monotonic() > give_up:
                        raise Unavailable(f"{each.place}/{each.path} comes too slowly.", hint="Use another mirror.")
    except Invalid as error:
        store.forget(key)
        if isinstance(error, Changed):
            raise
        if resumed:
            raise _Resumed from error
        raise Changed(str(error.problems[0].problem if error.problems else error), hint=error.hint) from error


def _refuse_length(each: Wanted, length: int | None, into: Incoming) -> None:
    if length is not None and into.received + length != each.size:
        said = into.received + length
        into.restart()
        raise _other(each, f"is {said} bytes, and its index says {each.size}")


def _other(each: Wanted, what: str) -> PxeError:
    return Changed(
        f"{each.place}/{each.path} {what}; it was thrown away.",
        hint="The mirror is in the middle of an update, or lies; try again, and then another mirror.",
    )
