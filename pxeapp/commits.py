"""One transaction for whatever many threads want to write at the same moment: one fsync instead of twenty.

Three kinds of work stand in the same line. `write` runs a function on a session, with a savepoint of its own, so that
one that fails takes nobody else with it. The other two are for the hot paths, past the ORM: `run` is the same with
prepared statements; `change` is nothing but prepared statements that each say how many rows they must touch, so that
of a whole crowd each statement is sent once, with everybody's values. A commit that fails fails them all, and each is
told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.orm import Session

from pxeapp import prepared
from pxeapp.db import Database
from pxeapp.errors import Conflict
from pxeapp.prepared import Prepared, Runner, Values
from pxeapp.storage.faults import DatabaseUnavailable

LIMIT = 64
# In a crowd a commit waits this long for company: its fsync costs as much as all that a request asks of the database.
# Who is alone does not wait.
COMPANY_S = 0.002
DEADLOCK = "40P01"  # as PostgreSQL numbers it
T = TypeVar("T")


class Overtaken(Conflict):
    """What a change was made for is not so any more: somebody else was quicker. Look again."""


class Change(NamedTuple):
    """A prepared statement, and how many rows it touches if all is as it was seen; None where that may be any."""

    statement: Prepared
    values: Values
    rows: int | None = 1


@dataclass(eq=False)
class _Piece:
    work: Callable[[Session], Any] | None = None
    quick: Callable[[Runner], Any] | None = None
    changes: Sequence[Change] = ()
    done: bool = False
    value: Any = None
    error: BaseException | None = None


class GroupCommit:
    """The first thread that comes commits for all who wait; one instance per process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._busy = False  # the last commit was for several: more are on their way
        self._leading = threading.Lock()
        self._queue: list[_Piece] = []
        self._queueing = threading.Lock()

    def write(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction and return its value after the commit. It must return plain values, no rows."""
        value: T = self._wait(_Piece(work=work))
        return value

    def run(self, quick: Callable[[Runner], T]) -> T:
        """The same with a runner of prepared statements."""
        value: T = self._wait(_Piece(quick=quick))
        return value

    def change(self, *changes: Change) -> None:
        """Make these changes in a transaction, all or none; raises Overtaken where one touches too few or many rows."""
        self._wait(_Piece(changes=changes))

    def _wait(self, piece: _Piece) -> Any:
        with self._queueing:
            self._queue.append(piece)
        while not piece.done:
            with self._leading:
                if not piece.done:
                    self._lead()
        if piece.error is not None:
            raise piece.error
        return piece.value

    def _lead(self) -> None:
        if self._busy:
            time.sleep(COMPANY_S)
        with self._queueing:
            batch, self._queue = self._queue[:LIMIT], self._queue[LIMIT:]
        self._busy = len(batch) > 1
        try:
            try:
                self._commit(batch)
            except DatabaseUnavailable as error:
                if len(batch) == 1 or not _is_deadlock(error):
                    raise
                for piece in batch:
                    self._commit_alone(piece)
        except BaseException as error:
            for piece in batch:
                piece.error = piece.error or error
            raise
        finally:
            for piece in batch:
                piece.done = True

    def _commit_alone(self, piece: _Piece) -> None:
        """On PostgreSQL the crowds of two hosts may have locked each other's rows; one piece by itself waits."""
        piece.value = piece.error = None
        try:
            self._commit([piece])
        except Exception as error:  # noqa: BLE001 - handed to the thread whose work it was
            piece.error = error

    def _commit(self, batch: list[_Piece]) -> None:
        if all(piece.work is None for piece in batch):
            with prepared.writing(self._database) as run:
                self._do_quick(run, batch)
            return
        with self._database.write() as session:
            self._do_quick(prepared.within(self._database, session), batch)
            for piece in batch:
                if piece.work is not None:
                    self._do(session, piece, piece.work)

    def _do_quick(self, run: Runner, batch: list[_Piece]) -> None:
        if crowd := [piece for piece in batch if piece.changes]:
            self._change(run, crowd)
        for piece in batch:
            if piece.quick is None:
                continue
            try:
                with run.all_or_none():
                    piece.value = piece.quick(run)
            except DatabaseUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - handed to the thread whose work it was
                piece.error = error

    @staticmethod
    def _do(session: Session, piece: _Piece, work: Callable[[Session], Any]) -> None:
        try:
            with session.begin_nested():
                piece.value = work(session)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - handed to the thread whose work it was
            piece.error = error
        session.expunge_all()  # no piece sees rows as another one loaded them

    def _change(self, run: Runner, crowd: list[_Piece]) -> None:
        """All at once if nobody was overtaken, which is the rule; else one after the other, to find who was."""
        try:
            with run.all_or_none():
                _send(run, [change for piece in crowd for change in piece.changes])
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - tried again below, or handed to the thread whose work it was
            if len(crowd) == 1:
                crowd[0].error = error
                return
            for piece in crowd:
                self._change(run, [piece])


def _is_deadlock(error: DatabaseUnavailable) -> bool:
    return getattr(error.__cause__, "sqlstate", None) == DEADLOCK


def _send(run: Runner, changes: Sequence[Change]) -> None:
    """Each statement once, with everybody's values; in the order in which they first come."""
    crowds: dict[Prepared, list[Change]] = {}
    for change in changes:
        crowds.setdefault(change.statement, []).append(change)
    for statement, crowd in crowds.items():
        touched = run.each(statement, [change.values for change in crowd])
        wanted = [change.rows for change in crowd]
        if None not in wanted and touched != sum(rows or 0 for rows in wanted):
            raise Overtaken("Somebody else was quicker.", hint="Look again.")
