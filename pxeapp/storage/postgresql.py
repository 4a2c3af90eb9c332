"""How long PostgreSQL may be silent, and its own programs for copying a database, with the password out of sight.

pg_dump names the schema `public` in all that it writes. So what is loaded goes there and on into a schema of its own in
one transaction, in which what was in `public` steps aside and comes back: at no moment does anybody see half of either.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

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
PUBLIC = "public"
DRAFT = "restore_under_way"  # the schema in which a restore makes its database ready
EARLIER = "before_restore_"  # and the time: the schemas in which restores have put aside what was there
NOT_CONNECTED = 2  # psql's exit code
_MEANWHILE = "restore_put_aside"  # only within load's transaction


class ToolFailed(PxeError):
    """pg_dump or pg_restore is missing, or said no."""

    title = "PostgreSQL's tools failed"


def patience(url: URL) -> dict[str, int]:
    """What to tell the driver of it; what the site wrote in its URL is its own business."""
    if url.get_driver_name() not in SPEAKS_LIBPQ:
        return {}
    return {name: limit for name, limit in PATIENCE.items() if name not in url.query}


def dump(url: str, target: Path) -> None:
    """The whole database at one moment, in pg_restore's own form; what restores have put aside is not part of it."""
    others = [f"--exclude-schema={name}" for name in (f"{EARLIER}*", DRAFT)]
    as_what = ["--format=custom", "--no-owner", "--no-privileges", *others, "--dbname", _impatiently(make_url(url))]
    _run("pg_dump", _where(make_url(url)), [*as_what, "--file", str(target)])
    target.chmod(0o600)


def load(url: str, source: Path) -> None:
    """Into the schema DRAFT, all or nothing: whatever ends before its last word leaves the database as it was."""
    before = (
        "BEGIN", "SET client_min_messages = warning", f"DROP SCHEMA IF EXISTS {DRAFT} CASCADE",
        f"CREATE SCHEMA {DRAFT}", f"CREATE SCHEMA {_MEANWHILE}", moving(PUBLIC, _MEANWHILE),
    )  # fmt: skip
    after = (moving(PUBLIC, DRAFT), moving(_MEANWHILE, PUBLIC), f"DROP SCHEMA {_MEANWHILE}", "COMMIT")
    reading = [_program("pg_restore"), "--no-owner", "--no-privileges", f"--schema={PUBLIC}", "--file=-", str(source)]
    asking = [_program("psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"]
    asking += ["--dbname", _impatiently(make_url(url))]
    with (
        subprocess.Popen(
            asking, env=_environment(_where(make_url(url))), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as server,
        subprocess.Popen(
            reading, env=_environment({}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as script,
        _limited(server),
    ):  # fmt: skip
        assert server.stdin is not None and script.stdout is not None  # noqa: S101, PT018 - both are pipes
        with suppress(BrokenPipeError):  # it has refused something, and says what
            _say(server.stdin, before)
            shutil.copyfileobj(script.stdout, server.stdin)
        script.stdout.close()
        told = _told(script)
        if script.returncode == 0:  # else nobody says COMMIT
            with suppress(BrokenPipeError):
                _say(server.stdin, after)
        with suppress(BrokenPipeError):
            server.stdin.close()
        said = _told(server)
    # When nobody reads on, or nobody ever did, that is not its fault.
    if script.returncode != -signal.SIGPIPE and server.returncode != NOT_CONNECTED:
        _refuse_failed("pg_restore", script.returncode, told)
    _refuse_failed("psql", server.returncode, said)


def moving(source: str, target: str) -> str:
    """One statement that moves everything of ours from one schema to another; extensions stay where they are.

    Never the schema itself: before PostgreSQL 15 `public` does not belong to the database's owner.
    """
    return f"""DO $$ DECLARE statement text; BEGIN FOR statement IN {movable(source, f"' SET SCHEMA {target}'")}
LOOP EXECUTE statement; END LOOP; END $$"""


def movable(schema: str, then: str = "''") -> str:
    """A query for what is in a schema, as beginnings of ALTER statements."""
    ours, no_columns = (
        f"NOT EXISTS (SELECT FROM pg_depend WHERE (classid, objid) = (it.tableoid, it.oid) AND deptype IN ({kinds}))"
        for kinds in ("'e'", "'a', 'i'")  # an extension's; a sequence that goes with its table
    )
    return f"""SELECT 'ALTER TABLE ' || it.oid::regclass || {then} FROM pg_class it
 WHERE relnamespace = '{schema}'::regnamespace AND {ours}
 AND (relkind IN ('r', 'p', 'v', 'm', 'f') OR relkind = 'S' AND {no_columns})
 UNION ALL SELECT 'ALTER ROUTINE ' || it.oid::regprocedure || {then} FROM pg_proc it
 WHERE pronamespace = '{schema}'::regnamespace AND {ours}
 UNION ALL SELECT 'ALTER TYPE ' || it.oid::regtype || {then} FROM pg_type it
 WHERE typnamespace = '{schema}'::regnamespace AND typtype IN ('d', 'e') AND {ours}"""  # noqa: S608 - names of ours


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


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ToolFailed(f"{name} is not installed.", hint=f"Run: apt-get install {PACKAGE}")
    return path


def _environment(where: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **where}


def _run(program: str, where: dict[str, str], arguments: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            [_program(program), *arguments],
            env=_environment(where),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"{program} did not end within {TIMEOUT_S / 60:.0f} minutes.") from None
    _refuse_failed(program, done.returncode, done.stderr)


@contextmanager
def _limited(program: subprocess.Popen[bytes]) -> Iterator[None]:
    """When its time is over it is killed: writing to it fails then, and nothing was committed."""
    bell = threading.Timer(TIMEOUT_S, program.kill)
    bell.start()
    try:
        yield
    finally:
        bell.cancel()


def _say(server: IO[bytes], statements: Sequence[str]) -> None:
    server.write("".join(f"{each};\n" for each in statements).encode())
    server.flush()


def _told(program: subprocess.Popen[bytes]) -> bytes:
    """What it said of its errors, once it has ended."""
    said = program.stderr.read() if program.stderr is not None else b""
    program.wait()
    return said


def _refuse_failed(program: str, code: int, said: bytes) -> None:
    if code:
        lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        raise ToolFailed(f"{program} failed: {lines[0] if lines else f'exit code {code}'}.".replace("..", "."))
