"""Secrets within variables over HTTP: they go in, lie encrypted in the database, and come out of nothing but a file."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from sqlalchemy import text

from pxeapp.answers import sealing
from pxeapp.machines import sealed, selectors
from pxeapp.provisioning import plan
from tests.api.conftest import Api, Asker

HASH = "$6$abcdefgh$" + "x" * 86
TOKEN = "correct-horse-battery-staple"
VARS: dict[str, Any] = {
    "users": [{"name": "ada", "sudo": "password", "password_hash": HASH}],
    "files": [{"path": "/etc/token", "secret": True, "content": [TOKEN]}],
    "proxy": f"http://ada:{TOKEN}@proxy.example.org:3128",
}
SHOWN: dict[str, Any] = {
    "users": [{"name": "ada", "sudo": "password", "password_hash": "***"}],
    "files": [{"path": "/etc/token", "secret": True, "content": "***"}],
    "proxy": "http://***@proxy.example.org:3128",
}


def stored(api: Api) -> str:
    """Every variable as it lies in the database."""
    with api.read() as session:
        tables = ("machines", "roles", "clusters")
        return str([session.execute(text(f"SELECT vars FROM {table}")).all() for table in tables])  # noqa: S608


@pytest.fixture
def places(admin: Asker, machine: dict[str, Any]) -> list[str]:
    """The paths of a machine, a role and a cluster that all say the same."""
    assert admin.post("/clusters", json={"name": "prod"}).status_code == HTTPStatus.CREATED
    paths = ["/machines/node1", "/roles/compute", "/clusters/prod"]
    for path in paths:
        reply = admin.patch(path, json={"vars": VARS})
        assert reply.status_code == HTTPStatus.OK, reply.text
        assert reply.json["vars"] == SHOWN
    return paths


def test_they_lie_encrypted_and_stay_when_they_come_back_masked(api: Api, admin: Asker, places: list[str]) -> None:
    before = stored(api)
    assert HASH not in before
    assert TOKEN not in before
    for path in places:
        shown = admin.get(path).json
        assert shown["vars"] == SHOWN
        assert admin.put(path, json=shown).json["vars"] == SHOWN
    row = {"name": "node1", "mac": "52:54:00:00:00:01", "vars": SHOWN}
    assert admin.post("/machines/import", json=[row]).status_code == HTTPStatus.OK
    assert stored(api) == before


def test_they_reach_the_answer_file_and_nobodys_eyes(api: Api, admin: Asker, places: list[str]) -> None:
    with api.read() as session:
        machine = selectors.get(session, "node1")
        spec = plan.preview(session, api.context.checker.tools, machine, release="debian-13", role="compute")
    assert spec.site.users[0].password_hash == HASH
    assert spec.site.files[0].encode().decode() == f"{TOKEN}\n"
    assert spec.site.proxy is not None
    assert spec.site.proxy.url == VARS["proxy"]
    change = {"vars": {"timezone": "Europe/Rome"}}
    texts = [admin.post("/diff", json=change), admin.post("/diff", json={"roles": {"compute": {"vars": VARS}}})]
    texts += [admin.get(f"/machines/node1/{what}") for what in ("rendered", "variables", "events")]
    texts += [admin.get("/audit")]
    for reply in texts:
        assert reply.status_code == HTTPStatus.OK, reply.text
        assert HASH not in reply.text
        assert TOKEN not in reply.text
    assert admin.post("/diff", json=change).json["groups"]
    assert stored(api).count("Rome") == 0


def test_a_mask_that_stands_for_nothing_is_refused_at_its_field(admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.patch("/machines/node1", json={"vars": SHOWN})
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert {error["field"] for error in reply.json["errors"]} == {
        "vars.users.0.password_hash", "vars.files.0.content", "vars.proxy"
    }  # fmt: skip
    for path in ("/roles/compute", "/machines/node1"):
        reply = admin.patch(path, json={"vars": {"site_x": {"deep": [{sealed.KEY: "x"}]}}})
        assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_what_an_earlier_version_left_open_is_sealed_at_the_upgrade(
    api: Api, admin: Asker, machine: dict[str, Any]
) -> None:
    with api.write() as session:
        selectors.get(session, "node1").vars = {**VARS, "old_name": [1]}
    for expected in (1, 0):
        with api.write() as session:
            found = sealing.seal_open_secrets(
                session, api.context.vault, api.context.templates, now=selectors.get(session, "node1").created_at
            )
            assert found == expected
    assert TOKEN not in stored(api)
    assert admin.get("/machines/node1").json["vars"] == {**SHOWN, "old_name": [1]}


def test_what_a_role_declares_to_be_secret_later_is_sealed_then(api: Api, admin: Asker) -> None:
    own: dict[str, Any] = {"licence": {"type": "text"}}
    admin.post("/roles", json={"name": "cache", "variables": own})
    node = {"name": "node2", "mac": "52:54:00:00:00:02", "role": "cache", "vars": {"licence": TOKEN}}
    assert admin.post("/machines", json=node).json["vars"] == {"licence": TOKEN}
    own["licence"]["secret"] = True
    assert admin.patch("/roles/cache", json={"variables": own}).status_code == HTTPStatus.OK
    assert admin.get("/machines/node2").json["vars"] == {"licence": "***"}
    assert TOKEN not in stored(api)
