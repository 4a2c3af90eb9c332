"""Restoring: everything is verified and made ready beside its place before anything of what is there is touched.

The database comes last, in one rename. Whoever is killed before leaves an appliance without a database that says so
and does not start; the same restore, run again, finishes it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from pxeapp import audit, migrations
from pxeapp.appliance import clock, observing
from pxeapp.backup import archive, making
from pxeapp.backup import manifest as manifests
from pxeapp.backup.making import NoRoom, Say
from pxeapp.backup.manifest import BadBackup, Manifest
from pxeapp.commandline import ACTOR
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict
from pxeapp.placing import sync_folder
from pxeapp.provisioning import restored
from pxeapp.provisioning.restored import Found
from pxeapp.storage import postgresql
from pxeapp.storage.sqlite import COMPANIONS, SqliteFile
from pxeapp.vault import open_vault


class Occupied(Conflict):
    """There is an appliance already where the backup would go."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done."""

    manifest: Manifest
    found: Found
    schema: tuple[str | None, str]  # before and after
    aside: Path | None  # where the former appliance's files lie


def restore(settings: Settings, source: Path, *, replace: bool, say: Say, now: dt.datetime) -> Restored:
    """Make this the appliance of the backup; it observes only. Nothing is touched before everything is verified."""
    made_folder = not settings.data_dir.exists()
    settings.data_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    try:
        with _staging(settings, source) as folder:
            say("Reading and verifying the backup ...")
            manifest = archive.read(source, folder)
            making.refuse_unfit(manifest, folder / manifest.database_member)
            _refuse_other_kind(settings, manifest)
            _refuse_wrong_key(settings, manifest, folder)
            place = _Postgresql(settings) if manifest.database == "postgresql" else _Sqlite(settings)
            place.refuse_occupied(replace=replace)
            say("Making its database ready ...")
            schema, found = place.make_ready(folder / manifest.database_member, manifest, now)
            say("Moving everything into place ...")
            aside = settings.data_dir / f"before-restore-{now:%Y%m%d-%H%M%S}"
            _move_in(settings, folder, manifest, aside)
            place.move_in(folder / manifest.database_member, aside, now)
            _give_to_the_owner(settings)
            return Restored(manifest, found, schema, aside if aside.exists() else None)
    finally:
        if made_folder:
            with contextlib.suppress(OSError):
                settings.data_dir.rmdir()  # only if it is empty: nothing was restored


class _Sqlite:
    """The database is a file."""

    def __init__(self, settings: Settings) -> None:
        file = Database(settings.database_url).file
        assert file is not None  # noqa: S101 - the kinds were compared
        self._file: SqliteFile = file
        self._settings = settings

    def refuse_occupied(self, *, replace: bool) -> None:
        """What is there may be the only copy of an appliance."""
        here = self._file.path
        if here.exists() and not replace:
            raise Occupied(
                f"There is a database already: {here}.",
                hint="Restore on a clean host; or stop pxeapp and use --replace, which moves what is there aside.",
            )
        if here.exists() and here.stat().st_size:
            self._file.close_for_good()  # refused while somebody uses it

    def make_ready(self, draft: Path, manifest: Manifest, now: dt.datetime) -> tuple[tuple[str | None, str], Found]:
        """In the staging folder: the schema of this version, and nothing in it that would move hardware."""
        database = Database(f"sqlite:///{draft}")
        try:
            schema = migrations.upgrade(database)
            found = _hold(database, manifest, now)
        finally:
            database.dispose()
        SqliteFile(draft).close_for_good()
        return schema, found

    def move_in(self, draft: Path, aside: Path, now: dt.datetime) -> None:
        """The old one aside, the new one in its place; between the two its mark says that it is missing."""
        here = self._file.path
        self._file.make_mark(now)
        for path in (here, *(here.with_name(here.name + each) for each in COMPANIONS)):
            _put_aside(path, aside)
        _put_aside(self._settings.data_dir / "queue.db", aside)  # hints of before
        if draft.stat().st_dev == here.parent.stat().st_dev:
            draft.rename(here)
        else:
            shutil.copy2(draft, here.with_name(here.name + ".new"))
            here.with_name(here.name + ".new").rename(here)
        sync_folder(here.parent)


