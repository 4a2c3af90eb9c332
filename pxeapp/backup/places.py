"""Where a restored database goes: a file, or a PostgreSQL server. It is made ready out of the way of what is there.

Moving in has two halves, and key, templates and media go between them: what is there is put aside, and the new one
takes its place. Between the two there is no database and something that says that there was one, so that nobody makes
an empty one, and the old one never stands beside the key of another.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import event, text

from pxeapp import audit, migrations
from pxeapp.appliance import clock, observing
from pxeapp.backup import drafts, room
from pxeapp.backup.manifest import Manifest
from pxeapp.commandline import ACTOR
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict
from pxeapp.placing import sync_folder
from pxeapp.provisioning import restored
from pxeapp.provisioning.restored import Found
from pxeapp.storage import postgresql
from pxeapp.storage.postgresql import DRAFT, EARLIER, PUBLIC
from pxeapp.storage.sqlite import COMPANIONS, SqliteFile

Schema = tuple[str | None, str]  # before and after


class Occupied(Conflict):
    """There is an appliance already where the backup would go."""


class Place(Protocol):
    """What restoring needs of either."""

    def refuse_occupied(self, *, replace: bool) -> None:
        """Raises Occupied when somebody uses what is there, or when it is there and nobody said that it may go."""

    def make_ready(self, draft: Path, manifest: Manifest, now: dt.datetime) -> tuple[Schema, Found]:
        """Bring the backup's database to this version's schema and have it only observe; nobody sees it yet."""

    def put_aside(self, aside: Path, now: dt.datetime) -> tuple[str, ...]:
        """Out of its place with what is there; says where it lies, if not in the folder `aside`."""

    def move_in(self) -> None:
        """What was made ready takes the place, in one step."""


class Sqlite:
    """The database is a file."""

    def __init__(self, settings: Settings, stack: contextlib.ExitStack) -> None:
        file = Database(settings.database_url).file
        assert file is not None  # noqa: S101 - the kinds were compared
        self._file: SqliteFile = file
        self._data_dir = settings.data_dir
        self._stack = stack
        self._draft = Path()

    def refuse_occupied(self, *, replace: bool) -> None:
        """What is there may be the only copy of an appliance."""
        here = self._file.path
        if not here.exists() or not here.stat().st_size:
            return
        if not replace:
            raise Occupied(
                f"There is a database already: {here}.",
                hint="Restore on a clean host; or stop pxeapp and use --replace, which moves what is there aside.",
            )
        self._file.close_for_good()  # refused while somebody uses it

    def make_ready(self, draft: Path, manifest: Manifest, now: dt.datetime) -> tuple[Schema, Found]:
        """On the disk where it will lie, so that moving in is a rename: this version's schema, and held."""
        disk = self._file.path.parent
        self._draft = draft
        if not _same_disk(draft, disk):
            room.need(disk, draft.stat().st_size, "The database")
            self._draft = self._stack.enter_context(drafts.folder(disk, drafts.RESTORE)) / draft.name
            with room.named(disk, draft.stat().st_size, "The database"):
                shutil.copy2(draft, self._draft)
        database = Database(f"sqlite:///{self._draft}")
        try:
            schema = migrations.upgrade(database)
            found = _hold(database, manifest, now)
        finally:
            database.dispose()
        SqliteFile(self._draft).close_for_good()
        return schema, found

    def put_aside(self, aside: Path, now: dt.datetime) -> tuple[str, ...]:
        """The old one; its mark says from now on that it is missing. Says where it lies, if not in `aside`."""
        here = self._file.path
        self._file.make_mark(now)
        sync_folder(here.parent)
        mine = aside if _same_disk(self._data_dir, here.parent) else here.parent / aside.name
        for path in (here, *(here.with_name(here.name + each) for each in COMPANIONS)):
            put_aside(path, mine)
        put_aside(self._data_dir / "queue.db", aside)  # hints of before
        sync_folder(here.parent)
        give_to_the_owner(here.parent, self._file.mark, *((mine,) if mine != aside else ()))
        return (str(mine),) if mine != aside and mine.exists() else ()

    def move_in(self) -> None:
        """The new one takes its place."""
        give_to_the_owner(self._file.path.parent, self._draft)
        self._draft.rename(self._file.path)
        sync_folder(self._file.path.parent)


