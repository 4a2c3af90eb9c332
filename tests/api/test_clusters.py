"""Clusters and variables over HTTP: made, joined, changed with an ETag, rotated; what is unknown is refused by name."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest
from sqlalchemy import event, select

from pxeapp.answers import clusters
from pxeapp.audit import AuditRow
from pxeapp.machines import sealed, selectors
from tests.api.conftest import Api, Asker

PASSWORD = "correct-horse-battery"
HASH = "$6$abcdefgh$" + "x" * 86
CLUSTER = {
    "name": "prod",
    "description": "The one that counts.",
    "vars": {"controller": "10.77.0.2", "region": "RegionTwo"},
    "secrets": {"rabbit_password": PASSWORD},
}


def fields(reply: Any) -> list[str]:
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, reply.text
    return [error["field"] for error in reply.json["errors"]]


def test_a_cluster_from_its_making_to_its_end(admin: Asker, machine: dict[str, Any]) -> None:
    made = admin.post("/clusters", json=CLUSTER)
    assert made.status_code == HTTPStatus.CREATED
    assert made.json["secrets"]["rabbit_password"]["by"] == "token:the-admin"
    assert admin.post("/clusters", json=CLUSTER).status_code == HTTPStatus.CONFLICT
    assert admin.patch("/machines/node1", json={"cluster": "prod"}).json["cluster"] == "prod"
    assert [row["name"] for row in admin.get("/machines?cluster=prod").json["items"]] == ["node1"]
    assert admin.get("/machines?cluster=other").json["items"] == []
    shown = admin.get("/clusters").json["items"][0]
    assert (shown["machines"], shown["vars"]["region"]) == (1, "RegionTwo")
    assert admin.put("/clusters/prod", json=shown).json["version"] == shown["version"]
    assert admin.delete("/clusters/prod").status_code == HTTPStatus.CONFLICT
    admin.patch("/machines/node1", json={"cluster": None})
    assert admin.delete("/clusters/prod").status_code == HTTPStatus.NO_CONTENT
    assert admin.get("/clusters/prod").status_code == HTTPStatus.NOT_FOUND


def test_of_two_who_change_a_cluster_the_second_is_told(admin: Asker) -> None:
    tag = admin.post("/clusters", json=CLUSTER).headers["ETag"]
    change = {"secrets": {"rabbit_password": "another-one-altogether"}}
    first = admin.patch("/clusters/prod", json=change, headers={"If-Match": tag})
    assert first.status_code == HTTPStatus.OK
    assert first.headers["ETag"] != tag
    for method, body in (("patch", change), ("put", {}), ("delete", None)):
        late = getattr(admin, method)("/clusters/prod", json=body, headers={"If-Match": tag})
        assert late.status_code == HTTPStatus.PRECONDITION_FAILED
    rotated = admin.post("/clusters/prod/rotate", json={"secrets": ["rabbit_password"]}, headers={"If-Match": tag})
    assert rotated.status_code == HTTPStatus.PRECONDITION_FAILED


def test_putting_a_cluster_empties_its_variables_and_keeps_its_secrets(admin: Asker) -> None:
    admin.post("/clusters", json=CLUSTER)
    body = admin.put("/clusters/prod", json={"description": "Bare."}).json
    assert (body["vars"], list(body["secrets"])) == ({}, ["rabbit_password"])
    assert admin.patch("/clusters/prod", json={"secrets": {"rabbit_password": None}}).json["secrets"] == {}


def test_a_deployment_makes_what_is_missing_and_shows_none_of_it(
    api: Api, admin: Asker, machine: dict[str, Any]
) -> None:
    admin.post("/clusters", json=CLUSTER)
    admin.patch("/machines/node1", json={"cluster": "prod", "vars": {"root_password_hash": HASH}})
    before = {item["name"]: item for item in admin.get("/machines/node1/variables").json["items"]}
    assert before["controller"]["from"] == "cluster prod"
    assert before["nova_password"]["from"] == "generated at the next deployment"
    preview = admin.get("/machines/node1/rendered")
    assert preview.status_code == HTTPStatus.OK, preview.text
    reply = admin.post("/machines/node1/deploy")
    assert reply.status_code == HTTPStatus.ACCEPTED, reply.text
    with api.read() as session:
        kept = clusters.get(session, "prod").secrets
        secrets = {name: sealed.opened(api.context.vault, value) for name, value in kept.items()}
        audit = [json.dumps(row.details) for row in session.scalars(select(AuditRow))]
        stored = selectors.get(session, "node1").vars
    assert {"rabbit_password", "nova_password", "neutron_password", "placement_password"} <= set(secrets)
    assert sealed.is_sealed(stored["root_password_hash"])
    texts = [
        admin.get(path).text
        for path in (
            "/machines/node1/rendered", "/machines/node1", "/machines/node1/variables", "/clusters/prod", "/audit",
            "/machines/node1/events", "/variables",
        )
    ]  # fmt: skip
    assert "***" in texts[0]
    for secret in (*secrets.values(), HASH):
        assert all(secret not in text for text in (*texts, *audit))


def test_unknown_variables_are_refused_by_name_wherever_they_are_said(admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.patch("/machines/node1", json={"vars": {"timezon": "Europe/Rome"}})
    assert fields(reply) == ["vars.timezon"]
    assert "Did you mean timezone?" in reply.json["errors"][0]["fix"]
    said = {"name": "node2", "mac": "52:54:00:00:00:02", "vars": {"keybord": "de"}, "cluster": "nowhere"}
    assert fields(admin.post("/machines", json=said)) == ["cluster", "vars.keybord"]
    assert fields(admin.post("/machines/import", json=[said])) == ["cluster", "vars.keybord"]
    assert fields(admin.put("/machines/node1", json={**said, "name": "node1", "cluster": None})) == ["vars.keybord"]
    assert fields(admin.patch("/roles/compute", json={"vars": {"cpu_ratio": 3}})) == ["vars.cpu_ratio"]
    assert fields(admin.post("/clusters", json={"name": "x", "vars": {"regoin": "x"}})) == ["vars.regoin"]
    assert admin.get("/machines/node1").json["vars"] == machine["vars"]


def test_what_a_row_holds_from_before_goes_on_working(api: Api, admin: Asker, machine: dict[str, Any]) -> None:
    with api.write() as session:
        selectors.get(session, "node1").vars = {"old_name": 1}
    shown = admin.get("/machines/node1").json
    assert admin.put("/machines/node1", json=shown).json["vars"] == {"old_name": 1}
    assert admin.patch("/machines/node1", json={"vars": {"old_name": 2, "site_x": 1}}).status_code == HTTPStatus.OK
    assert fields(admin.patch("/machines/node1", json={"vars": {"old_name": 2, "new_name": 1}})) == ["vars.new_name"]


def test_a_sites_own_role_declares_variables(admin: Asker) -> None:
    own = {
        "cache_size": {"type": "integer", "minimum": 1, "required": True, "help": "In MiB."},
        "key": {"secret": True},
    }
    assert admin.post("/roles", json={"name": "cache", "variables": own}).status_code == HTTPStatus.CREATED
    assert fields(admin.patch("/roles/cache", json={"vars": {"cache_size": 0}})) == ["vars.cache_size"]
    body = admin.patch("/roles/cache", json={"vars": {"cache_size": "64", "key": PASSWORD}}).json
    assert body["vars"] == {"cache_size": 64, "key": "***"}
    assert admin.put("/roles/cache", json=body).json == body
    listed = {item["name"]: item for item in admin.get("/variables?role=cache").json["items"]}
    assert listed["cache_size"]["minimum"] == 1
    assert listed["key"]["secret"] is True
    assert fields(admin.patch("/roles/cache", json={"variables": {"timezone": {}}})) == ["variables.timezone"]
    assert fields(admin.patch("/roles/cache", json={"variables": {"a": {"type": "x"}}})) == ["variables.a.type"]
    assert admin.get("/variables?role=nothing").status_code == HTTPStatus.NOT_FOUND


def test_a_missing_variable_is_said_with_machine_role_and_name_at_the_deployment(
    admin: Asker, machine: dict[str, Any]
) -> None:
    own = {"cache_size": {"type": "integer", "required": True, "help": "In MiB."}}
    admin.post("/roles", json={"name": "cache", "variables": own})
    reply = admin.post("/machines/node1/deploy", json={"role": "cache"})
    assert fields(reply) == ["vars.cache_size"]
    assert "node1 as cache" in reply.json["errors"][0]["problem"]
    assert admin.get("/machines/node1").json["state"] == machine["state"]


@pytest.mark.parametrize("vars_said", [{"x": {"$secret": "gAAAA"}}, {"site_x": [{"$secret": "gAAAA"}]}])
def test_nobody_brings_a_sealed_value(admin: Asker, machine: dict[str, Any], vars_said: dict[str, Any]) -> None:
    assert fields(admin.patch("/machines/node1", json={"vars": vars_said})) == ["vars"]


def test_a_list_of_machines_or_clusters_takes_the_same_number_of_queries_however_long(api: Api, admin: Asker) -> None:
    def queries(path: str) -> int:
        seen: list[str] = []
        engine = api.context.database.engine

        def note(*said: Any) -> None:
            seen.append(said[2])

        event.listen(engine, "before_cursor_execute", note)
        try:
            assert admin.get(path).status_code == HTTPStatus.OK
        finally:
            event.remove(engine, "before_cursor_execute", note)
        return len(seen)

    def grow(first: int, last: int) -> None:
        for number in range(first, last):
            admin.post("/clusters", json={"name": f"c{number}"})
        rows = [
            {"name": f"n{number}", "mac": f"52:54:00:00:01:{number:02x}", "cluster": f"c{number}"}
            for number in range(first, last)
        ]
        assert admin.post("/machines/import", json=rows).status_code == HTTPStatus.OK

    grow(0, 2)
    before = [queries(path) for path in ("/machines", "/clusters")]
    grow(2, 12)
    assert [queries(path) for path in ("/machines", "/clusters")] == before
