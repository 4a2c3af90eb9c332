"""One transaction for whatever many threads want to write at the same moment: one fsync instead of twenty.

Each piece of work has a savepoint of its own, so that one that fails takes nobody else with it. A commit that fails
fails them all, and each is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from pxeapp.db import Database

LIMIT = 64
T = TypeVar("T")


@dataclass(eq=False)
class _Piece:
    work: Callable[[Session], Any]
    done: bool = False
    value: Any = None
    error: BaseException | None = None


class GroupCommit:
    """The first thread that comes commits for all who wait; one instance per process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leading = threading.Lock()
        self._queue: list[_Piece] = []
        self._queueing = threading.Lock()

    def write(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction and return its value after the commit. It must return plain values, no rows."""
        piece = _Piece(work)
        with self._queueing:
            self._queue.append(piece)
        while not piece.done:
            with self._leading:
                if not piece.done:
                    self._lead()
        if piece.error is not None:
            raise piece.error
        value: T = piece.value
        return value

    def _lead(self) -> None:
        with self._queueing:
            batch, self._queue = self._queue[:LIMIT], self._queue[LIMIT:]
        try:
            with self._database.write() as session:
                for piece in batch:
                    self._do(session, piece)
        except BaseException as error:
            for piece in batch:
                piece.error = piece.error or error
            raise
        finally:
            for piece in batch:
                piece.done = True

    @staticmethod
    def _do(session: Session, piece: _Piece) -> None:
        try:
            with session.begin_nested():
                piece.value = piece.work(session)
        except Exception as error:  # noqa: BLE001 - handed to the thread whose work it was
            piece.error = error
        session.expunge_all()  # no piece sees rows as another one loaded them
