"""Bulk import over HTTP: JSON, YAML and CSV, all or nothing, every bad row listed."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from tests.api.conftest import BMC_PASSWORD, Asker

ROWS = [
    {
        "name": "node1",
        "mac": "52-54-00-00-00-01",
        "role": "compute",
        "bmc": {"address": "10.0.9.1", "password": BMC_PASSWORD},
    },
    {"name": "node2", "mac": "525400000002", "role": "storage"},
]
YAML = """
- name: node1
  mac: 52:54:00:00:00:01
  role: compute
  bmc: {address: 10.0.9.1, password: correct-horse-battery}
- name: node2
  mac: 52:54:00:00:00:02
  role: storage
"""
CSV = """name,mac,role,bmc.address,bmc.password
node1,52:54:00:00:00:01,compute,10.0.9.1,correct-horse-battery
node2,5254.0000.0002,storage,,
"""
FORMS = [
    ("application/json", json.dumps(ROWS)),
    ("application/json; charset=utf-8", json.dumps({"machines": ROWS})),
    ("application/yaml", YAML),
    ("text/yaml", YAML),
    ("text/csv", CSV),
]


@pytest.mark.parametrize(("content_type", "text"), FORMS)
def test_each_form_brings_the_same_machines_and_again_changes_nothing(
    admin: Asker, content_type: str, text: str
) -> None:
    reply = admin.post("/machines/import", data=text, content_type=content_type)
    assert reply.status_code == HTTPStatus.OK, reply.text
    assert (reply.json["created"], reply.json["updated"], reply.json["unchanged"]) == (2, 0, 0)
    found = admin.get("/machines").json["items"]
    assert [(item["name"], item["mac"], item["role"]) for item in found] == [
        ("node1", "52:54:00:00:00:01", "compute"),
        ("node2", "52:54:00:00:00:02", "storage"),
    ]
    assert found[0]["bmc"]["password_set"] is True
    again = admin.post("/machines/import", data=text, content_type=content_type)
    assert (again.json["created"], again.json["updated"], again.json["unchanged"]) == (0, 0, 2)


def test_a_dry_run_checks_and_changes_nothing(admin: Asker) -> None:
    reply = admin.post("/machines/import?dry_run=1", data=CSV, content_type="text/csv")
    assert (reply.json["dry_run"], reply.json["created"]) == (True, 2)
    assert admin.get("/machines").json["items"] == []


def test_one_bad_row_refuses_the_whole_file_and_every_bad_row_is_listed(admin: Asker) -> None:
    text = "name,mac,role\ngood,52:54:00:00:00:01,compute\nBAD NAME,52:54:00:00:00:02,\nworse,zz,nonsense\n"
    reply = admin.post("/machines/import", data=text, content_type="text/csv")
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert reply.mimetype == "application/problem+json"
    assert {(error["line"], error["field"]) for error in reply.json["errors"]} >= {(3, "name"), (4, "mac")}
    assert all(error["problem"] for error in reply.json["errors"])
    assert admin.get("/machines").json["items"] == []


def test_the_form_may_be_named_in_the_query(admin: Asker) -> None:
    reply = admin.post("/machines/import?format=csv", data=CSV, content_type="application/octet-stream")
    assert reply.json["created"] == 2


@pytest.mark.parametrize("content_type", ["application/octet-stream", "multipart/form-data", ""])
def test_a_form_that_nobody_named_is_a_415_with_those_there_are(admin: Asker, content_type: str) -> None:
    reply = admin.post("/machines/import", data=CSV, content_type=content_type)
    assert reply.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert "text/csv" in reply.json["detail"]


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("application/json", "{"), ("application/json", ""), ("application/json", "[" * 10_000),
        ("application/yaml", "a: [1"), ("application/yaml", "&a [*a]"), ("text/csv", 'name,mac\n"x'), ("text/csv", "x"),
    ],
)  # fmt: skip
def test_a_broken_file_is_a_422_that_names_the_line(admin: Asker, content_type: str, text: str) -> None:
    reply = admin.post("/machines/import", data=text, content_type=content_type)
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert reply.json["errors"][0]["line"] >= 1
