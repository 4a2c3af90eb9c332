"""This host's own appliance, asked in the command's own process: as user:local, and by nobody from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from pxeapp.accounts.actor import IN_PROCESS, Actor
from pxeapp.audit import AuditRow
from pxeapp.cli import main
from pxeapp.client import Appliance
from pxeapp.client.local import Local
from pxeapp.errors import NotFound, PxeError
from pxeapp.own_api import OwnApi
from tests.api.conftest import Api, api, prepared, routed

__all__ = ["api", "prepared", "routed"]


@pytest.fixture
def here(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The appliance that `pxeapp` on this host means."""
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(api.context.settings.data_dir))
    return api


def pxeapp(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_the_audit_says_user_local_and_no_address(here: Api) -> None:
    assert pxeapp("user", "add", "eve", "--one-time").exit_code == 0
    with here.read() as session:
        row = session.scalars(
            select(AuditRow).where(AuditRow.action == "user.create").order_by(AuditRow.id.desc())
        ).first()
    assert row is not None
    assert (row.actor, row.address, row.subject) == ("user:local", "", "eve")


@pytest.mark.parametrize("name", [IN_PROCESS, "pxeapp-actor", "pxeapp_actor", "PXEAPP.ACTOR"])
def test_no_header_makes_anybody_somebody(api: Api, name: str) -> None:
    assert api.app.test_client().get("/api/v1/machines", headers={name: "admin"}).status_code == 401


def test_a_site_that_insists_on_if_match_does_not_keep_commands_from_working(
    here: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PXEAPP_REQUIRE_IF_MATCH", "on")
    pxeapp("user", "add", "eve", "--one-time")
    assert pxeapp("user", "disable", "eve").output == "eve is disabled.\n"
    assert pxeapp("cluster", "create", "prod").exit_code == 0
    assert pxeapp("cluster", "set", "prod", "--description", "The one.").exit_code == 0
    assert pxeapp("cluster", "rotate", "prod", "--yes").exit_code == 0
    assert pxeapp("cluster", "delete", "prod", "--yes").exit_code == 0


def test_its_errors_come_through_as_they_are(here: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    who = {IN_PROCESS: Actor("user:local", "admin")}
    own = Appliance(Local(OwnApi, who))
    with pytest.raises(NotFound, match="There is no machine 'nobody'") as refused:
        own.get("/machines/nobody")
    assert type(refused.value) is NotFound
    own.transport.close()
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path / "new"))
    empty = Appliance(Local(OwnApi, who))
    with pytest.raises(PxeError, match="pxeapp db upgrade"):
        empty.get("/machines")
    empty.transport.close()


def test_commands_leave_no_file_where_the_processes_keep_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be called by root, and what root makes the service's user could not write."""
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path / "data"))
    assert pxeapp("db", "upgrade").exit_code == 0
    before = {path for path in (tmp_path / "data").rglob("*") if "run" in path.parts}
    assert pxeapp("machine", "list").exit_code == 0
    assert {path for path in (tmp_path / "data").rglob("*") if "run" in path.parts} == before
