"""`pxeapp user add` and `pxeapp token create`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pxeapp.accounts import service
from pxeapp.cli import main
from pxeapp.db import Database, now
from pxeapp.errors import Unauthenticated
from tests.migrated import migrate


@pytest.fixture
def appliance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path))
    database = Database(f"sqlite:///{tmp_path / 'pxeapp.db'}")
    migrate(database)
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


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == code, done.output
    return done.output


def test_users_are_listed_changed_disabled_and_let_in_again(appliance: Database) -> None:
    first = run("user", "add", "eve", "--role", "operator", "--project", "web", "--one-time").strip()
    with appliance.read() as session:
        assert service.sign_in(session, "eve", first, now=now()).must_change_password
    (listed,) = json.loads(run("user", "list", "--json"))["items"]
    assert (listed["name"], listed["role"], listed["projects"]) == ("eve", "operator", ["web"])
    assert "password" not in json.dumps(listed).replace("must_change_password", "")
    assert run("user", "change", "eve", "--project", "db") == "eve is operator, projects db.\n"
    assert run("user", "change", "eve", "--all-projects", "--role", "viewer") == "eve is viewer, all machines.\n"
    run("user", "disable", "eve")
    assert "yes" in run("user", "list")
    run("user", "enable", "eve")
    again = run("user", "reset-password", "eve").strip()
    with appliance.read() as session:
        assert service.sign_in(session, "eve", again, now=now()).name == "eve"
    run("user", "sign-out", "eve")
    assert "There is no user 'nobody'." in run("user", "disable", "nobody", code=1)


def test_tokens_are_listed_and_revoked_and_their_secrets_are_not_kept(appliance: Database) -> None:
    words = ["--role", "operator", "--project", "web", "--read-only", "--days", "9", "--name", "dash"]
    secret = run("token", "create", *words).strip()
    (listed,) = json.loads(run("token", "list", "--json"))["items"]
    assert (listed["projects"], listed["read_only"], listed["revoked"]) == (["web"], True, False)
    assert secret not in run("token", "list")
    with appliance.read() as session:
        actor, _ = service.by_token(session, secret, now=now())
    assert (actor.projects, actor.read_only) == (frozenset({"web"}), True)
    run("token", "revoke", str(listed["id"]))
    with appliance.read() as session, pytest.raises(Unauthenticated):
        service.by_token(session, secret, now=now())
