"""Whoever is limited to projects sees and works with their machines only, by whichever route they try."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest

from pxeapp.accounts import scope, service
from pxeapp.accounts.permissions import OPERATOR
from pxeapp.bmc import power
from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.provisioning.models import NodeLog
from tests.api.conftest import Api, Asker

MINE, THEIRS = "mine1", "theirs1"


@pytest.fixture
def web(api: Api, admin: Asker) -> Asker:
    """An operator of the project web; there is a machine of it, one of db, and one of nobody, each with a history."""
    for place, (name, project) in enumerate(((MINE, "web"), (THEIRS, "db"), ("nobodys1", None)), 1):
        body = {
            "name": name, "mac": f"52:54:00:00:00:0{place}", "project": project, "role": "compute",
            "release": "debian-13", "disks": {"system": "sda"},
            "bmc": {"type": "ipmi", "address": f"10.0.9.{place}", "username": "root", "password": "x"},
        }  # fmt: skip
        assert admin.post("/machines", json=body).status_code == HTTPStatus.CREATED
        for verb in ("manage", "provide"):
            assert admin.post(f"/machines/{name}/bring", json={"verb": verb}).status_code == HTTPStatus.OK
        assert admin.post(f"/machines/{name}/deploy", json={}).status_code == HTTPStatus.ACCEPTED
    with api.write() as session:
        for name in (MINE, THEIRS):
            machine = selectors.get(session, name)
            power.request(session, machine_id=machine.id, goal="on", requested_by="test", now=now())
        for deployment in (1, 2, 3):
            session.add(NodeLog(deployment_id=deployment, name="syslog", at=now(), content=b"words"))
        _, secret = service.create_token(session, name="t", role=OPERATOR, projects=["web"], actor="test", now=now())
    return api.with_token(secret)


def names(reply: Any, field: str = "name") -> list[str]:
    assert reply.status_code == HTTPStatus.OK, reply.text
    return [each[field] for each in reply.json["items"]]


def test_lists_hold_only_their_machines(web: Asker) -> None:
    assert names(web.get("/machines")) == [MINE]
    assert names(web.get("/machines?search=1")) == [MINE]
    assert names(web.get("/deployments"), "machine") == [MINE]
    assert web.get("/sightings").json["items"] == []


def test_anothers_machine_is_one_that_does_not_exist(web: Asker, admin: Asker) -> None:
    by_number = admin.get(f"/machines/{THEIRS}").json["id"]
    for key in (THEIRS, "52:54:00:00:00:02", str(by_number), "nobodys1"):
        unknown = web.get("/machines/nothing").json["detail"]
        reply = web.get(f"/machines/{key}")
        assert (reply.status_code, reply.json["detail"]) == (HTTPStatus.NOT_FOUND, unknown.replace("nothing", key))
        for path in ("events", "explain", "rendered", "power", "variables", "given"):
            assert web.get(f"/machines/{key}/{path}").status_code == HTTPStatus.NOT_FOUND, path
        for path, body in (
            ("deploy", {}), ("abort", {}), ("release", {}), ("power", {"action": "on"}), ("bring", {"verb": "manage"}),
        ):  # fmt: skip
            assert web.post(f"/machines/{key}/{path}", json=body).status_code == HTTPStatus.NOT_FOUND, path
        assert web.patch(f"/machines/{key}", json={"locked": True}).status_code == HTTPStatus.NOT_FOUND
    assert not admin.get(f"/machines/{THEIRS}").json["locked"]


def test_anothers_deployment_and_its_logs_do_not_exist(web: Asker) -> None:
    assert web.get("/deployments/1").status_code == HTTPStatus.OK
    assert web.get("/deployments/1/logs/syslog").status_code == HTTPStatus.OK
    for path in ("", "/logs", "/logs/syslog"):
        assert web.get(f"/deployments/2{path}").status_code == HTTPStatus.NOT_FOUND, path


def test_nothing_moves_into_or_out_of_a_project(web: Asker, admin: Asker) -> None:
    for project in ("db", None):
        reply = web.patch(f"/machines/{MINE}", json={"project": project})
        assert admin.get(f"/machines/{MINE}").json["project"] == "web", reply.text
    assert web.patch(f"/machines/{MINE}", json={"project": "db"}).json["errors"][0]["field"] == "project"
    made = web.post("/machines", json={"name": "new1", "mac": "52:54:00:00:00:11"})
    assert (made.status_code, made.json["project"]) == (HTTPStatus.CREATED, "web")
    body = {"name": "new2", "mac": "52:54:00:00:00:12", "project": "db"}
    assert web.post("/machines", json=body).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert admin.get("/machines/new2").status_code == HTTPStatus.NOT_FOUND


def test_an_import_cannot_take_a_foreign_machine(web: Asker, admin: Asker) -> None:
    rows = [{"name": "renamed", "mac": "52:54:00:00:00:02"}]
    reply = web.post("/machines/import", json=rows)
    assert reply.status_code in (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
    assert THEIRS not in reply.text
    assert admin.get("/machines/52:54:00:00:00:02").json["name"] == THEIRS
    rows = [{"name": "in1", "mac": "52:54:00:00:00:21"}, {"name": "in2", "mac": "52:54:00:00:00:22", "project": "db"}]
    assert web.post("/machines/import", json=rows).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert web.post("/machines/import", json=rows[:1]).json["created"] == 1
    assert admin.get("/machines/in1").json["project"] == "web"


def test_a_taken_name_says_nothing_of_whose_it_is(web: Asker) -> None:
    reply = web.post("/machines", json={"name": THEIRS, "mac": "52:54:00:00:00:31"})
    assert reply.status_code == HTTPStatus.CONFLICT
    assert "db" not in reply.json["detail"].split()


def test_a_comparison_reaches_their_machines_only(web: Asker) -> None:
    reply = web.post("/diff", json={"vars": {"timezone": "Asia/Tokyo"}})
    assert reply.status_code in (HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY)
    assert THEIRS not in reply.text
    assert "nobodys1" not in reply.text


def test_the_limit_is_gone_with_the_request_of_somebody_else(web: Asker, admin: Asker) -> None:
    assert names(web.get("/machines")) == [MINE]
    assert len(names(admin.get("/machines"))) == 3
    assert scope.present() is None


def test_the_pages_are_limited_as_well(api: Api, web: Asker) -> None:
    for path in ("/", "/machines", "/racks", f"/machines/{MINE}"):
        reply = web.ask("GET", path, headers={"Accept": "text/html"})
        assert THEIRS not in reply.text, path
        assert "nobodys1" not in reply.text, path
    assert web.ask("GET", f"/machines/{THEIRS}").status_code == HTTPStatus.NOT_FOUND


def test_who_has_no_project_sees_nothing(api: Api, web: Asker) -> None:
    with api.write() as session:
        _, secret = service.create_token(session, name="n", role=OPERATOR, projects=[], actor="test", now=now())
    assert names(api.with_token(secret).get("/machines")) == []


def test_a_token_reaches_no_further_than_its_user(api: Api, web: Asker) -> None:
    with api.write() as session:
        owner = service.create_user(
            session, name="eve", role=OPERATOR, password="correct horse battery", projects=["web"], actor="t", now=now()
        )
        _, wide = service.create_token(session, name="w", role=OPERATOR, user=owner, actor="t", now=now())
    asker = api.with_token(wide)
    assert names(asker.get("/machines")) == [MINE]
    with api.write() as session:
        service.change_user(session, "eve", projects=["db"], actor="t", now=now())
    assert names(asker.get("/machines")) == [THEIRS], "it holds from the very next request on"
