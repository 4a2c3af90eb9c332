"""Networks, roles, releases, users, tokens, audit: made, changed with an ETag, replaced, removed, and paged."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import Any

import pytest

from pxeapp.db import now
from pxeapp.machines.models import Sighting
from pxeapp.software import releases
from pxeapp.software.models import Release
from tests.api.conftest import MAC, PASSWORD, Api, Asker, user

NETWORK = {"name": "rack1", "cidr": "10.77.0.0/24", "gateway": "10.77.0.1", "dns": ["10.77.0.1"], "vlan": 77}
ROLE = {"name": "cache", "description": "A cache.", "packages": {"debian": ["nginx-light"]}}


def test_a_network_is_made_changed_replaced_and_removed(admin: Asker) -> None:
    assert admin.post("/networks", json=NETWORK).status_code == HTTPStatus.CREATED
    assert admin.patch("/networks/rack1", json={"domain": "rack1.example"}).json["vlan"] == 77
    body = admin.put("/networks/rack1", json={"cidr": "10.77.0.0/24"}).json
    assert (body["gateway"], body["dns"], body["domain"], body["vlan"]) == (None, [], "", None)
    assert admin.delete("/networks/rack1").status_code == HTTPStatus.NO_CONTENT
    assert admin.get("/networks/rack1").status_code == HTTPStatus.NOT_FOUND


def test_a_network_of_nonsense_lists_every_wrong_field(admin: Asker) -> None:
    said = {**NETWORK, "gateway": "10.88.0.1", "dns": ["x"], "vlan": 9999, "dhcp_start": "10.77.0.50"}
    reply = admin.post("/networks", json=said)
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert {error["field"] for error in reply.json["errors"]} == {"gateway", "dns", "vlan", "dhcp_end"}


def test_a_role_is_made_changed_and_replaced(admin: Asker) -> None:
    assert admin.post("/roles", json=ROLE).json["builtin"] is False
    assert admin.post("/roles", json=ROLE).status_code == HTTPStatus.CONFLICT
    assert admin.patch("/roles/cache", json={"vars": {"site_size": 3}}).json["packages"] == ROLE["packages"]
    shown = admin.get("/roles/cache").json
    assert admin.put("/roles/cache", json=shown).json == shown
    assert admin.put("/roles/cache", json={"description": "Empty."}).json["packages"] == {}


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/networks/rack1", {"vlan": 5}),
        ("/roles/cache", {"description": "x"}),
        ("/releases/debian-13", {"kernel_args": "x"}),
    ],
)
def test_of_two_who_change_the_same_thing_the_second_is_told(admin: Asker, path: str, change: dict[str, Any]) -> None:
    admin.post("/networks", json=NETWORK)
    admin.post("/roles", json=ROLE)
    tag = admin.get(path).headers["ETag"]
    first = admin.patch(path, json=change, headers={"If-Match": tag})
    assert first.status_code == HTTPStatus.OK, first.text
    assert first.headers["ETag"] == admin.get(path).headers["ETag"] != tag
    late = admin.patch(path, json={}, headers={"If-Match": tag})
    assert late.status_code == HTTPStatus.PRECONDITION_FAILED


def test_a_release_shows_its_checksums_and_is_verified_again(api: Api, admin: Asker) -> None:
    shown = admin.get("/releases/debian-13").json
    assert shown["ready"] is True
    assert len(shown["kernel_sha256"]) == 64
    kernel = api.context.settings.media_dir / "debian-13" / shown["kernel"]
    kernel.write_bytes(b"altered")
    found = admin.post("/releases/debian-13/verify").json
    assert found["ready"] is False
    assert found["problem"]
    refused = admin.post("/machines", json={"name": "n", "mac": MAC, "role": "base", "release": "debian-13"})
    assert refused.status_code == HTTPStatus.CREATED
    assert admin.post("/machines/n/deploy").status_code == HTTPStatus.CONFLICT


def test_a_release_without_checksums_is_refused(admin: Asker) -> None:
    said = {"name": "x", "family": "debian", "version": "13", "installer": "preseed", "kernel_url": "http://h/k"}
    reply = admin.post("/releases", json=said)
    assert {error["field"] for error in reply.json["errors"]} == {"kernel_sha256", "initrd_url", "initrd_sha256"}


def test_a_removed_release_takes_its_files_with_it(api: Api, admin: Asker) -> None:
    assert admin.delete("/releases/debian-13").status_code == HTTPStatus.NO_CONTENT
    assert not (api.context.settings.media_dir / "debian-13").exists()


def test_a_user_is_added_demoted_and_removed(admin: Asker) -> None:
    made = admin.post("/users", json={"name": "ada", "role": "operator", "password": PASSWORD})
    assert made.status_code == HTTPStatus.CREATED
    assert PASSWORD not in made.text
    assert admin.patch("/users/ada", json={"role": "viewer"}).json["role"] == "viewer"
    assert admin.delete("/users/ada").status_code == HTTPStatus.NO_CONTENT


def test_the_last_administrator_stays(admin: Asker) -> None:
    assert admin.patch("/users/admin", json={"role": "viewer"}).status_code == HTTPStatus.CONFLICT
    assert admin.patch("/users/admin", json={"disabled": True}).status_code == HTTPStatus.CONFLICT
    assert admin.delete("/users/admin").status_code == HTTPStatus.CONFLICT


def test_a_token_is_shown_once_works_and_ends_when_it_is_revoked(api: Api, admin: Asker) -> None:
    until = (now() + dt.timedelta(days=1)).isoformat()
    made = admin.post("/tokens", json={"name": "ci", "role": "viewer", "expires_at": until})
    assert made.status_code == HTTPStatus.CREATED
    secret, number = made.json["token"], made.json["id"]
    script = api.with_token(secret)
    assert script.get("/machines").status_code == HTTPStatus.OK
    assert secret not in admin.get("/tokens").text
    assert admin.delete(f"/tokens/{number}").status_code == HTTPStatus.NO_CONTENT
    assert script.get("/machines").status_code == HTTPStatus.UNAUTHORIZED


def test_every_change_is_in_the_audit_log_with_who_made_it_and_no_secret(admin: Asker, machine: dict[str, Any]) -> None:
    admin.patch("/machines/node1", json={"bmc": {"password": "never-to-be-read"}})
    admin.post("/users", json={"name": "ada", "password": "never-to-be-read"})
    reply = admin.get("/audit?limit=1000")
    mine = [row["action"] for row in reply.json["items"] if row["actor"] == "token:the-admin"]
    assert mine == ["machine.create", "machine.change", "user.create"]
    assert "never-to-be-read" not in reply.text


LISTS = (
    "/machines", "/networks", "/roles", "/releases", "/users", "/tokens", "/audit", "/deployments", "/sightings",
    "/machines/m00/events",
)  # fmt: skip


def test_a_list_longer_than_a_page_comes_whole_page_by_page(api: Api, admin: Asker) -> None:
    _fill(api, admin)
    for path in LISTS:
        whole = admin.get(f"{path}?limit=1000").json
        assert whole["next"] is None
        assert len(whole["items"]) > 3, path
        pages, after = [], ""
        while after is not None:
            page = admin.get(f"{path}?limit=3&after={after}").json
            assert len(page["items"]) == 3 or page["next"] is None, path
            pages += page["items"]
            after = page["next"]
        assert pages == whole["items"], path


def test_a_last_page_that_is_just_full_says_that_it_is_the_last(admin: Asker) -> None:
    every = len(admin.get("/roles").json["items"])
    found = admin.get(f"/roles?limit={every}").json
    assert (len(found["items"]), found["next"]) == (every, None)


def _fill(api: Api, admin: Asker) -> None:
    rows = [{"name": f"m{number:02}", "mac": f"52:54:00:00:02:{number:02x}", "role": "base"} for number in range(5)]
    assert admin.post("/machines/import", json=[{**row, "release": "debian-13"} for row in rows]).status_code == 200
    for number in range(5):
        admin.post("/networks", json={"name": f"n{number}", "cidr": f"10.{number}.0.0/24"})
        admin.post("/roles", json={"name": f"r{number}"})
        admin.patch(f"/machines/m{number:02}", json={"labels": {"n": str(number)}})
        assert admin.post(f"/machines/m{number:02}/deploy").status_code == HTTPStatus.ACCEPTED
    admin.post("/machines/m00/abort")
    admin.post("/machines/m00/deploy")
    admin.post("/machines/m00/abort")
    with api.write() as session:
        release = releases.get(session, "debian-13")
        for number in range(5):
            user(session, f"u{number}", "viewer")
            copy = {column.name: getattr(release, column.name) for column in release.__table__.columns}
            session.add(Release(**{**copy, "id": None, "name": f"x{number}"}))
            mac = f"52:54:00:00:03:{number:02x}"
            session.add(Sighting(mac=mac, first_seen=now(), last_seen=now(), loader_requests=0))
    for number in range(3):
        admin.post("/tokens", json={"name": f"t{number}"})
