"""Checks of what lies on this host: data directory, key, database, queue, boot programs."""

from __future__ import annotations

import os
import pwd
import shutil
import sqlite3
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.engine.url import make_url

from pxeapp import migrations
from pxeapp.boot import loaders, localdisk
from pxeapp.doctor.finding import Finding, Patient, fail, ok, warn
from pxeapp.errors import ConfigError
from pxeapp.machines.models import Bmc
from pxeapp.provisioning.queue import Queue
from pxeapp.vault import Undecryptable, open_vault

GIB = 1024**3
LEAST_FREE = GIB // 2  # SQLite refuses every commit on a full disk
COMFORTABLE = 5 * GIB  # one release's media and some packages
LOCK_S = 2.0
BACKLOG = 1000  # hints; a running worker takes thousands a minute
UPGRADE = "Run: pxeapp db upgrade"


def data_directory(patient: Patient) -> Finding:
    """It is there, this user may write it, and what lies in it belongs to the same user."""
    folder = patient.settings.data_dir
    if not folder.is_dir():
        return fail(f"The data directory {folder} does not exist.", "Start pxeapp serve once; or set PXEAPP_DATA_DIR.")
    if not os.access(folder, os.W_OK | os.X_OK):
        return fail(
            f"The data directory {folder} belongs to {_owner(folder)}; this user cannot write it.",
            "Run pxeapp as that user, or give it the folder with chown.",
        )
    strangers = [
        path.name
        for path in (folder / "pxeapp.db", folder / "queue.db", folder / "secret.key", folder / "media")
        if path.exists() and path.stat().st_uid != folder.stat().st_uid
    ]
    if strangers:
        return fail(
            f"In {folder}, which belongs to {_owner(folder)}, these belong to somebody else: {', '.join(strangers)}.",
            f"A command was run as another user. Run: chown -R {_owner(folder)} {folder}",
        )
    return ok(f"{folder} can be written.")


def disk_space(patient: Patient) -> Finding:
    """There is room for the database to commit, and for media and packages."""
    folder = patient.settings.data_dir
    free = shutil.disk_usage(folder).free
    said = f"{free / GIB:.1f} GiB are free in {folder}."
    if free < LEAST_FREE:
        return fail(said, "Make room: a full disk stops every deployment. The package cache is in cache/packages.")
    if free < COMFORTABLE:
        return warn(said, "Make room: the package cache alone may grow to 20 GiB.")
    return ok(said)


def key_file(patient: Patient) -> Finding:
    """The key is there, nobody else can read it, and it opens what the database holds."""
    path = patient.settings.data_dir / "secret.key"
    if not path.exists():
        return fail(
            f"There is no key file {path}.",
            "Restore it from the backup of this database. For a new appliance: pxeapp serve makes one.",
        )
    try:
        vault = open_vault(patient.settings.data_dir)
    except ConfigError as error:
        return fail(error.sentence, error.hint)
    with patient.database.read() as session:
        stored = session.scalar(select(Bmc.password_encrypted).where(Bmc.password_encrypted != "").limit(1))
    if stored is None:
        return ok("Only its owner can read the key file; there is no BMC password yet that it must open.")
    try:
        vault.decrypt(stored)
    except Undecryptable as error:
        return fail(error.sentence, error.hint)
    return ok("Only its owner can read the key file, and it opens the BMC passwords in the database.")


def database(patient: Patient) -> Finding:
    """It can be reached and written, and its schema is this version's."""
    url = make_url(patient.settings.database_url)
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        if patient.database.file is not None and patient.database.file.mark.exists():
            patient.database.file.refuse_lost()
        if not path.exists():
            return fail(f"There is no database {path} yet.", f"{UPGRADE} — or start pxeapp serve, which does it.")
        try:
            _write_lock(path)
        except sqlite3.Error as error:
            return fail(
                f"The database {path} cannot be written: {error}.",
                "If it is locked, look which process holds it: fuser -v on the file. If the disk is full, make room.",
            )
    found, wanted = migrations.present_revision(patient.database.engine), migrations.head_revision()
    where = url.render_as_string(hide_password=True)
    if found != wanted:
        return fail(f"The database {where} is at schema {found or 'empty'}, this version needs {wanted}.", UPGRADE)
    return ok(f"{where} can be used; its schema is {found}.")


def queue(patient: Patient) -> Finding:
    """It can be reached, and hints do not pile up."""
    url = make_url(patient.settings.queue_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return fail(f"There is no queue {url.database} yet.", "Start pxeapp serve, which makes it.")
    waiting = Queue(patient.settings.queue_url).waiting()
    if waiting > BACKLOG:
        return warn(f"{waiting} hints wait in the queue.", "Start pxeapp worker, or one more of them.")
    return ok(f"The queue answers; {waiting} hints wait in it.")


def boot_programs(patient: Patient, root: Path = Path("/")) -> Finding:
    """Each firmware finds its loader on this host."""
    found = loaders.find(root, patient.settings.data_dir / loaders.IMPORTED)
    packages = {loader.package for loader in loaders.missing(found)}
    names = [loader.name for loader in loaders.missing(found)]
    if shutil.which("grub-mkimage") is None and shutil.which("grub2-mkimage") is None:
        names.append(localdisk.NAME)
        packages |= set(localdisk.PACKAGES.split())
    if not names:
        return ok(f"All {len(loaders.LOADERS)} boot programs are installed.")
    said = f"Boot programs are missing: {', '.join(names)}."
    install = f"Run: apt-get install {' '.join(sorted(packages))}"
    # Without iPXE nothing netboots; what the others are for may not be in this rack.
    return fail(said, install) if "ipxe" in packages else warn(said, install)


def _write_lock(path: Path) -> None:
    """Take the write lock and give it back, by a connection of our own that does not wait half a minute."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=LOCK_S, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def _owner(path: Path) -> str:
    number = path.stat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
