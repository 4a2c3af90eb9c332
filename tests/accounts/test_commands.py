"""`pxeapp user add` and `pxeapp token create`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pxeapp import migrations
from pxeapp.accounts import service
from pxeapp.cli import main
from pxeapp.db import Database, now


@pytest.fixture
def appliance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path))
    database = Database(f"sqlite:///{tmp_path / 'pxeapp.db'}")
    migrations.upgrade(database)
    return database


def test_a_token_is_all_that_is_printed(appliance: Database) -> None:
    done = CliRunner().invoke(main, ["token", "create", "--role", "operator"])
    assert done.exit_code == 0
    secret = done.output.strip()
    assert done.output == f"{secret}\n"
    with appliance.read() as session:
        actor, _ = service.by_token(session, secret, now=now())
    assert actor.role == "operator"


def test_a_user_is_added_and_may_sign_in(appliance: Database) -> None:
    arguments = ["user", "add", "ada", "--role", "viewer", "--password", "correct horse battery"]
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.output) == (0, "ada may sign in as viewer.\n")
    with appliance.read() as session:
        assert service.sign_in(session, "ada", "correct horse battery").role == "viewer"
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1
    assert "There already is a user ada." in again.output


def test_what_is_wrong_is_listed_and_nothing_is_added(appliance: Database) -> None:
    done = CliRunner().invoke(main, ["user", "add", "Ada L", "--password", "short"])
    assert done.exit_code == 1
    assert "name: 'Ada L'" in done.output
    assert "password: is too short." in done.output
    assert "Traceback" not in done.output
