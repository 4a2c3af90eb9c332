"""A throw-away PostgreSQL: one cluster for the whole run, on a unix socket, and a fresh database for each test."""

from __future__ import annotations

import getpass
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

_numbers = itertools.count(1)


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


@pytest.fixture
def postgresql_url(postgresql_server: Path) -> Iterator[str]:
    """The URL of an empty database, as an operator writes it."""
    name = f"test_{getpass.getuser()}_{os.getpid()}_{next(_numbers)}"
    admin = create_engine(
        f"postgresql+psycopg://pxeapp@/postgres?host={postgresql_server}", isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    yield f"postgresql://pxeapp@/{name}?host={postgresql_server}"
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    admin.dispose()
