"""`/machines/{id}/given` and its page: masked for everybody, exact for an admin only, who leaves a row in the audit."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from pxeapp import wiring
from pxeapp.answers.render import MASK
from pxeapp.db import now
from pxeapp.provisioning import answering, grants, lifecycle, steps, tokens
from tests.api.conftest import Api, Asker

HASH = "$6$rounds=5000$abcdefgh$" + "x" * 86


@pytest.fixture
def body(api: Api, admin: Asker, machine: dict[str, Any]) -> str:
    """node1 has fetched its preseed; the exact text."""
    assert machine["name"] == "node1"
    assert admin.patch("/machines/node1", json={"vars": {"root_password_hash": HASH}}).status_code == 200
    number = admin.post("/machines/node1/deploy", json={}).json["id"]
    own = wiring.create_provisioner(api.context.settings)
    with own.database.write() as session:
        deployment = steps.locked(session, number)
        assert deployment is not None
        assert lifecycle.latest(session, machine["id"]) is not None
        grants.arm(session, own.vault, deployment, now=now())
        token = tokens.derive(own.vault, deployment, tokens.CONFIG)
    text = answering.answer(own, token, "preseed", address="10.77.0.11", now=now())
    own.database.dispose()
    return text


def test_everybody_sees_what_a_machine_was_given_with_its_secrets_masked(api: Api, body: str) -> None:
    for role in ("viewer", "operator", "admin"):
        reply = api.of(role).get("/machines/node1/given?diff=1")
        assert reply.status_code == 200
        (item,) = reply.json["items"]
        assert item["kind"] == "preseed"
        assert item["sha256"] == hashlib.sha256(body.encode()).hexdigest()
        assert MASK in item["text"]
        assert item["today"] == {"diff": "", "same": True, "problem": ""}
        assert item["templates"][0]["of"] == "ours"
        assert HASH in body
        assert HASH not in reply.text


def test_the_exact_bytes_are_for_admins_and_the_audit_says_who_looked(api: Api, admin: Asker, body: str) -> None:
    number = admin.get("/machines/node1/given").json["items"][0]["id"]
    for role in ("viewer", "operator"):
        assert api.of(role).get(f"/machines/node1/given/{number}/exact").status_code == 403
    reply = admin.get(f"/machines/node1/given/{number}/exact")
    assert (reply.status_code, reply.text) == (200, body)
    assert reply.headers["X-Content-SHA256"] == hashlib.sha256(body.encode()).hexdigest()
    rows = [row for row in admin.get("/audit?limit=100").json["items"] if row["action"] == "given.exact"]
    assert [(row["actor"], row["subject"], row["outcome"]) for row in rows] == [
        ("token:the-viewer", "node1", "refused"),
        ("token:the-operator", "node1", "refused"),
        ("token:the-admin", "node1", "done"),
    ]


def test_what_is_not_there_is_refused_in_a_sentence(admin: Asker, body: str) -> None:
    assert body
    for path, status, said in (
        ("/machines/node1/given?deployment=4711", 404, "node1 has no deployment 4711."),
        ("/machines/node1/given?kind=kickstart", 422, "was given no kickstart."),
        ("/machines/node1/given/4711/exact", 404, "node1 was given no file 4711."),
        ("/machines/nobody/given", 404, "nobody"),
        ("/machines/node1/given?deployment=x", 422, ""),
    ):
        reply = admin.get(path)
        assert reply.status_code == status, path
        assert said in reply.json["detail"]


def test_its_page_shows_text_templates_and_what_would_be_other_today(api: Api, admin: Asker, body: str) -> None:
    number = admin.get("/machines/node1/given").json["items"][0]["id"]
    viewer = api.of("viewer")
    page = viewer.ask("GET", f"/machines/node1/given/{number}")
    assert page.status_code == 200
    assert "Today it would be given the same" in page.text
    assert "preseeds/base.cfg" in page.text
    assert HASH not in page.text
    assert f"/machines/node1/given/{number}#today" in viewer.ask("GET", "/machines/node1").text
    running = admin.post("/machines/node1/abort")
    assert running.status_code == 200
    admin.patch("/machines/node1", json={"vars": {"timezone": "Europe/Rome"}})
    page = viewer.ask("GET", f"/machines/node1/given/{number}")
    assert "+d-i time/zone string Europe/Rome" in page.text
    assert body