class _Postgresql:
    """The database is on a server; its tables go into an empty schema."""

    def __init__(self, settings: Settings) -> None:
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
        self._replace = bool(tables)

    def make_ready(self, draft: Path, manifest: Manifest, now: dt.datetime) -> tuple[tuple[str | None, str], Found]:
        """Into the server, at once; should it fail, the old tables are still there under their new name."""
        database = Database(self._settings.database_url)
        try:
            if self._replace:
                with database.write() as session:
                    session.execute(text(f"ALTER SCHEMA public RENAME TO before_restore_{now:%Y%m%d_%H%M%S}"))
                    session.execute(text("CREATE SCHEMA public"))
            database.dispose()
            postgresql.load(self._settings.database_url, draft)
            schema = migrations.upgrade(database)
            return schema, _hold(database, manifest, now)
        finally:
            database.dispose()

    def move_in(self, _draft: Path, aside: Path, _now: dt.datetime) -> None:
        """It is in its place already."""
        _put_aside(self._settings.data_dir / "queue.db", aside)


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


def _refuse_other_kind(settings: Settings, manifest: Manifest) -> None:
    database = Database(settings.database_url)
    kind = database.engine.dialect.name
    database.dispose()
    if kind != manifest.database:
        raise BadBackup(
            f"The backup is of {manifest.database}, and PXEAPP_DATABASE_URL is {kind}.",
            hint=f"Set PXEAPP_DATABASE_URL to {manifest.database}; there is no way from one to the other.",
        )


def _refuse_wrong_key(settings: Settings, manifest: Manifest, folder: Path) -> None:
    """Without its key the BMC passwords are lost, and nobody would notice before the first power command."""
    if not manifest.key_check:
        return  # there was none where it was made
    there = settings.data_dir / manifests.KEY
    if not manifest.has_key and not there.exists():
        raise BadBackup(
            "The backup was made without the key.", hint=f"Put the key that belongs to it into {there}, mode 0600."
        )
    vault = open_vault(folder if manifest.has_key else settings.data_dir)
    if manifests.key_check(vault) != manifest.key_check:
        raise BadBackup(
            f"The key {'in the backup' if manifest.has_key else there} is not the one of this database.",
            hint="Find the secret.key that belongs to it; without it every BMC password is lost.",
        )


def _move_in(settings: Settings, folder: Path, manifest: Manifest, aside: Path) -> None:
    """Key, templates and media; what is there of the same name goes aside."""
    names = {name.partition("/")[0] for name in manifest.members} - {manifest.database_member}
    for name in sorted(names):
        target = settings.data_dir / name
        _put_aside(target, aside)
        (folder / name).rename(target)
    for path in (settings.data_dir / manifests.TEMPLATES).rglob("*"):
        path.chmod(0o750 if path.is_dir() else 0o640)
    sync_folder(settings.data_dir)


def _give_to_the_owner(settings: Settings) -> None:
    """What root restores into another user's data directory, that user must be able to write."""
    owner = settings.data_dir.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    for path in settings.data_dir.rglob("*"):
        if path.lstat().st_uid == 0:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _put_aside(path: Path, aside: Path) -> None:
    if path.exists():
        aside.mkdir(mode=0o700, exist_ok=True)
        path.rename(aside / path.name)


@contextlib.contextmanager
def _staging(settings: Settings, source: Path) -> Iterator[Path]:
    """On the data directory's own disk, so that moving in is a rename."""
    if source.is_file() and shutil.disk_usage(settings.data_dir).free < 2 * source.stat().st_size + making.MARGIN:
        raise NoRoom(f"There is too little room in {settings.data_dir} for what is in {source}.", hint="Make room.")
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=settings.data_dir) as folder:
        yield Path(folder)
