"""A database that cannot be used, in an operator's words: what is wrong, and that it goes on by itself once mended.

SQLAlchemy's own errors carry the statement and its parameters, which may hold what nobody should read. What leaves here
has neither.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from pxeapp.errors import Unavailable

ROOM = 256 * 1024  # with less than this free, whatever SQLite calls it, the disk is full
BY_ITSELF = "Nothing was changed; work goes on by itself once that is mended."


class DatabaseUnavailable(Unavailable):
    """The database cannot be used right now; nothing was changed, and trying again later may help."""

    title = "Database unavailable"


class DatabaseLost(DatabaseUnavailable):
    """There was a database, and it is not there: nothing is ever put in its place without being asked."""


REPLACED = "Stop pxeapp, keep {file}, and run: pxeapp restore --replace BACKUP"

# SQLite's extended error name begins with -> what it means here. The first that fits.
MEANINGS: tuple[tuple[str, str, str], ...] = (
    ("SQLITE_BUSY", "Another process keeps the database locked.", "Look who holds it: fuser -v {file}"),
    ("SQLITE_LOCKED", "Another process keeps the database locked.", "Look who holds it: fuser -v {file}"),
    ("SQLITE_FULL", "The disk of the database is full.", "Make room where {file} lies"),
    ("SQLITE_READONLY", "The database can be read but not written.", "See whether {file} is on a read-only disk"),
    ("SQLITE_CORRUPT", "The database file is damaged.", REPLACED),
    ("SQLITE_NOTADB", "The database file is no database.", REPLACED),
    ("SQLITE_CANTOPEN", "The database file cannot be opened.", "See whether this user may read and write {file}"),
    ("SQLITE_IOERR", "The disk of the database gives errors.", "See what the kernel says of the disk of {file}: dmesg"),
)
OLD_SCHEMA = "Its schema is not this version's. Run: pxeapp db upgrade"


def of_sqlite(error: BaseException, file: Path | None) -> DatabaseUnavailable:
    """What an error of SQLite's means for this file."""
    name = getattr(error, "sqlite_errorname", None) or ""
    said = str(error)
    if said.startswith("no such"):  # a table or a column
        return DatabaseUnavailable(f"The database cannot be used: {said}.", hint=OLD_SCHEMA)
    if file is not None and name.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_FULL")):
        name = _cause_on_disk(file) or name
    for beginning, sentence, hint in MEANINGS:
        if name.startswith(beginning):
            return DatabaseUnavailable(sentence, hint=f"{hint.format(file=file or 'it')}. {BY_ITSELF}")
    return DatabaseUnavailable(f"The database refused: {said.splitlines()[0] if said else name}.", hint=BY_ITSELF)


def of_server(error: BaseException) -> DatabaseUnavailable:
    """What PostgreSQL or its driver said, its first line; it names host and user, never the password."""
    lines = str(error).splitlines()
    return DatabaseUnavailable(
        f"The database server does not do it: {lines[0].rstrip('.') if lines else type(error).__name__}.",
        hint=f"See whether it is up and reachable. {BY_ITSELF}",
    )


def translated(error: BaseException, file: Path | None) -> DatabaseUnavailable:
    """The same for either kind of database."""
    return of_sqlite(error, file) if isinstance(error, sqlite3.Error) else of_server(error)


def _cause_on_disk(file: Path) -> str:
    """SQLite says "cannot open" or "I/O error" for a full and for a read-only disk alike; the disk knows better."""
    try:
        disk = os.statvfs(file.parent)
    except OSError:
        return ""
    if disk.f_flag & os.ST_RDONLY:
        return "SQLITE_READONLY"
    return "SQLITE_FULL" if disk.f_bavail * disk.f_frsize < ROOM else ""