class Postgresql:
    """The database is on a server: a schema is made ready, and what is in it then goes where the old tables were."""

    def __init__(self, settings: Settings, _stack: contextlib.ExitStack) -> None:
        self._settings = settings
        self._replace = False

    def refuse_occupied(self, *, replace: bool) -> None:
        """The same for tables."""
        database = Database(self._settings.database_url)
        try:
            with database.read() as session:
                tables = session.scalar(
                    text("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")
                )
                anything = session.scalars(text(postgresql.movable(PUBLIC))).all()
                others = session.scalar(
                    text(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
                    )
                )
        finally:
            database.dispose()
        if others:
            raise Occupied(
                f"{others} other connections to the database are open.", hint="Stop every part of pxeapp first."
            )
        if tables and not replace:
            raise Occupied(
                "There are tables already in the database.",
                hint="Restore into an empty one; or use --replace, which keeps them in a schema of another name.",
            )
        self._replace = bool(anything)

    def make_ready(self, draft: Path, manifest: Manifest, now: dt.datetime) -> tuple[Schema, Found]:
        """In a schema of its own, beside the old tables."""
        postgresql.load(self._settings.database_url, draft)
        database = Database(self._settings.database_url)

        @event.listens_for(database.engine, "connect", insert=True)
        def _look_there(connection: Any, _record: Any) -> None:
            connection.execute(f"SET search_path TO {DRAFT}")
            connection.commit()

        try:
            return migrations.upgrade(database), _hold(database, manifest, now)
        except BaseException:
            database.dispose()
            self._do(f"DROP SCHEMA {DRAFT} CASCADE")
            raise
        finally:
            database.dispose()

    def put_aside(self, aside: Path, now: dt.datetime) -> tuple[str, ...]:
        """The old tables, into a schema whose name says that there was an appliance. Says where they are."""
        name = f"{EARLIER}{now:%Y%m%d_%H%M%S}"
        if self._replace:
            self._do(f"CREATE SCHEMA {name}", postgresql.moving(PUBLIC, name))
        put_aside(self._settings.data_dir / "queue.db", aside)
        return (f"the schema {name}",) if self._replace else ()

    def move_in(self) -> None:
        """The new tables, in one commit."""
        self._do(postgresql.moving(DRAFT, PUBLIC), f"DROP SCHEMA {DRAFT}")

    def _do(self, *statements: str) -> None:
        database = Database(self._settings.database_url)
        try:
            with database.write() as session:
                for each in statements:
                    session.execute(text(each))
        finally:
            database.dispose()


PLACES: dict[str, Callable[[Settings, contextlib.ExitStack], Place]] = {"sqlite": Sqlite, "postgresql": Postgresql}


def put_aside(path: Path, aside: Path) -> None:
    """Keep what is there already, beside it."""
    if path.exists():
        aside.mkdir(mode=0o700, exist_ok=True)
        path.rename(aside / path.name)


def give_to_the_owner(folder: Path, *roots: Path) -> None:
    """What root restores into another user's folder, that user must be able to write."""
    owner = folder.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    for root in roots:
        for path in (root, *root.rglob("*")):
            if os.path.lexists(path) and path.lstat().st_uid == 0:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def _hold(database: Database, manifest: Manifest, now: dt.datetime) -> Found:
    """In one commit: observe only, forget what was ordered, and move what is open on to the present."""
    with database.write() as session:
        when = f"{manifest.made_at:%Y-%m-%d %H:%M} UTC"
        observing.begin(session, reason=f"Restored from the backup of {when}", actor=ACTOR, now=now)
        here = observing.the_row(session)
        gap = now - (here.clock_at or manifest.made_at)
        if abs(gap) > clock.SLACK:
            clock.move(session, gap, now=now)
            session.expire_all()
        observing.the_row(session).clock_at = now
        found = restored.observe_anew(session, made_at=manifest.made_at, now=now)
        audit.record(
            session, at=now, actor=ACTOR, action="appliance.restore", subject="appliance", made_at=when,
            version=manifest.version, ended=found.ended, observed=found.observed, power=found.power,
        )  # fmt: skip
    return found
