"""Checks of the database's files: whole, the log beside them small, and its clock ours."""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.url import make_url

from pxeapp.appliance.models import ONLY, Appliance
from pxeapp.db import now
from pxeapp.doctor.finding import Finding, Patient, fail, ok, warn

MIB = 1024**2
LOG_LIMIT = 64 * MIB  # SQLite folds the log in at 4 MiB, unless somebody reads for ever
WHOLE_WITHIN_S = 20.0
APART = dt.timedelta(seconds=60)
SERVERS_OWN = "PostgreSQL looks after its own files"


def integrity(patient: Patient) -> Finding:
    """The file is whole, as far as SQLite's quick check can tell within some seconds."""
    path = sqlite_file(patient)
    if path is None:
        return ok(f"{SERVERS_OWN}.")
    if not path.exists():
        return warn(f"There is no database {path} to look through.", "See what is said about the database.")
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    ) as connection:
        bell = threading.Timer(WHOLE_WITHIN_S, connection.interrupt)
        bell.start()
        try:
            said = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
                return warn(
                    f"{path} is too large to be looked through within {WHOLE_WITHIN_S:g} s.",
                    f"Do it when there is time: sqlite3 {path} 'PRAGMA quick_check'",
                )
            said = [str(error)]
        except sqlite3.Error as error:
            said = [str(error)]
        finally:
            bell.cancel()
    if said != ["ok"]:
        return fail(
            f"{path} is damaged: {'; '.join(said).splitlines()[0]}.",
            "Stop pxeapp, keep the file, and run: pxeapp restore --replace BACKUP. "
            "See whether the disk is dying: dmesg",
        )
    return ok(f"{path} is whole ({path.stat().st_size / MIB:.1f} MiB).")


def write_ahead_log(patient: Patient) -> Finding:
    """It is folded into the file now and then; one that only grows means that somebody reads for ever."""
    path = sqlite_file(patient)
    if path is None:
        return ok(f"{SERVERS_OWN}.")
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LOG_LIMIT:
        return warn(
            f"The write-ahead log {log} has grown to {size / MIB:.0f} MiB, which makes every reading slower.",
            f"A process keeps an old reading open: fuser -v {path} — restart pxeapp, or end what else reads there.",
        )
    return ok(f"The write-ahead log has {size / MIB:.1f} MiB.")


def clock(patient: Patient) -> Finding:
    """What was written last is not of the future, and a database on another host has the same time."""
    with patient.database.read() as session:
        seen = session.scalar(sa.select(Appliance.clock_at).where(Appliance.id == ONLY))
        server = None
        if sqlite_file(patient) is None:
            server = session.scalar(sa.select(sa.func.clock_timestamp()))
    here = now() if server is not None else patient.now
    if server is not None and abs(server - here) > APART:
        return fail(
            f"The database's clock shows {server:%Y-%m-%d %H:%M:%S} UTC, this host's {here:%Y-%m-%d %H:%M:%S}.",
            "Keep both in step with a time service; deadlines and leases live by it.",
        )
    if seen is not None and seen - here > APART:
        return fail(
            f"A worker saw {seen:%Y-%m-%d %H:%M} UTC already, and this host's clock shows {here:%Y-%m-%d %H:%M}.",
            "Correct this host's clock; a running worker then moves the deadlines along by itself.",
        )
    return ok("The times in the database agree with this host's clock.")


def sqlite_file(patient: Patient) -> Path | None:
    """The database's file, where it is one."""
    url = make_url(patient.settings.database_url)
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None
