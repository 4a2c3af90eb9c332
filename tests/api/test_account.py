"""`GET /account`: what it says that somebody may do is what they may do."""

from __future__ import annotations

import pytest

from pxeapp.accounts import service
from pxeapp.accounts.permissions import ADMIN, BY_HAND, PERMISSIONS, READS, ROLES, allows
from pxeapp.db import now
from tests.api.conftest import PASSWORD, Api


def reading(api: Api) -> set[str]:
    """Every operation of the API that is asked for by GET."""
    return {
        rule.endpoint
        for rule in api.app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.endpoint.startswith("ui.")
    }


@pytest.mark.parametrize("role", ROLES)
def test_a_token_that_only_reads_is_told_of_everything_that_it_may_read(api: Api, role: str) -> None:
    with api.write() as session:
        _, secret = service.create_token(session, name="t", role=role, read_only=True, actor="test", now=now())
    shown = api.with_token(secret).get("/account").json
    within = {name for name, least in PERMISSIONS.items() if allows(role, least) and not name.startswith("ui.")}
    public = {name for name in within if PERMISSIONS[name] == "public"}
    assert shown["read_only"] is True
    assert set(shown["may"]) == (within & (reading(api) | READS)) | public
    assert {"machines.events", "bmc.sensors", "reports.durations", "events.stream"} <= set(shown["may"])


@pytest.mark.parametrize("role", ROLES)
def test_a_token_that_changes_things_is_told_of_all_that_its_role_may_do(api: Api, role: str) -> None:
    within = {name for name, least in PERMISSIONS.items() if allows(role, least) and not name.startswith("ui.")}
    assert set(api.of(role).get("/account").json["may"]) == within - BY_HAND


def test_nothing_that_changes_anything_is_told_to_a_token_that_only_reads(api: Api) -> None:
    with api.write() as session:
        _, secret = service.create_token(session, name="t", role=ADMIN, read_only=True, actor="test", now=now())
    may = set(api.with_token(secret).get("/account").json["may"])
    assert not {"machines.create", "machines.delete", "deployments.deploy", "lists.save", "account.revoke_token"} & may


def test_a_token_is_had_with_name_and_password_and_without_a_browser(api: Api) -> None:
    nobody = api.of(None)
    made = nobody.post("/account/sign-in", json={"name": "admin", "password": PASSWORD, "token_name": "notebook"})
    assert (made.status_code, made.json["name"], made.json["role"]) == (201, "notebook", "admin")
    assert "Set-Cookie" not in made.headers
    shown = api.with_token(made.json["token"]).get("/account").json
    assert (shown["actor"], shown["signed_in_by"], shown["token"]["id"]) == ("token:notebook", "token", made.json["id"])
    wrong = nobody.post("/account/sign-in", json={"name": "admin", "password": "wrong"})
    assert (wrong.status_code, wrong.json["detail"]) == (401, "User name or password is wrong.")
    assert nobody.post("/account/sign-in", json={"name": "admin", "password": PASSWORD, "days": 91}).status_code == 422
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    said = {"name": "admin", "password": PASSWORD}
    assert nobody.post("/account/sign-in", json=said, headers=elsewhere).status_code == 403
