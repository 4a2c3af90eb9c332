"""Host keys over the API: recorded by an administrator, shown, forgotten; a refusal keeps nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.audit.models import AuditRow
from pxeapp.nodes import keys
from tests.api.conftest import MAC, Api

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHIr4iWNUgqtWxfJOBth5WKd8MjpzEH9L0e9fiCNiDTx"


@pytest.fixture
def machine(api: Api) -> str:
    assert api.of("operator").post("/machines", json={"name": "m1", "mac": MAC}).status_code == 201
    return "/machines/m1/ssh"


def test_keys_are_recorded_shown_and_forgotten_with_an_audit_row_each(api: Api, machine: str) -> None:
    admin = api.of("admin")
    nothing = admin.get(machine).json
    assert (nothing["host_keys"], nothing["keys_from"], nothing["username"]) == ([], None, "pxeapp")
    said = {"host_keys": [f"{KEY} root@m1", KEY], "address": "10.0.0.7", "port": 2222, "username": "root"}
    found = admin.post(machine, json=said)
    assert found.status_code == 200
    assert found.json["host_keys"] == [{"key": KEY, "kind": "ssh-ed25519", "fingerprint": keys.fingerprint(KEY)}]
    assert (found.json["address"], found.json["port"], found.json["username"]) == ("10.0.0.7", 2222, "root")
    assert found.json["keys_from"].startswith("token:")
    assert api.of("viewer").get(machine).json == found.json
    assert api.of("operator").delete(machine).status_code == 204
    assert admin.get(machine).json["host_keys"] == []
    assert admin.delete(machine).status_code == 404
    with api.context.database.read() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.action.startswith("machine.ssh"))).all()
    assert [(row.action, row.subject) for row in rows] == [("machine.ssh.record", "m1"), ("machine.ssh.forget", "m1")]


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"host_keys": []}, "host_keys"),
        ({"host_keys": ["ssh-ed25519 AAAA"]}, "host_keys.0"),
        ({"host_keys": [KEY.replace("ed25519", "dss")]}, "host_keys.0"),
        ({"host_keys": [KEY, "-----BEGIN OPENSSH PRIVATE KEY-----"]}, "host_keys.1"),
        ({"host_keys": [KEY] * 9}, "host_keys"),
        ({"host_keys": [KEY], "address": "m1.example.org"}, "address"),
        ({"host_keys": [KEY], "address": "fe80::1%eth0"}, "address"),
        ({"host_keys": [KEY], "port": 0}, "port"),
        ({"host_keys": [KEY], "username": "-oProxyCommand=x"}, "username"),
    ],
)
def test_what_is_no_host_key_or_no_way_to_a_machine_is_refused_and_nothing_kept(
    api: Api, machine: str, said: dict[str, Any], field: str
) -> None:
    refused = api.of("admin").post(machine, json=said)
    assert refused.status_code == 422
    assert any(each["field"].endswith(field) for each in refused.json["errors"]), refused.json
    assert api.of("admin").get(machine).json["host_keys"] == []


def test_only_an_administrator_says_by_which_key_a_machine_is_known(api: Api, machine: str) -> None:
    for role in ("viewer", "operator"):
        assert api.of(role).post(machine, json={"host_keys": [KEY]}).status_code == 403
    assert api.of("viewer").delete(machine).status_code == 403


def test_the_appliances_own_key_is_shown_and_only_its_public_half(api: Api) -> None:
    found = api.of("viewer").get("/ssh/key").json
    assert found["key"] == keys.public_key(api.context.vault)
    assert found["key"].startswith("ssh-ed25519 AAAA")
    assert found["key"].endswith(" pxeapp")
