"""How long PostgreSQL may be silent, and its own programs for copying a database: pg_dump and pg_restore.

They are told the password where nobody sees it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine.url import URL, make_url

from pxeapp.errors import PxeError

TIMEOUT_S = 3600.0
PACKAGE = "postgresql-client"
# A server that is gone says nothing: libpq would wait for ever for it to greet us, and the kernel for two hours for an
# answer. 20 s until a connection counts as dead and 5 s for a new one are less than the 30 s that operators wait.
PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # ms; for what was sent and nobody acknowledges, which keepalives do not look at
}
SPEAKS_LIBPQ = ("psycopg", "psycopg2", "psycopg2cffi")  # the others have no such words


class ToolFailed(PxeError):
    """pg_dump or pg_restore is missing, or said no."""

    title = "PostgreSQL's tools failed"


def patience(url: URL) -> dict[str, int]:
    """What to tell the driver of it; what the site wrote in its URL is its own business."""
    if url.get_driver_name() not in SPEAKS_LIBPQ:
        return {}
    return {name: limit for name, limit in PATIENCE.items() if name not in url.query}


def dump(url: str, target: Path) -> None:
    """The whole database at one moment, in pg_restore's own form."""
    _run(
        "pg_dump",
        _where(make_url(url)),
        [
            "--format=custom",
            "--no-owner",
            "--no-privileges",
            "--dbname",
            _impatiently(make_url(url)),
            "--file",
            str(target),
        ],
    )
    target.chmod(0o600)


def load(url: str, source: Path) -> None:
    """Into an empty database, all or nothing."""
    _run(
        "pg_restore",
        _where(make_url(url)),
        [
            "--no-owner",
            "--no-privileges",
            "--single-transaction",
            "--exit-on-error",
            "--dbname",
            _impatiently(make_url(url)),
            str(source),
        ],
    )


def whole(source: Path) -> str:
    """What is wrong with a dump, or nothing. Every block of it is read."""
    try:
        _run("pg_restore", {}, ["--file", os.devnull, str(source)])
    except ToolFailed as error:
        return error.sentence
    return ""


def _impatiently(url: URL) -> str:
    """The limits as a connection string, because most have no variable; which database it is, PGDATABASE says."""
    said = {**PATIENCE, **{name: value for name, value in _query(url).items() if name in PATIENCE}}
    return " ".join(f"{name}={_quoted(str(value))}" for name, value in said.items())


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _query(url: URL) -> dict[str, str]:
    return {name: value for name, value in url.query.items() if isinstance(value, str)}


def _where(url: URL) -> dict[str, str]:
    """As variables: what stands on a command line, everybody on this host may read."""
    query = _query(url)
    found = {
        "PGHOST": query.get("host") or url.host,
        "PGPORT": query.get("port") or (str(url.port) if url.port else None),
        "PGUSER": url.username,
        "PGPASSWORD": str(url.password) if url.password is not None else None,
        "PGDATABASE": url.database,
        "PGSSLMODE": query.get("sslmode"),
        "PGSSLROOTCERT": query.get("sslrootcert"),
    }
    return {name: value for name, value in found.items() if value}


def _run(program: str, where: dict[str, str], arguments: Sequence[str]) -> None:
    path = shutil.which(program)
    if path is None:
        raise ToolFailed(f"{program} is not installed.", hint=f"Run: apt-get install {PACKAGE}")
    try:
        done = subprocess.run(
            [path, *arguments],
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **where},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"{program} did not end within {TIMEOUT_S / 60:.0f} minutes.") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ToolFailed(
            f"{program} failed: {lines[0] if lines else f'exit code {done.returncode}'}.".replace("..", ".")
        )
