"""Everything that is narrowed as GET /machines is narrowed by the same fields."""

from __future__ import annotations

import dataclasses
from http import HTTPStatus
from typing import Any

import pytest

from pxeapp.machines.narrowing import Narrowed
from pxeapp.machines.selectors import Filter
from tests.api.conftest import MAC, Asker

FIELDS = {field.name for field in dataclasses.fields(Filter)}
TOO_LONG = {"rack": "x" * 256, "label": "x" * 401, "q": "x" * 501}


@pytest.fixture
def two(admin: Asker, machine: dict[str, Any]) -> None:
    """node1, and node2 in a rack and a project of its own."""
    said = {"name": "node2", "mac": MAC[:-1] + "2", "project": "web", "location": {"rack": "r2"}}
    said["interfaces"] = [{"mac": said["mac"], "name": "eno1", "address": "10.0.0.2"}]
    assert admin.post("/machines", json=said).status_code == HTTPStatus.CREATED


def test_it_has_every_field_of_a_filter_and_no_other() -> None:
    assert set(Narrowed.model_fields) == FIELDS
    assert Narrowed().filter() == Filter()
    said = {name: f"said of {name}" for name in FIELDS}
    assert Narrowed(**said).filter() == Filter(**said)


@pytest.mark.parametrize("narrowed", [{"rack": "r2"}, {"project": "web"}, {"q": "rack=r2"}, {"q": "-name=node1"}])
def test_lists_jobs_inventories_and_comparisons_find_the_same_machines(
    admin: Asker, two: None, narrowed: dict[str, str]
) -> None:
    assert [each["name"] for each in admin.get("/machines", query_string=narrowed).json["items"]] == ["node2"]
    inventory = admin.get("/inventory/ansible", query_string=narrowed)
    assert list(inventory.json["_meta"]["hostvars"]) == ["node2"]
    groups = admin.get("/prometheus/targets", query_string=narrowed).json
    assert [each["labels"]["__meta_pxeapp_name"] for each in groups] == ["node2"]
    order = {"action": "lock", "on": True, "filter": narrowed, "dry_run": True}
    assert admin.post("/machines/bulk", json=order).json["machines"] == ["node2"]
    assert admin.post("/diff", json={"to_release": "debian-13", "select": narrowed}).json["looked_at"] == 1


@pytest.mark.parametrize("name", TOO_LONG)
def test_a_word_that_nothing_can_have_is_refused(admin: Asker, name: str) -> None:
    said = {name: TOO_LONG[name]}
    for path in ("/machines", "/inventory/ansible", "/prometheus/targets"):
        assert admin.get(path, query_string=said).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    order = {"action": "lock", "on": True, "filter": said, "dry_run": True}
    assert admin.post("/machines/bulk", json=order).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert admin.post("/diff", json={"select": said}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
