"""A PostgreSQL that says nothing holds nobody up for long, whoever asks: the driver, pg_dump or psql."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import event, text
from sqlalchemy.engine.url import make_url

from pxeapp.cli import main
from pxeapp.db import Database
from pxeapp.storage import postgresql
from pxeapp.storage.faults import DatabaseUnavailable

SOON_S = 20.0  # 5 s for each address of the server's name; what is promised is 30


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=20) as listener:
        yield f"postgresql://pxe:hunter2@127.0.0.1:{listener.getsockname()[1]}/pxe"


def read(url: str) -> None:
    database = Database(url)
    try:
        with database.read() as session:
            session.execute(text("SELECT 1"))
    finally:
        database.dispose()


def told(url: str) -> dict[str, Any]:
    """What the driver is told when it connects."""
    database = Database(url)
    seen: dict[str, Any] = {}

    @event.listens_for(database.engine, "do_connect")
    def _note(_dialect: Any, _record: Any, _words: Any, parameters: dict[str, Any]) -> None:
        seen.update(parameters)
        raise ZeroDivisionError  # far enough

    with pytest.raises(ZeroDivisionError), database.engine.connect():
        pass
    return seen


@pytest.mark.network
def test_a_silent_server_is_given_up_soon_without_its_password(silent: str) -> None:
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable) as caught:
        read(silent)
    assert time.monotonic() - began < SOON_S
    assert "hunter2" not in str(caught.value)


@pytest.mark.network
@pytest.mark.parametrize(("program", "copy"), [("pg_dump", postgresql.dump), ("psql", postgresql.load)])
def test_the_programs_give_a_silent_server_up_as_soon(
    program: str, copy: Callable[[str, Path], None], silent: str, tmp_path: Path
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed; install the package postgresql-client.")
    began = time.monotonic()
    with pytest.raises(postgresql.ToolFailed, match=program) as caught:
        copy(silent, tmp_path / "copy")
    assert time.monotonic() - began < SOON_S
    assert "hunter2" not in str(caught.value)


@pytest.mark.network
@pytest.mark.parametrize("words", [("db", "upgrade"), ("backup",)])
def test_a_command_says_that_the_server_is_silent(
    words: tuple[str, ...], silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PXEAPP_DATABASE_URL", silent)
    began = time.monotonic()
    done = CliRunner().invoke(main, words)
    assert time.monotonic() - began < SOON_S
    assert done.exit_code != 0
    assert "timeout" in done.output
    assert "hunter2" not in done.output


def test_what_the_site_wrote_in_its_url_is_what_counts() -> None:
    ours = told("postgresql://db/pxe")
    assert {name: ours[name] for name in postgresql.PATIENCE} == postgresql.PATIENCE
    theirs = told("postgresql://db/pxe?connect_timeout=60&tcp_user_timeout=0")
    assert (theirs["connect_timeout"], theirs["tcp_user_timeout"]) == ("60", "0")
    assert theirs["keepalives_idle"] == postgresql.PATIENCE["keepalives_idle"]


def test_a_driver_that_does_not_know_our_words_is_not_told_them() -> None:
    assert postgresql.patience(make_url("postgresql+pg8000://db/pxe")) == {}


@pytest.mark.postgresql
def test_a_server_that_answers_takes_our_words_and_the_programs_theirs(postgresql_url: str, tmp_path: Path) -> None:
    """A value that would end the quotes in the connection string is a bad number, and no other database."""
    read(postgresql_url)
    postgresql.dump(f"{postgresql_url}&connect_timeout=60", tmp_path / "copy")
    postgresql.load(postgresql_url, tmp_path / "copy")
    with pytest.raises(postgresql.ToolFailed, match="connect_timeout"):
        postgresql.dump(f"{postgresql_url}&connect_timeout=%27%20dbname=%27postgres", tmp_path / "other")
