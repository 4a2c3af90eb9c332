"""Storage layouts as they are saved: refused by field where they cannot be, and then nothing is saved."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import MAC, Asker

NODE1 = {"name": "node1", "mac": MAC}
DISKS = {"system": "disk/by-path/pci-1", "data": ["disk/by-id/data-1"], "keep": ["disk/by-id/keep-1"]}


def errors(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422, answer.json
    return {each["field"]: each["fix"] for each in answer.json["errors"]}


@pytest.mark.parametrize(
    ("layout", "field"),
    [
        ("zfs", "vars.layout"),
        ({"raid": 1}, "vars.layout"),
        ({"volumes": {"/": "rest", "/var": "rest"}}, "vars.layout"),
        ({"system": "disk/by-id/data-1"}, "vars.layout.system.0"),
        ({"raw": ["disk/by-path/pci-1"]}, "vars.layout.raw.0"),
        ({"groups": {"cinder-volumes": {"disks": ["disk/by-id/keep-1"]}}}, "vars.layout.groups.cinder-volumes.disks.0"),
    ],
)
def test_a_machine_is_not_saved_with_a_layout_that_cannot_be(admin: Asker, layout: Any, field: str) -> None:
    made = admin.post("/machines", json={**NODE1, "disks": DISKS})
    assert made.status_code == 201, made.json
    refused = admin.patch("/machines/node1", json={"vars": {"layout": layout}, "serial": "NEW"})
    assert all(errors(refused).values())
    assert field in errors(refused)
    assert admin.get("/machines/node1").json["serial"] != "NEW"
    rows = [{"name": "node2", "mac": "52:54:00:00:00:02", "disks": DISKS, "vars": {"layout": layout}}]
    assert field in errors(admin.post("/machines/import", json=rows))
    assert admin.get("/machines/node2").status_code == 404


def test_disks_that_do_not_go_with_the_roles_layout_are_refused_too(admin: Asker) -> None:
    spare = {"layout": {"groups": {"cinder-volumes": {"disks": ["disk/by-id/fast"]}}}}
    assert admin.post("/roles", json={"name": "block2", "storage": spare}).status_code == 201
    assert admin.post("/machines", json={**NODE1, "role": "block2", "disks": DISKS}).status_code == 201
    refused = admin.patch("/machines/node1", json={"disks": {**DISKS, "keep": ["disk/by-id/fast"]}})
    assert list(errors(refused)) == ["vars.layout.groups.cinder-volumes.disks.0"]


def test_a_role_is_not_saved_with_a_layout_that_cannot_be(admin: Asker) -> None:
    bad = {"layout": {"raid": 10, "system": ["sda", "sdb"]}}
    assert "storage.layout.system" in errors(admin.post("/roles", json={"name": "x", "storage": bad}))
    assert "storage.layout.system" in errors(admin.patch("/roles/base", json={"storage": bad}))
    assert errors(admin.post("/roles", json={"name": "x", "vars": bad}))
    assert admin.get("/roles/x").status_code == 404
