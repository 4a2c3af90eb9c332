"""What the audit keeps of roles, networks, clusters, releases and templates: before and after, and never a secret."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Asker

NETWORK = {"name": "rack1", "cidr": "10.77.0.0/24", "gateway": "10.77.0.1", "dns": ["10.77.0.1"], "vlan": 77}
SECRETS = ("hunter-in-a-cluster", "hunter-in-a-role", "$6$hunter")


def rows(admin: Asker, action: str) -> list[tuple[Any, Any]]:
    return [(row["before"], row["after"]) for row in admin.get(f"/audit?action={action}").json["items"]]


def test_a_network_is_there_as_it_was_and_as_it_became(admin: Asker) -> None:
    made = admin.post("/networks", json=NETWORK).json
    admin.patch("/networks/rack1", json={"vlan": 78})
    changed = admin.get("/networks/rack1").json
    admin.delete("/networks/rack1")
    assert rows(admin, "network.create") == [(None, made)]
    assert rows(admin, "network.change") == [({"vlan": 77}, {"vlan": 78})]
    assert rows(admin, "network.delete") == [(changed, None)]


def test_a_release_says_what_of_it_changed_and_what_was_removed(admin: Asker) -> None:
    before = admin.get("/releases/debian-13").json
    admin.patch("/releases/debian-13", json={"kernel_args": "quiet"})
    after = admin.get("/releases/debian-13").json
    assert rows(admin, "release.update") == [({"kernel_args": before["kernel_args"]}, {"kernel_args": "quiet"})]
    assert admin.delete("/releases/debian-13").status_code == 204
    assert rows(admin, "release.remove") == [(after, None)]


def test_a_template_says_which_version_came_after_which(admin: Asker) -> None:
    path = "boot/own.ipxe"
    for text in ("#!ipxe\n", "#!ipxe\nshell\n"):
        assert admin.put(f"/templates/{path}", json={"text": text}).status_code in (200, 201)
    assert admin.delete(f"/templates/{path}").status_code in (200, 204)
    (nothing, first), (was, second) = rows(admin, "template.save")
    assert (nothing, first["number"], first["lines"]) == (None, 1, 1)
    assert (was, second["number"], second["lines"]) == (first, 2, 2)
    assert rows(admin, "template.delete") == [(second, None)]


def test_a_cluster_and_a_role_say_what_changed_and_no_secret(admin: Asker) -> None:
    assert admin.post("/roles", json={"name": "cache", "vars": {"site_size": 3}}).status_code == 201
    assert admin.patch("/roles/cache", json={"vars": {"root_password_hash": "$6$hunter$x"}}).status_code == 200
    body = {"name": "lab", "vars": {"timezone": "Asia/Tokyo"}, "secrets": {"site_token": SECRETS[0]}}
    made = admin.post("/clusters", json=body)
    assert made.status_code == 201, made.text
    assert admin.patch("/clusters/lab", json={"secrets": {"site_token": SECRETS[0] + "2"}}).status_code == 200
    assert admin.delete("/clusters/lab").status_code == 204
    ((nothing, role),) = rows(admin, "role.create")
    assert (nothing, role["vars"]) == (None, {"site_size": 3})
    assert rows(admin, "role.change") == [({"vars": {"site_size": 3}}, {"vars": {"root_password_hash": "***"}})]
    ((nothing, cluster),) = rows(admin, "cluster.create")
    assert (nothing, cluster["vars"]) == (None, {"timezone": "Asia/Tokyo"})
    assert (cluster["secrets"]["site_token"]["set"], cluster["secrets"]["site_token"]["generated"]) == (True, False)
    ((gone, nothing),) = rows(admin, "cluster.delete")
    assert (gone["name"], nothing) == ("lab", None)
    kept_out(admin)


@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_declared_to_be_secret_only_now_is_not_repeated(admin: Asker, *, at_once: bool) -> None:
    declared = {"variables": {"cache_key": {"help": "A key."}}, "vars": {"cache_key": "before"}}
    assert admin.post("/roles", json={"name": "cache", **declared}).status_code == 201
    secret: dict[str, Any] = {"variables": {"cache_key": {"help": "A key.", "secret": True, "scope": "role"}}}
    if at_once:
        secret["vars"] = {"cache_key": SECRETS[1]}
    reply = admin.patch("/roles/cache", json=secret)
    assert reply.status_code == 200, reply.text
    ((was, became),) = rows(admin, "role.change")
    assert "before" not in str((was, became))
    assert became["variables"]["cache_key"]["secret"] is True
    kept_out(admin)


def kept_out(admin: Asker) -> None:
    whole = admin.get("/audit").text
    assert [each for each in SECRETS if each in whole] == []
