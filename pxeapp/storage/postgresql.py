"""PostgreSQL's own programs for copying a database: pg_dump and pg_restore, with the password out of sight."""

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


class ToolFailed(PxeError):
    """pg_dump or pg_restore is missing, or said no."""

    title = "PostgreSQL's tools failed"


def dump(url: str, target: Path) -> None:
    """The whole database at one moment, in pg_restore's own form."""
    _run("pg_dump", _where(make_url(url)), ["--format=custom", "--no-owner", "--no-privileges", "--file", str(target)])
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
            _name(url),
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


def _name(url: str) -> str:
    return make_url(url).database or ""


def _where(url: URL) -> dict[str, str]:
    """As variables: what stands on a command line, everybody on this host may read."""
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
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
