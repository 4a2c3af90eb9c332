"""Which file answers a request for an index: always one that the set names which this client has been given.

A set is looked at when somebody asks for its head and the last look is older than the upstream's freshness. Whoever
asks waits a little for that; what cannot be had in time, or is not whole, leaves the former generation in its place.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pxeapp.errors import Invalid, NotFound, PxeError, Unavailable
from pxeapp.software.cache.configured import Configured
from pxeapp.software.cache.indexes import heads
from pxeapp.software.cache.indexes.heads import File, Head, Spot
from pxeapp.software.cache.indexes.refreshing import Refresher
from pxeapp.software.cache.indexes.shelf import GENERATIONS, Generation, Record, Shelf, files_of

PATIENCE_S = 15.0  # how long a client waits for a newer generation where there is a former one
FIRST_PATIENCE_S = 100.0
RETRY_S = 30.0  # after a look that failed
LOYAL_S = 900.0  # how long a client is given the indexes of the head that it has
CLIENTS = 10_000
AT_ONCE = 8
log = logging.getLogger(__name__)
_MAIN = ("InRelease", "Release", heads.YUM_HEADS[0])

What = Literal["hit", "miss", "plain", "absent", "offline", "failed"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What to give: a file that lay here (hit) or was fetched now (miss), a plain file of the upstream, or why not."""

    what: What
    path: Path | None = None
    sentence: str = ""


@dataclass(slots=True)
class _Set:
    """A set while this process runs."""

    record: Record
    lock: threading.Lock = field(default_factory=threading.Lock)  # one at a time fetches for it
    tried: float = 0.0
    running: Future[None] | None = None

    @property
    def current(self) -> Generation | None:
        return self.record.generations[0] if self.record.generations else None


