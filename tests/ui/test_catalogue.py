"""Networks, releases, roles and clusters as YAML: made, changed, and refused where somebody else was first."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.api.conftest import Api, Asker
from tests.ui.forms import Person, person


@pytest.fixture
def somebody(api: Api) -> Person:
    return person(api)


def save(somebody: Person, path: str, text: str, tag: str | None = None) -> Any:
    if tag is None:
        found = re.search(r'name="tag" value="([^"]*)"', somebody.get(f"/catalogue/{path}?new=1").text)
        assert found is not None
        tag = found[1]
    return somebody.post(f"/catalogue/{path}", do="save", tag=tag, text=text)


@pytest.mark.parametrize(
    ("path", "made", "changed", "found"),
    [
        ("networks/rack1", "cidr: 10.77.0.0/24\nvlan: 7\n", "vlan: null\n", {"cidr": "10.77.0.0/24", "vlan": None}),
        ("roles/cache", "description: A cache.\n", "vars: {site_size: 3}\n", {"vars": {"site_size": 3}}),
        ("clusters/lab", "description: A lab.\n", "description: null\n", {"description": ""}),
        ("releases/debian-13", None, "kernel_args: quiet\ninstall_url: null\n", {"kernel_args": "quiet"}),
    ],
)
def test_one_is_made_and_changed_and_of_two_the_second_is_told(
    admin: Asker, somebody: Person, path: str, made: str | None, changed: str, found: dict[str, Any]
) -> None:
    if made is not None:
        assert save(somebody, path, made).status_code == 303
    stale = admin.get(f"/{path}").headers["ETag"].strip('"')
    reply = save(somebody, path, changed)
    assert reply.status_code == 303, reply.text
    shown = admin.get(f"/{path}").json
    assert {name: shown[name] for name in found} == found
    late = save(somebody, path, "description: late\n" if path[0] != "n" and path[:2] != "re" else "{}", stale)
    assert (late.status_code, "changed meanwhile" in late.text) == (422, True)
    assert admin.get(f"/{path}").json == shown


def delete(somebody: Person, path: str, typed: str) -> Any:
    found = re.search(r'name="tag" value="([^"]*)"', somebody.get(f"/catalogue/{path}").text)
    assert found is not None
    return somebody.post(f"/catalogue/{path}/delete", name=typed, tag=found[1])


@pytest.mark.parametrize(
    ("path", "made"), [("networks/rack1", "cidr: 10.77.0.0/24\n"), ("roles/cache", "{}"), ("clusters/lab", "{}"),
                       ("releases/debian-13", None)]
)  # fmt: skip
def test_one_that_nothing_uses_is_deleted_by_typing_its_name(
    admin: Asker, somebody: Person, path: str, made: str | None
) -> None:
    if made is not None:
        assert save(somebody, path, made).status_code == 303
    name = path.partition("/")[2]
    other = delete(somebody, path, name.upper())
    assert (other.status_code, "nothing was deleted" in other.text) == (422, True)
    assert f'value="{name.upper()}"' in other.text
    assert admin.get(f"/{path}").status_code == 200
    done = delete(somebody, path, name)
    assert done.status_code == 303
    assert admin.get(f"/{path}").status_code == 404
    assert f"{name} is deleted." in somebody.get(done.headers["Location"]).text


def test_what_is_used_stays_and_the_page_says_by_whom(admin: Asker, somebody: Person, machine: dict[str, Any]) -> None:
    assert save(somebody, "networks/rack1", "cidr: 10.77.0.0/24\n").status_code == 303
    assert save(somebody, "clusters/lab", "{}").status_code == 303
    cards = [{"mac": machine["mac"], "network": "rack1"}]
    assert admin.patch("/machines/node1", json={"cluster": "lab", "interfaces": cards}).status_code == 200
    for path, name in (("networks/rack1", "rack1"), ("clusters/lab", "lab"), ("releases/debian-13", "debian-13")):
        refused = delete(somebody, path, name)
        assert (refused.status_code, 'role="alert"' in refused.text) == (409, True), refused.text
        assert name in refused.text.partition('id="delete"')[2].partition("</p>")[0]
        assert admin.get(f"/{path}").status_code == 200
    assert admin.delete("/releases/debian-13").status_code == 409


def test_what_was_changed_since_the_page_was_read_is_not_deleted(admin: Asker, somebody: Person) -> None:
    assert save(somebody, "networks/rack1", "cidr: 10.77.0.0/24\n").status_code == 303
    tag = admin.get("/networks/rack1").headers["ETag"].strip('"')
    assert save(somebody, "networks/rack1", "vlan: 7\n").status_code == 303
    late = somebody.post("/catalogue/networks/rack1/delete", name="rack1", tag=tag)
    assert (late.status_code, "changed meanwhile" in late.text) == (409, True)
    assert admin.get("/networks/rack1").status_code == 200


def test_what_came_with_the_appliance_has_no_button_for_it(somebody: Person) -> None:
    assert "/catalogue/roles/compute/delete" not in somebody.get("/catalogue/roles/compute").text
