"""`/machines` over HTTP: every way to name one, every way to change one, and never its BMC's password."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from sqlalchemy import update

from pxeapp.machines.models import Machine
from tests.api.conftest import BMC_PASSWORD, MAC, Api, Asker


def password_of(api: Api) -> str:
    """The password as the BMC would get it."""
    with api.read() as session:
        row = session.query(Machine).one()
        return str(api.context.vault.decrypt(row.bmc.password_encrypted))


def test_a_machine_on_the_wire_has_every_field_of_the_contract(machine: dict[str, Any]) -> None:
    contract = {
        "name", "mac", "state", "power", "role", "release", "bmc", "interfaces", "disks", "labels", "vars",
    }  # fmt: skip
    assert contract <= machine.keys()
    assert machine["state"] == "enrolled"
    assert machine["power"] == "unknown"
    assert machine["bmc"] == {
        "type": "ipmi", "address": "10.0.9.1", "port": 623, "username": "root", "cipher_suite": None,
        "certificate": None, "password_set": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    "key",
    ["node1", MAC, MAC.upper(), MAC.replace(":", "-"), MAC.replace(":", ""), "5254.0000.0001", "525400-000001"],
)
def test_a_machine_is_found_by_name_or_mac_in_any_spelling(admin: Asker, machine: dict[str, Any], key: str) -> None:
    assert admin.get(f"/machines/{key}").json == machine


def test_a_machine_is_found_by_its_number(admin: Asker, machine: dict[str, Any]) -> None:
    assert admin.get(f"/machines/{machine['id']}").json == machine


def test_the_password_of_a_bmc_goes_in_and_never_comes_out(api: Api, admin: Asker, machine: dict[str, Any]) -> None:
    assert password_of(api) == BMC_PASSWORD
    assert "password" not in admin.get("/machines/node1").json["bmc"]


def test_a_patch_changes_what_it_names_and_nothing_else(admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.patch("/machines/node1", json={"labels": {"rack": "r7"}})
    assert reply.status_code == HTTPStatus.OK
    before, after = dict(machine), dict(reply.json)
    for body in (before, after):
        for name in ("labels", "version", "updated_at"):
            body.pop(name)
    assert after == before
    assert reply.json["labels"] == {"rack": "r7"}


def test_a_patch_of_one_field_of_the_bmc_leaves_its_others(api: Api, admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.patch("/machines/node1", json={"bmc": {"password": "another-one"}})
    assert reply.json["bmc"] == machine["bmc"]
    assert password_of(api) == "another-one"
    reply = admin.patch("/machines/node1", json={"bmc": {"cipher_suite": 3}})
    assert reply.json["bmc"] == {**machine["bmc"], "cipher_suite": 3}
    assert password_of(api) == "another-one"


def test_a_certificate_is_of_one_bmc_and_is_forgotten_with_its_address(admin: Asker, machine: dict[str, Any]) -> None:
    del machine
    shown = "ab" * 32
    said = {"type": "redfish", "port": 443, "certificate": shown}
    assert admin.patch("/machines/node1", json={"bmc": said}).json["bmc"]["certificate"] == shown
    assert admin.patch("/machines/node1", json={"bmc": {"username": "ops"}}).json["bmc"]["certificate"] == shown
    assert admin.patch("/machines/node1", json={"bmc": {"address": "10.0.9.77"}}).json["bmc"]["certificate"] is None
    admin.patch("/machines/node1", json={"bmc": {"certificate": shown}})
    assert admin.patch("/machines/node1", json={"bmc": {"certificate": None}}).json["bmc"]["certificate"] is None
    assert admin.patch("/machines/node1", json={"bmc": {"certificate": "none"}}).status_code == 422


def test_another_type_of_bmc_has_another_port(admin: Asker, machine: dict[str, Any]) -> None:
    assert admin.patch("/machines/node1", json={"bmc": {"type": "redfish"}}).json["bmc"]["port"] == 443


def test_a_bmc_without_an_address_is_refused(admin: Asker) -> None:
    admin.post("/machines", json={"name": "node2", "mac": "52:54:00:00:00:02"})
    reply = admin.patch("/machines/node2", json={"bmc": {"username": "root"}})
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert reply.json["errors"][0]["field"] == "bmc.address"


def test_what_a_get_shows_can_be_put_back(api: Api, admin: Asker, machine: dict[str, Any]) -> None:
    shown = admin.get("/machines/node1").json
    reply = admin.put("/machines/node1", json=shown)
    assert reply.status_code == HTTPStatus.OK, reply.text
    assert reply.json == shown
    assert password_of(api) == BMC_PASSWORD


def test_a_put_empties_what_it_does_not_name(admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.put("/machines/node1", json={"name": "node1", "mac": MAC})
    body = reply.json
    assert (body["role"], body["release"], body["bmc"]) == (None, None, None)
    assert body["disks"] == {"system": None, "data": [], "keep": []}


def test_a_put_needs_the_whole_identity(admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.put("/machines/node1", json={"role": "compute"})
    assert {error["field"] for error in reply.json["errors"]} == {"name", "mac"}


def test_a_state_cannot_be_patched(admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.patch("/machines/node1", json={"state": "active"})
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert reply.json["errors"][0]["field"] == "state"


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_of_two_who_change_the_same_machine_the_second_is_told(
    admin: Asker, machine: dict[str, Any], method: str
) -> None:
    tag = admin.get("/machines/node1").headers["ETag"]
    body = {"name": "node1", "mac": MAC, "labels": {"by": "ada"}}
    assert admin.patch("/machines/node1", json=body, headers={"If-Match": tag}).status_code == HTTPStatus.OK
    late = admin.ask(
        method, "/api/v1/machines/node1", json={**body, "labels": {"by": "eve"}}, headers={"If-Match": tag}
    )
    assert late.status_code == HTTPStatus.PRECONDITION_FAILED
    assert late.mimetype == "application/problem+json"
    assert admin.get("/machines/node1").json["labels"] == {"by": "ada"}


def test_any_etag_or_a_list_of_them_may_be_named(admin: Asker, machine: dict[str, Any]) -> None:
    tag = admin.get("/machines/node1").headers["ETag"]
    for named in ("*", f'"999", {tag}'):
        reply = admin.patch("/machines/node1", json={"labels": {}}, headers={"If-Match": named})
        assert reply.status_code == HTTPStatus.OK


def test_an_if_match_that_is_no_etag_is_a_422(admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.patch("/machines/node1", json={}, headers={"If-Match": 'W/"1"'})
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_who_has_the_present_version_need_not_load_it_again(admin: Asker, machine: dict[str, Any]) -> None:
    tag = admin.get("/machines/node1").headers["ETag"]
    assert admin.get("/machines/node1", headers={"If-None-Match": tag}).status_code == HTTPStatus.NOT_MODIFIED
    admin.patch("/machines/node1", json={"labels": {"a": "b"}})
    assert admin.get("/machines/node1", headers={"If-None-Match": tag}).status_code == HTTPStatus.OK


def test_a_reading_of_its_power_is_no_change_of_the_machine(api: Api, admin: Asker, machine: dict[str, Any]) -> None:
    tag = admin.get("/machines/node1").headers["ETag"]
    with api.write() as session:
        session.execute(update(Machine).values(power="on"))
    assert admin.get("/machines/node1").json["power"] == "on"
    assert admin.patch("/machines/node1", json={}, headers={"If-Match": tag}).status_code == HTTPStatus.OK


def test_a_second_machine_of_the_same_mac_is_a_409_that_names_the_first(admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.post("/machines", json={"name": "node2", "mac": MAC.upper()})
    assert reply.status_code == HTTPStatus.CONFLICT
    assert "node1" in reply.json["detail"]


def test_a_deleted_machine_is_gone_and_a_locked_one_is_not_deleted(admin: Asker, machine: dict[str, Any]) -> None:
    admin.patch("/machines/node1", json={"locked": True})
    assert admin.delete("/machines/node1").status_code == HTTPStatus.CONFLICT
    admin.patch("/machines/node1", json={"locked": False})
    assert admin.delete("/machines/node1").status_code == HTTPStatus.NO_CONTENT
    assert admin.get("/machines/node1").status_code == HTTPStatus.NOT_FOUND


def test_the_list_is_narrowed_by_each_of_its_filters(admin: Asker, machine: dict[str, Any]) -> None:
    said = {"name": "node2", "mac": "52:54:00:00:00:02", "serial": "XYZ9", "labels": {"rack": "r7"}, "role": "storage"}
    admin.post("/machines", json=said)
    admin.post("/machines/node2/bring", json={"verb": "provide"})
    for query in ("state=available", "role=storage", "label=rack=r7", "search=xyz", "search=52-54-00-00-00-02"):
        assert [item["name"] for item in admin.get(f"/machines?{query}").json["items"]] == ["node2"], query
    assert [item["name"] for item in admin.get("/machines?release=debian-13").json["items"]] == ["node1"]
    assert len(admin.get("/machines?power=unknown").json["items"]) == 2


def test_a_verb_that_its_state_does_not_know_is_a_409_with_those_it_knows(
    admin: Asker, machine: dict[str, Any]
) -> None:
    reply = admin.post("/machines/node1/bring", json={"verb": "unreserve"})
    assert reply.status_code == HTTPStatus.CONFLICT
    assert "provide" in reply.json["hint"]


def test_the_timeline_tells_who_did_what_in_order(admin: Asker, machine: dict[str, Any]) -> None:
    admin.post("/machines/node1/bring", json={"verb": "provide"})
    events = admin.get("/machines/node1/events").json["items"]
    assert [event["kind"] for event in events] == ["enrolled", "provide"]
    assert [event["id"] for event in events] == sorted(event["id"] for event in events)
    later = admin.get(f"/machines/node1/events?after={events[0]['id']}").json["items"]
    assert later == events[1:]
