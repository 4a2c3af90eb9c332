"""Every refusal is in the audit, with who, what, why, from where, and in which request; strangers cannot flood it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest

from pxeapp.api import refusals
from pxeapp.api.refusals import Strangers
from tests.api.conftest import MAC, Api, Asker


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins as a process that has refused nobody yet."""
    monkeypatch.setattr(refusals, "strangers", Strangers())


def refused(admin: Asker, **narrowed: str) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in {"outcome": "refused", **narrowed}.items())
    return list(admin.get(f"/audit?{query}").json["items"])


def test_who_lacks_the_role_is_in_the_audit_with_the_request(api: Api, admin: Asker) -> None:
    said = {"X-Request-Id": "deploy-42"}
    reply = api.of("viewer").post("/machines", json={"name": "n1", "mac": MAC}, headers=said)
    assert (reply.status_code, reply.headers["X-Request-Id"]) == (HTTPStatus.FORBIDDEN, "deploy-42")
    (row,) = refused(admin, request_id="deploy-42")
    assert (row["actor"], row["action"], row["address"]) == ("token:the-viewer", "machines.create", "127.0.0.1")
    assert row["details"]["status"] == HTTPStatus.FORBIDDEN
    assert "needs the role operator" in row["details"]["reason"]


@pytest.mark.parametrize("said", ["a b", "x" * 65, "é", "a\tb"])
def test_a_request_id_that_could_be_anything_is_not_ours(admin: Asker, said: str) -> None:
    assert admin.get("/machines", headers={"X-Request-Id": said}).headers["X-Request-Id"] != said


def test_a_conflict_of_a_write_is_in_the_audit_and_one_of_nobodys_business_is_not(
    admin: Asker, machine: dict[str, Any]
) -> None:
    admin.post("/machines", json={"name": "node1", "mac": "52:54:00:00:00:99"})
    admin.get("/machines/nothing")
    admin.patch("/machines/node1", json={"locked": True}, headers={"If-Match": '"99"'})
    assert [(row["details"]["status"], row["subject"]) for row in refused(admin)] == [
        (HTTPStatus.CONFLICT, "/api/v1/machines"), (HTTPStatus.PRECONDITION_FAILED, "node1"),
    ]  # fmt: skip


def test_strangers_are_written_once_a_minute_and_counted(api: Api, admin: Asker) -> None:
    for _ in range(20):
        api.of(None).get("/machines")
    (row,) = refused(admin)
    assert (row["actor"], row["details"]["status"]) == ("nobody", HTTPStatus.UNAUTHORIZED)


def test_what_strangers_were_left_out_is_told_with_the_next() -> None:
    found = Strangers()
    assert found.take(("10.0.0.1", "machines.listing", 401), 0) == 0
    for _ in range(7):
        assert found.take(("10.0.0.1", "machines.listing", 401), 1) is None
    assert found.take(("10.0.0.1", "machines.listing", 401), refusals.EVERY_S) == 7
    for number in range(refusals.MOST * 2):
        found.take((f"10.1.{number}.1", "x", 401), refusals.EVERY_S + 1)
    assert found.take(("10.9.9.9", "x", 401), refusals.EVERY_S * 2) == refusals.MOST + 1


def test_a_wrong_password_leaves_a_row_and_not_what_was_typed(api: Api, admin: Asker) -> None:
    client = api.app.test_client()
    token = client.get("/login").text.split('name="csrf" value="')[1].split('"')[0]
    client.post("/login", data={"csrf": token, "name": "my-password-in-the-wrong-field", "password": "hunter2"})
    (row,) = refused(admin, action="ui.sign_in")
    assert "my-password" not in str(row)
    assert "hunter2" not in str(row)


def test_a_form_without_its_token_leaves_a_row(api: Api, admin: Asker) -> None:
    assert api.app.test_client().post("/login", data={"name": "a"}).status_code == HTTPStatus.FORBIDDEN
    (row,) = refused(admin, action="ui.sign_in")
    assert "another site" in row["details"]["reason"]


def test_a_change_says_what_was_before_and_after_and_no_secret(admin: Asker, machine: dict[str, Any]) -> None:
    assert admin.patch("/machines/node1", json={"locked": True, "bmc": {"password": "hunter22"}}).status_code == 200
    row = admin.get("/audit?action=machine.change").json["items"][-1]
    assert (row["before"]["locked"], row["after"]["locked"]) == (False, True)
    assert "hunter22" not in str(admin.get("/audit").json)


def test_an_export_streams_what_the_list_shows(api: Api, admin: Asker) -> None:
    whole = admin.get("/audit").json["items"]
    reply = admin.get("/audit/export?format=json")
    assert reply.json["items"] == whole
    assert reply.headers["Content-Disposition"] == "attachment; filename=audit.json"
    assert admin.get("/audit/export?format=xml").status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert admin.get("/audit/export?actor=%00").status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert api.of("operator").get("/audit/export").status_code == HTTPStatus.FORBIDDEN
