"""A throw-away PostgreSQL: one cluster for the whole run, on a unix socket, and a fresh database for each test."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from pxeapp.db import Base, Database

_numbers = itertools.count(1)
# TRUNCATE makes new files for each table and index, used or not; most tables of most tests were never written to.
EMPTY = """
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' LOOP
    EXECUTE 'DELETE FROM ' || name;
  END LOOP;
  FOR name IN SELECT quote_ident(sequencename) FROM pg_sequences
      WHERE schemaname = 'public' AND last_value IS NOT NULL LOOP
    EXECUTE 'ALTER SEQUENCE ' || name || ' RESTART';
  END LOOP;
END $$
"""


def _programs() -> Path | None:
    """Where initdb and pg_ctl lie: Debian keeps them off PATH, one folder per version."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(debian[-1]) if debian else shutil.which("initdb")
    return Path(found).parent if found else None


def _as_somebody(folder: Path) -> list[str]:
    """What goes before a command: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, account.pw_uid, account.pw_gid)
        return ["runuser", "-u", name, "--"]
    pytest.skip("PostgreSQL does not run as root, and there is neither a user postgres nor nobody.")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Path]:
    """The folder with the socket of a running cluster; it is gone with everything in it at the end."""
    programs = _programs()
    if programs is None:
        pytest.skip("initdb is not installed; install the package postgresql.")
    # Not below pytest's folder: that is closed to the user whom the cluster runs as, and too long for a socket's name.
    folder = Path(tempfile.mkdtemp(prefix="pxeapp-pg-", dir="/tmp"))
    somebody = _as_somebody(folder)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*somebody, str(programs / program), "-D", str(data), *arguments],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    try:
        run("initdb", "--auth=trust", "--no-sync", "--username=pxeapp", "--encoding=UTF8", "--locale=C.UTF-8")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c timezone=Asia/Tokyo"
        run("pg_ctl", "-w", "-t", "60", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield folder
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _new_database(server: Path) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    admin = create_engine(f"postgresql+psycopg://pxeapp@/postgres?host={server}", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    yield f"postgresql://pxeapp@/{name}?host={server}"
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    admin.dispose()


@pytest.fixture
def postgresql_url(postgresql_server: Path) -> Iterator[str]:
    """The URL of a database without anything in it, as an operator writes it."""
    with _new_database(postgresql_server) as url:
        yield url


@pytest.fixture(scope="session")
def _postgresql_with_tables(postgresql_server: Path) -> Iterator[Database]:
    """One database for all tests: emptying its tables takes a tenth of making them."""
    with _new_database(postgresql_server) as url:
        database = Database(url)
        Base.metadata.create_all(database.engine)
        yield database
        database.dispose()


@pytest.fixture
def postgresql_database(_postgresql_with_tables: Database) -> Database:
    """A PostgreSQL with every table and no row."""
    with _postgresql_with_tables.engine.begin() as connection:
        # Only a superuser can: the audit's triggers refuse it to everybody else.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(EMPTY))
    return _postgresql_with_tables
