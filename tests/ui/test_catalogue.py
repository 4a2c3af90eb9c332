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
