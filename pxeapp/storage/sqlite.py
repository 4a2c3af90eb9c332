"""SQLite's file: opened, never made anew over one that was lost, copied while everybody works, and checked.

Beside the database lies a small file that says that it was made. A database that is gone while that file is there was
lost: its disk is not mounted, somebody moved it. An empty one in its place would look healthy and know no machine.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pxeapp.errors import PxeError
from pxeapp.storage import faults
from pxeapp.storage.faults import DatabaseLost

MARK = ".made"
COMPANIONS = ("-wal", "-shm", "-journal")
PROGRESS_EVERY = 20_000  # of SQLite's own steps
Identity = tuple[int, int]


@dataclass
class SqliteFile:
    """One database file, and what this process knows of it."""

    path: Path
    seen: bool = False  # this process has had it open: from then on it is never made anew

    @property
    def mark(self) -> Path:
        """The file that says that the database was made."""
        return self.path.with_name(self.path.name + MARK)

    def connect(self, *, timeout_s: float) -> sqlite3.Connection:
        """A connection to the file; raises DatabaseLost rather than making an empty one over a lost one."""
        may_be_made = not self.seen and not self.mark.exists()
        if not may_be_made:
            self.refuse_lost()
        mode = "rwc" if may_be_made else "rw"
        with as_sentences(self.path):
            connection = sqlite3.connect(
                f"{self.path.as_uri()}?mode={mode}",
                uri=True,
                timeout=timeout_s,
                check_same_thread=False,
                isolation_level=None,  # the driver must not open transactions of its own
            )
        self.seen = True
        return connection

    def identity(self) -> Identity | None:
        """Which file it is now; None where there is none."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return (found.st_dev, found.st_ino)

    def refuse_lost(self) -> None:
        """Raises DatabaseLost when there was a database and its file is gone or empty."""
        try:
            if self.path.stat().st_size:
                return
            state = "is empty"
        except OSError:
            state = "is not there"
        raise DatabaseLost(
            f"The database {self.path} {state}, but there was one.",
            hint=f"Mount its disk or put it back, and work goes on by itself; or stop pxeapp and run: pxeapp restore "
            f"BACKUP. Only to begin anew with an empty one, remove {self.mark}.",
        )

    def make_mark(self, now: dt.datetime) -> None:
        """Say that the database was made; what is missing from now on was lost."""
        if not self.mark.exists():
            with contextlib.suppress(FileExistsError), self.mark.open("x") as file:
                file.write(f"{self.path.name} was made before {now:%Y-%m-%d %H:%M} UTC.\n")
                file.write("While this file is here, pxeapp makes no empty database in the place of a lost one.\n")
                file.flush()
                os.fsync(file.fileno())

    def copy(self, target: Path, *, progress: Callable[[float], None] | None = None) -> None:
        """A whole, compact copy as it is at one moment, while others read and write. `target` must not exist.

        Never a copy of the file: what was committed last is in the write-ahead log beside it.
        """
        self.refuse_lost()
        with as_sentences(self.path):
            with closing(self._open("rw")) as connection:
                if progress is not None:
                    _tell(connection, target, progress)
                connection.execute("VACUUM INTO ?", (str(target),))
            target.chmod(0o600)
            _sync(target)

    def whole(self) -> str:
        """What is wrong with the file, or nothing. Reads all of it."""
        try:
            with closing(self._open("ro")) as connection:
                found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
                broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        except sqlite3.Error as error:
            return str(error)
        if found != ["ok"]:
            return "; ".join(found)
        return f"{len(broken)} rows point to rows that are not there" if broken else ""

    def close_for_good(self) -> None:
        """Fold the log into the file and leave WAL mode, so that the file alone is everything.

        SQLite does that for the last one who has it open only; raises InUse when somebody else has. A damaged file
        stays as it is.
        """
        with closing(self._open("rw", timeout_s=1.0)) as connection:
            try:
                mode = connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
            except sqlite3.DatabaseError as error:
                busy = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
                mode = "wal" if busy else "damaged"
        if mode == "wal":
            raise InUse(
                f"The database {self.path} is in use.",
                hint="Stop pxeapp on this host first (systemctl stop pxeapp); nothing was changed.",
            )

    def _open(self, mode: str, *, timeout_s: float = 30.0) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.as_uri()}?mode={mode}", uri=True, timeout=timeout_s, isolation_level=None)


class InUse(PxeError):
    """Another process has the database open."""

    title = "Database in use"


@contextlib.contextmanager
def as_sentences(path: Path | None) -> Iterator[None]:
    """The driver's own errors become ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise faults.of_sqlite(error, path) from error


def _tell(connection: sqlite3.Connection, target: Path, progress: Callable[[float], None]) -> None:
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    whole = max(1, pages * size)

    def look() -> int:
        with contextlib.suppress(OSError):
            progress(min(1.0, target.stat().st_size / whole))
        return 0

    connection.set_progress_handler(look, PROGRESS_EVERY)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