class Keeper:
    """The index sets of one upstream."""

    def __init__(self, known: Configured, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.known = known
        self.fetched_bytes = 0
        self._clock = clock
        self._shelf = Shelf(folder)
        self._guard = threading.Lock()
        self._sets: dict[str, _Set] = {}
        self._loyal: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"indexes-{known.name}")
        self._purged = self._shelf.purged()
        for said in self._shelf.saved():
            if (record := self._restored(said)) is not None:
                self._sets[record.root] = _Set(record)

    def close(self) -> None:
        """Begin nothing more; what is being fetched ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def answer(self, path: str, client: str) -> Answer:
        """What to give to a client that asks for this path below the upstream."""
        self._follow_purges()
        try:
            spot = heads.spot(path)
            if spot is not None:
                return self._head(spot, client)
            held = self._holding(path)
            return Answer("plain") if held is None else self._index(held, path, client)
        except NotFound as error:
            return Answer("absent", sentence=error.sentence)
        except _Offline as error:
            return Answer("offline", sentence=error.sentence)
        except PxeError as error:
            return Answer("failed", sentence=str(error))

    def report(self) -> list[dict[str, Any]]:
        """The sets as the upstream's state shows them."""
        self._follow_purges()
        with self._guard:
            found = sorted(self._sets.items())
        return [_shown(each.record) for _, each in found if each.current is not None]

    def problem(self) -> str:
        """What is wrong with the sets, as one text; empty: nothing."""
        self._follow_purges()
        with self._guard:
            return " ".join(dict.fromkeys(each.record.problem for each in self._sets.values() if each.record.problem))

    def _head(self, spot: Spot, client: str) -> Answer:
        held, fresh = self._looked_at(spot)
        current = held.current
        if current is None:
            raise Unavailable(held.record.problem or "The index set could not be fetched.")
        file = current.heads.get(spot.path)
        if file is None:
            file, fresh = self._companion(held, current, spot.path), True
            current = held.current or current
        if not self._shelf.has(file):
            self._drop(held)
            raise Unavailable(f"{spot.path} of {spot.root or '/'} was purged a moment ago.", hint="Try again.")
        self._note_loyal(client, spot.root, current)
        return Answer("miss" if fresh else "hit", self._shelf.path(file))

    def _companion(self, held: _Set, current: Generation, name: str) -> File:
        """A head file that nobody has asked for so far, such as Release beside InRelease."""
        missing = NotFound(f"The upstream has no {name} in {held.record.root or 'its root'}.")
        if name in current.absent:
            raise missing
        if self.known.offline:
            raise _Offline(f"{self.known.name} is offline here, and {name} was never asked for.")
        with held.lock:
            if name not in current.heads:
                try:
                    file = self._refresher().companion(held.record, name, current)
                except Invalid:
                    held.record.checked = 0.0
                    raise
                if file is None:
                    current.absent.add(name)
                else:
                    current.heads[name] = file
                    held.record.wanted[name] = self._clock()
                self._save(held)
        if name not in current.heads:
            raise missing
        return current.heads[name]

    def _index(self, held: _Set, path: str, client: str) -> Answer:
        below = path[len(held.record.root) :].lstrip("/")
        hashed = heads.by_hash(below)
        if hashed is not None:
            generation, name = self._of_hash(held, *hashed)
        else:
            found = self._of_name(client, held, below)
            if found is None:
                return Answer("plain")  # not an index: an installer's image, a translation that nobody signs
            generation, name = found, below
        held.record.wanted[generation.head.lasting(name)] = self._clock()
        file = generation.files.get(name)
        if file is not None and self._shelf.has(file):
            return Answer("hit", self._shelf.path(file))
        if self.known.offline:
            raise _Offline(f"{self.known.name} is offline here, and {path} is not in our cache.")
        with held.lock:
            try:
                file = self._refresher().index(held.record, generation, name)
            except Invalid:  # the upstream has gone on: the next client is to get a set that is whole
                held.record.checked = 0.0
                raise
            generation.files[name] = file
            self._save(held)
        return Answer("miss", self._shelf.path(file))

    def _of_hash(self, held: _Set, folder: str, algorithm: str, digest: str) -> tuple[Generation, str]:
        for generation in held.record.generations:
            for path, wanted in generation.head.sums.items():
                if wanted.digest == digest and path.rpartition("/")[0] == folder.rstrip("/"):
                    return generation, path
        raise NotFound(f"No index set here names {folder}by-hash/{algorithm}/{digest}.")

    def _of_name(self, client: str, held: _Set, path: str) -> Generation | None:
        """The generation that this client works with, else one that is kept and names this: yum's names last."""
        for generation in (self._for(client, held), *held.record.generations):
            if path in generation.head.sums:
                return generation
        return None

    def _holding(self, path: str) -> _Set | None:
        """The set that names a path: one that is known, else one that the upstream may have."""
        with self._guard:
            roots = [root for root in self._sets if not root or path.startswith(f"{root}/")]
            if roots:
                best = self._sets[max(roots, key=len)]
                if best.current is not None and not (best.record.root == "" and heads.possible(path)):
                    return best
        for spot in heads.possible(path):
            try:
                held, _ = self._looked_at(spot)
            except NotFound:
                continue
            if held.current is not None:
                return held
        return None

    def _looked_at(self, spot: Spot) -> tuple[_Set, bool]:
        """The set, after a look at the upstream where one is due; and whether that brought something."""
        with self._guard:
            held = self._sets.setdefault(spot.root, _Set(Record(spot.kind, spot.root)))
            before, first = held.current, held.current is None
            if first and self.known.offline:
                self._sets.pop(spot.root)
                raise _Offline(
                    f"{self.known.name} is offline here, and {spot.root or 'its index'} is not in our cache."
                )
            if not first and not self._is_due(held):
                return held, False
            if held.running is None or held.running.done():
                held.tried = self._clock()
                held.running = self._pool.submit(self._look, held)
            running = held.running
        try:
            running.result(FIRST_PATIENCE_S if first else PATIENCE_S)
        except FutureTimeout:
            if first:
                raise Unavailable(f"{spot.root} is still being fetched.", hint="Try again in a moment.") from None
        return held, held.current is not before

    def _is_due(self, held: _Set) -> bool:
        if self.known.offline:
            return False
        moved = held.current is not None and held.current.source != self.known.url
        now, freshness = self._clock(), self.known.freshness_s
        if held.record.problem and now - held.tried < min(freshness, RETRY_S):
            return False
        return moved or now - held.record.checked >= freshness or held.record.checked > now

    def _look(self, held: _Set) -> None:
        """Fetch a new generation; what goes wrong is written down, and raised where there is no former one."""
        record, now = held.record, self._clock()
        try:
            with held.lock:
                made = self._refresher().generation(record, now)
                if made is not None:
                    record.generations = [made, *record.generations][:GENERATIONS]
                record.checked, record.problem = now, ""
                self._save(held)
                self._shelf.sweep([each.record for each in list(self._sets.values())])
        except (PxeError, OSError) as error:
            said = str(error) if isinstance(error, PxeError) else f"It could not be written: {error}."
            if not record.generations:
                self._drop(held)
                raise
            log.warning("%s keeps its former indexes: %s", self.known.name, said)
            record.problem = said
            self._save(held)

    def _refresher(self) -> Refresher:
        return Refresher(self._shelf, self.known, self._count)

    def _count(self, size: int) -> None:
        with self._guard:
            self.fetched_bytes += size

    def _save(self, held: _Set) -> None:
        """Write it down, unless it was purged meanwhile; the set that has come after it, then, is another one."""
        with self._guard:
            present = self._sets.get(held.record.root) is held
        if present and held.record.generations and not self._shelf.save(held.record):
            self._drop(held)

    def _drop(self, held: _Set) -> None:
        with self._guard:
            if self._sets.get(held.record.root) is held:
                del self._sets[held.record.root]

    def _follow_purges(self) -> None:
        """What an operator has purged, in another process, is fetched anew when somebody asks for it."""
        stamp = self._shelf.purged()
        if stamp == self._purged:
            return
        with self._guard:
            self._purged = stamp
            for root, held in list(self._sets.items()):
                if held.record.kept and not self._shelf.keeps(held.record):
                    del self._sets[root]

    def _note_loyal(self, client: str, root: str, generation: Generation) -> None:
        with self._guard:
            self._loyal[client, root] = (_identity(generation), self._clock())
            self._loyal.move_to_end((client, root))
            while len(self._loyal) > CLIENTS:
                self._loyal.popitem(last=False)

    def _for(self, client: str, held: _Set) -> Generation:
        """The generation whose head this client was given a while ago; the present one where it was given none."""
        with self._guard:
            identity, at = self._loyal.get((client, held.record.root), ("", 0.0))
        if self._clock() - at < LOYAL_S:
            for generation in held.record.generations:
                if _identity(generation) == identity:
                    return generation
        if held.current is None:
            raise Unavailable(f"There is no index set {held.record.root}.")
        return held.current

    def _restored(self, said: dict[str, Any]) -> Record | None:
        """A set as it was written down; None for one that is not whole any more: it is made anew when asked."""
        try:
            record = Record(
                said["kind"], said["root"], [], dict(said["wanted"]), said["checked"], said["problem"], kept=True
            )
            for each in said["generations"]:
                made = Generation(
                    files_of(each["heads"]), Head({}), each["at"], each["source"], files_of(each["files"]),
                    set(each["absent"]), dict(each["validators"]),
                )  # fmt: skip
                if all(self._shelf.has(file) for file in made.heads.values()):
                    made.head = heads.read(self._shelf.read, made.heads, record.kind, made.at)
                    record.generations.append(made)
        except (KeyError, TypeError, ValueError, OSError, PxeError):
            return None
        return record if record.generations else None


class _Offline(PxeError):
    """The upstream is switched off here, and what was asked for is not in the cache."""


def _identity(generation: Generation) -> str:
    return next(generation.heads[name].sha256 for name in _MAIN if name in generation.heads)


def _shown(record: Record) -> dict[str, Any]:
    current = record.generations[0]
    return {
        "root": record.root,
        "kind": record.kind,
        "checked": record.checked,
        "changed": current.at,
        "dated": current.head.date.timestamp() if current.head.date else None,
        "indexes": len(current.files),
        "bytes": sum(file.size for file in (*current.heads.values(), *current.files.values())),
        "problem": record.problem,
    }
