"""Restoring: everything is verified and made ready beside its place before anything of what is there is touched.

Then what is there steps aside, key and files take their places, and the database comes last, in one step (places.py).
Whoever is killed in between leaves an appliance without a database that says so and does not start; the same restore,
run again, finishes it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pxeapp.backup import archive, drafts, making, room
from pxeapp.backup import manifest as manifests
from pxeapp.backup.kept import KEPT, Entry, Kept
from pxeapp.backup.making import Say
from pxeapp.backup.manifest import BadBackup, Manifest
from pxeapp.backup.places import PLACES, Occupied, Schema, give_to_the_owner, put_aside
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.placing import sync_folder
from pxeapp.provisioning.restored import Found
from pxeapp.supervisor.lock import AlreadyServed, only_one
from pxeapp.vault import open_vault

UNKNOWN = Entry(Kept.ALWAYS, "of a version that kept something else")


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done."""

    manifest: Manifest
    found: Found
    schema: Schema
    aside: tuple[str, ...]  # where what was there before lies: folders, and PostgreSQL's schema


def restore(settings: Settings, source: Path, *, replace: bool, say: Say, now: dt.datetime) -> Restored:
    """Make this the appliance of the backup; it observes only. Nothing is touched before everything is verified."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone(settings))
        folder = stack.enter_context(_staging(settings, source))
        say("Reading and verifying the backup ...")
        manifest = archive.read(source, folder)
        making.refuse_unfit(manifest, folder / manifest.database_member)
        _refuse_other_kind(settings, manifest)
        _refuse_wrong_key(settings, manifest, folder)
        _refuse_mounts(settings, manifest)
        place = PLACES[manifest.database](settings, stack)
        place.refuse_occupied(replace=replace)
        say("Making its database ready ...")
        schema, found = place.make_ready(folder / manifest.database_member, manifest, now)
        say("Moving everything into place ...")
        aside = _new_name(settings.data_dir / f"before-restore-{now:%Y%m%d-%H%M%S}")
        elsewhere = place.put_aside(aside, now)
        _move_in(settings, folder, manifest, aside)
        place.move_in()
        give_to_the_owner(settings.data_dir, settings.data_dir)
        return Restored(manifest, found, schema, (*((str(aside),) if aside.exists() else ()), *elsewhere))


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """With serve's own lock: one that runs without its database waits for it, and still has the old key."""
    made = not settings.data_dir.exists()
    settings.data_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    try:
        with only_one(settings.run_dir, by="pxeapp restore"):
            give_to_the_owner(settings.data_dir, settings.run_dir)
            yield
    except AlreadyServed as error:
        raise Occupied(error.sentence, hint="Stop that one first (systemctl stop pxeapp).") from None
    finally:
        if made and list(settings.data_dir.iterdir()) == [settings.run_dir]:
            shutil.rmtree(settings.data_dir)  # nothing was restored


def _names(manifest: Manifest) -> list[str]:
    """What goes into the data directory beside the database."""
    return sorted({name.partition("/")[0] for name in manifest.members} - {manifest.database_member})


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


def _refuse_mounts(settings: Settings, manifest: Manifest) -> None:
    """A disk's own place cannot be moved aside; better said before than when the database is gone from its place."""
    for name in _names(manifest):
        place = settings.data_dir / name
        if place.is_mount():
            raise Occupied(
                f"{place} is a disk of its own, which cannot be moved aside.",
                hint="Unmount it, restore, and then move the files in there onto it; or take a backup without media.",
            )


def _new_name(path: Path) -> Path:
    """Nothing that was put aside is ever written over, not even by a second restore within the same second."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found


def _move_in(settings: Settings, folder: Path, manifest: Manifest, aside: Path) -> None:
    """Key, templates and media; what is there of the same name goes aside."""
    for name in _names(manifest):
        target = settings.data_dir / name
        put_aside(target, aside)
        (folder / name).rename(target)
        _open_up(target, KEPT.get(name, UNKNOWN))
    sync_folder(settings.data_dir)


def _open_up(root: Path, entry: Entry) -> None:
    """What came out of the archive only its owner may read."""
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            path.chmod(entry.folder_mode)
        else:
            runs = path.stat().st_mode & archive.RUNS
            path.chmod(entry.file_mode | (entry.file_mode >> 2 & 0o111 if runs else 0))


@contextlib.contextmanager
def _staging(settings: Settings, source: Path) -> Iterator[Path]:
    """On the data directory's own disk, so that moving in is a rename."""
    if source.is_file():
        room.need(settings.data_dir, source.stat().st_size, f"What is in {source}")
    with drafts.folder(settings.data_dir, drafts.RESTORE) as folder:
        yield folder
