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


GB = 10**9
SMALL = {"path": "disk/by-path/pci-1", "serial": "S3Z9NB0K1", "wwn": "0x5002538e00000001", "model": "SAMSUNG MZ7LH480"}
LARGE = {
    "path": "disk/by-path/pci-2",
    "serial": "Z1D0AAAA",
    "model": "ST4000NM0035",
    "size": 4000 * GB,
    "rotational": True,
}
SPARE = {
    "path": "disk/by-path/pci-3",
    "serial": "Z1D0BBBB",
    "model": "ST4000NM0035",
    "size": 4000 * GB,
    "rotational": True,
}
KNOWN = {
    "system": {**SMALL, "size": 480 * GB, "rotational": False},
    "data": [{"path": "disk/by-path/pci-9", "serial": "MINE", "model": "X1", "size": 960 * GB, "rotational": False}],
    "keep": [],
    "free": [LARGE, SPARE],
}


def test_what_is_known_of_disks_goes_out_as_it_came_in(admin: Asker) -> None:
    said = {**KNOWN, "system": {**SMALL, "size": "480G", "rotational": False}, "keep": ["disk/by-id/keep-1"]}
    made = admin.post("/machines", json={**NODE1, "disks": said})
    assert made.status_code == 201, made.json
    assert made.json["disks"] == {**KNOWN, "keep": ["disk/by-id/keep-1"]}
    shown = admin.get("/machines/node1")
    put = admin.put("/machines/node1", json=shown.json, headers={"If-Match": shown.headers["ETag"]})
    assert (put.status_code, put.headers["ETag"], put.json) == (200, shown.headers["ETag"], shown.json)
    again = admin.post("/machines/import", json=[{**NODE1, "disks": shown.json["disks"]}])
    assert (again.status_code, again.json["unchanged"]) == (200, 1), again.json


def test_a_path_alone_leaves_what_is_known_and_an_object_says_it_all(admin: Asker) -> None:
    assert admin.post("/machines", json={**NODE1, "disks": KNOWN}).status_code == 201
    path = SMALL["path"]
    kept = admin.patch("/machines/node1", json={"disks": {"system": path}})
    assert kept.json["disks"] == {"system": KNOWN["system"], "data": [], "keep": []}
    content = f"name,mac,disks.keep\nnode1,{MAC},{path}\n"
    answer = admin.post("/machines/import", data=content, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 200, answer.json
    assert admin.get("/machines/node1").json["disks"] == {"system": None, "data": [], "keep": [KNOWN["system"]]}
    less = admin.patch("/machines/node1", json={"disks": {"system": {"path": path}}})
    assert less.json["disks"] == {"system": path, "data": [], "keep": []}


MISFITS: list[tuple[dict[str, Any], str]] = [
    ({"system": {"rotational": True}}, "system.0"),  # two
    ({"system": {"model": "INTEL*"}}, "system.0"),  # none
    ({"system": {"size": "largest"}}, "system.0"),  # two of one size
    ({"volumes": {"/": "500G", "swap": "rest"}}, "volumes"),  # too small
    ({"system": {"wwn": "5002538e00000001"}, "raw": [{"serial": "MINE", "format": "xfs"}]}, "raw.0"),  # data
]


@pytest.mark.parametrize("kind", ["machine", "role", "cluster"])
def test_a_layout_that_does_not_fit_the_known_disks_is_refused_whoever_says_it(admin: Asker, kind: str) -> None:
    assert admin.post("/roles", json={"name": "mine"}).status_code == 201
    assert admin.post("/clusters", json={"name": "east"}).status_code == 201
    machine = {**NODE1, "disks": KNOWN, "role": "mine", "cluster": "east"}
    assert admin.post("/machines", json=machine).status_code == 201
    place = {"machine": "/machines/node1", "role": "/roles/mine", "cluster": "/clusters/east"}[kind]
    before = admin.get(place).json
    for layout, part in MISFITS:
        found = errors(admin.patch(place, json={"vars": {"layout": layout}}))
        assert f"vars.layout.{part}" in found
        assert all(found.values())
        if kind == "role":
            assert f"storage.layout.{part}" in errors(admin.patch(place, json={"storage": {"layout": layout}}))
        if kind == "cluster":
            assert f"vars.layout.{part}" in errors(admin.put(place, json={"vars": {"layout": layout}}))
    assert admin.get(place).json == before
    paths = {"system": {"path": SMALL["path"]}, "data": ["disk/by-path/pci-9"], "free": [SPARE["path"]]}
    assert admin.patch("/machines/node1", json={"disks": paths}).status_code == 200
    for layout, _ in MISFITS[:4]:  # of a path alone too little is known
        assert admin.patch(place, json={"vars": {"layout": layout}}).status_code == 200


def test_a_layout_that_fits_is_saved_for_all_three(admin: Asker) -> None:
    layout = {
        "system": {"size": "smallest"},
        "volumes": {"/": "400G", "swap": "rest"},
        "groups": {"cinder-volumes": {"disks": [{"size": ">=3.5T", "rotational": True, "count": 2}]}},
    }
    assert admin.post("/roles", json={"name": "mine"}).status_code == 201
    machine = {**NODE1, "disks": KNOWN, "role": "mine", "vars": {"layout": layout}}
    assert admin.post("/machines", json=machine).status_code == 201
    assert admin.patch("/roles/mine", json={"vars": {"layout": {"system": {"model": "INTEL*"}}}}).status_code == 200
    assert "vars.layout.system.0" in errors(admin.patch("/machines/node1", json={"vars": {}}))
    assert admin.patch("/roles/mine", json={"vars": {"layout": layout}}).status_code == 200
    assert admin.patch("/machines/node1", json={"vars": {}}).status_code == 200
