"""Making a backup while everything runs, and looking whether one is good."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from pxeapp import __version__, audit, migrations
from pxeapp.backup import archive, drafts, kept
from pxeapp.backup import manifest as manifests
from pxeapp.backup.manifest import BadBackup, Manifest
from pxeapp.backup.room import MARGIN, NoRoom
from pxeapp.commandline import ACTOR
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, PxeError
from pxeapp.machines.models import Machine
from pxeapp.provisioning.models import Deployment
from pxeapp.software import media
from pxeapp.software.models import Release
from pxeapp.storage import postgresql
from pxeapp.storage.sqlite import SqliteFile
from pxeapp.vault import open_vault

POOL = "software/pool"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What goes into the backup besides the database, its manifest and what is always kept."""

    key: bool = True
    media: bool = False


def make(settings: Settings, target: Path, wish: Wish, *, say: Say, now: dt.datetime) -> Manifest:
    """Write a backup to `target`, which must not exist, and read it back; raises before anything is left behind."""
    if target.exists():
        raise BadBackup(f"{target} exists already.", hint="Name another file; a backup is never written over one.")
    database = Database(settings.database_url)
    try:
        _refuse_new_place(settings, database)
        files = list(_files(settings, wish))
        _refuse_without_room(target.parent, database, _size(files))
        with _beside(target) as folder:
            say("Copying the database, while it is in use ...")
            copied = folder / manifests.DATABASES[_backend(database)]
            _copy(database, settings, copied, say)
            bare = _describe(settings, database, now)
            say(f"Writing {len(files) + 1} files ...")
            with archive.writing(target, _counting(say, copied, files)) as writer:
                writer.add(copied.name, copied)
                for name, path in files:
                    if name == manifests.KEY or path.exists():  # else a recording, say, whose time is over
                        writer.add(name, path)
                writer.finish(replace(bare, members=writer.members))
    finally:
        database.dispose()
    say("Reading it back ...")
    try:
        manifest = verify(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    _record(settings, target, manifest, say, now)
    return manifest


def _record(settings: Settings, target: Path, manifest: Manifest, say: Say, now: dt.datetime) -> None:
    """Whoever has the file may have every BMC password. A database that only reads is backed up all the same."""
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    database = Database(settings.database_url)
    try:
        if (found := migrations.present_revision(database.engine)) != migrations.head_revision():
            raise Conflict(f"The database is at schema {found}, which is not this version's.")
        with database.write() as session:
            audit.record(
                session, at=now, actor=ACTOR, action="appliance.backup", subject="appliance", file=str(target),
                sha256=digest, key=manifest.has_key, media=manifest.has_media,
            )  # fmt: skip
    except (PxeError, SQLAlchemyError) as error:
        why = error.sentence if isinstance(error, PxeError) else str(getattr(error, "orig", error)).splitlines()[0]
        say(f"The backup is good, but the audit does not say that it was made: {why}")
    finally:
        database.dispose()


def verify(source: Path) -> Manifest:
    """Read all of a backup: every hash, and whether the database in it is whole and of a schema that we know."""
    with _beside(source) as folder:
        manifest = archive.read(source, folder, only=tuple(manifests.DATABASES.values()))
        return refuse_unfit(manifest, folder / manifest.database_member)


def refuse_unfit(manifest: Manifest, database: Path) -> Manifest:
    """The manifest back if its database is whole and no newer than we are; raises BadBackup."""
    sound = SqliteFile(database).whole() if manifest.database == "sqlite" else postgresql.whole(database)
    if sound:
        raise BadBackup(f"The database in the backup is damaged: {sound}.", hint="Take an older one.")
    if manifest.schema not in migrations.known_revisions():
        raise BadBackup(
            f"The backup was made by pxeapp {manifest.version} at schema {manifest.schema}, which {__version__} "
            "does not know.",
            hint="Restore it with that version or a newer one.",
        )
    return manifest


def _refuse_new_place(settings: Settings, database: Database) -> None:
    if database.file is not None:
        if not database.file.path.exists() and not database.file.mark.exists():
            raise BadBackup(
                f"There is no appliance in {settings.data_dir}: it has no database.",
                hint="Set PXEAPP_DATA_DIR as pxeapp serve has it.",
            )
        database.file.refuse_lost()
    if migrations.present_revision(database.engine) is None:
        raise BadBackup("The database is empty.", hint="Start pxeapp serve once, or set PXEAPP_DATABASE_URL.")


def _refuse_without_room(folder: Path, database: Database, others: int) -> None:
    """At worst the archive is as long as what goes in; before it, and when it is read back, a copy lies beside it."""
    size = 0
    if database.file is not None:
        for suffix in ("", "-wal"):
            with contextlib.suppress(OSError):
                size += database.file.path.with_name(database.file.path.name + suffix).stat().st_size
    needed = 2 * size + others + MARGIN
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(
            f"A backup in {folder} may need {needed / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free.",
            hint="Make room, or name a file on another disk.",
        )


def _files(settings: Settings, wish: Wish) -> Iterator[tuple[str, Path]]:
    key = settings.data_dir / manifests.KEY
    if wish.key:
        if not key.exists():
            raise BadBackup(
                f"There is no key file {key}, without which the secrets in the database are lost.",
                hint="Put it back, or make the backup with --without-key.",
            )
        yield manifests.KEY, key
    stored = _stored(settings) if wish.media else set()
    for folder in kept.folders(media=wish.media):
        root = settings.data_dir / folder
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            name = f"{folder}/{path.relative_to(root)}"
            if path.is_file() and _is_kept(name, path, stored):
                yield name, path


def _size(files: list[tuple[str, Path]]) -> int:
    return sum(path.stat().st_size for _, path in files if path.exists())


def _stored(settings: Settings) -> set[int]:
    """The files of the store of packages, by inode."""
    return {path.stat().st_ino for path in (settings.data_dir / POOL).glob("*/*")}


def _is_kept(name: str, path: Path, stored: set[int]) -> bool:
    """Of the store what is whole; of what is served out of it nothing: the software worker links it anew."""
    if name.startswith("software/"):
        return name.startswith(f"{POOL}/")
    return not (name.startswith("repo/") and path.stat().st_ino in stored)


def _copy(database: Database, settings: Settings, target: Path, say: Say) -> None:
    if database.file is None:
        postgresql.dump(settings.database_url, target)
    else:
        database.file.copy(target, progress=_percent(say, "Copying the database"))


def _describe(settings: Settings, database: Database, now: dt.datetime) -> Manifest:
    has_key = (settings.data_dir / manifests.KEY).exists()  # opening the vault would make one
    with database.read() as session:
        return Manifest(
            made_at=now,
            version=__version__,
            schema=migrations.present_revision(database.engine) or "",
            database=_backend(database),
            key_check=manifests.key_check(open_vault(settings.data_dir)) if has_key else "",
            settings=manifests.settings_of(settings),
            releases=[
                {"release": row.name, "file": file, "sha256": digest}
                for row in session.scalars(select(Release).order_by(Release.name))
                for file, digest in media.declared(row).items()
            ],
            counts=_counts(session),
        )


def _counts(session: Session) -> dict[str, int]:
    running = select(func.count()).select_from(Deployment).where(Deployment.outcome.is_(None))
    return {
        "machines": session.scalar(select(func.count()).select_from(Machine)) or 0,
        "deployments under way": session.scalar(running) or 0,
    }


def _backend(database: Database) -> str:
    return database.engine.dialect.name


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder of our own on the same disk; where that cannot be written, a temporary one."""
    place = target.absolute().parent
    parent = place if os.access(place, os.W_OK) else Path(tempfile.gettempdir())
    with drafts.folder(parent, drafts.BACKUP) as folder:
        yield folder


def _percent(say: Say, what: str) -> Callable[[float], None]:
    said = [0]

    def tell(share: float) -> None:
        percent = int(share * 10) * 10
        if percent > said[0]:
            said[0] = percent
            say(f"{what}: {percent} %")

    return tell


def _counting(say: Say, copied: Path, files: list[tuple[str, Path]]) -> Callable[[int], None]:
    whole = max(1, copied.stat().st_size + _size(files))
    tell, done = _percent(say, "Writing"), [0]

    def count(size: int) -> None:
        done[0] += size
        tell(done[0] / whole)

    return count
