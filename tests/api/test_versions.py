"""Versions over HTTP: whoever changes something leaves one, and going back is a change like every other."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from sqlalchemy import text

from pxeapp.answers import clusters, roles
from pxeapp.machines import sealed
from tests.api.conftest import MAC, Api, Asker
from tests.api.test_members import CARD, DISKS, refused

TOKEN = "correct-horse-battery-staple"
OTHER = "another-horse-altogether"
NEW = "a-third-horse-of-its-own"
DECLARED = {"own_token": {"secret": True, "help": "A token."}}


def told(admin: Asker, path: str) -> list[tuple[int, str, bool]]:
    reply = admin.get(f"{path}/versions")
    assert reply.status_code == HTTPStatus.OK, reply.text
    assert reply.json["next"] is None
    return [(each["number"], each["action"], each["deleted"]) for each in reply.json["items"]]


def restored(admin: Asker, path: str, number: int, **more: Any) -> Any:
    return admin.post(f"{path}/versions/{number}/restore", json=more.pop("said", {}), **more)


def lying(api: Api) -> str:
    """Every version as it lies in the database."""
    with api.read() as session:
        return str(session.execute(text("SELECT * FROM versions")).all())


@pytest.mark.parametrize(
    ("path", "made", "changed"),
    [
        ("/networks/rack1", {"name": "rack1", "cidr": "10.77.0.0/24"}, {"vlan": 7}),
        ("/roles/cache", {"name": "cache", "description": "A cache."}, {"vars": {"site_size": 3}}),
        ("/clusters/lab", {"name": "lab"}, {"description": "A lab."}),
        ("/releases/debian-13", None, {"kernel_args": "quiet"}),
    ],
)
def test_a_change_leaves_a_version_and_can_be_taken_back(
    api: Api, admin: Asker, path: str, made: dict[str, Any] | None, changed: dict[str, Any]
) -> None:
    if made is not None:
        assert admin.post(path.rpartition("/")[0], json=made).status_code == HTTPStatus.CREATED
    first = admin.get(path).json
    assert admin.patch(path, json=changed).status_code == HTTPStatus.OK
    assert admin.patch(path, json=changed).status_code == HTTPStatus.OK  # nothing new: no version
    assert told(admin, path) == [(2, "change", False), (1, "create", False)]
    ((field, value),) = changed.items()
    shown = admin.get(f"{path}/versions/2").json
    assert shown["body"][field] == value
    assert (shown["author"], shown["comment"]) == ("token:the-admin", "")
    reply = restored(admin, path, 1, said={"comment": "It was better."})
    assert reply.status_code == HTTPStatus.OK, reply.text
    moving = dict.fromkeys(("version", "updated_at"))
    assert {**reply.json, **moving} == {**first, **moving}
    assert reply.headers["ETag"] == admin.get(path).headers["ETag"]
    last = admin.get(f"{path}/versions?fields=number,comment").json["items"][0]
    assert last == {"number": 3, "comment": "Back to version 1. It was better."}
    assert restored(admin, path, 1).status_code == HTTPStatus.OK
    assert len(told(admin, path)) == 3  # it was so already
    kind = path.split("/")[1].removesuffix("s")
    assert admin.get(f"/audit?action={kind}.*&limit=1000").json["items"][-1]["actor"] == "token:the-admin"


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_change_it_may_look_and_not_go_back(api: Api, admin: Asker, role: str) -> None:
    admin.patch("/releases/debian-13", json={"kernel_args": "quiet"})
    assert told(api.of(role), "/releases/debian-13")
    assert restored(api.of(role), "/releases/debian-13", 1).status_code == HTTPStatus.FORBIDDEN
    assert admin.get("/releases/debian-13").json["kernel_args"] == "quiet"


def test_of_two_admins_the_second_is_told(admin: Asker) -> None:
    admin.post("/networks", json={"name": "lan", "cidr": "10.0.0.0/24"})
    seen = admin.get("/networks/lan").headers["ETag"]
    admin.patch("/networks/lan", json={"vlan": 7})
    assert restored(admin, "/networks/lan", 1, headers={"If-Match": seen}).status_code == HTTPStatus.PRECONDITION_FAILED
    assert admin.get("/networks/lan").json["vlan"] == 7
    fresh = admin.get("/networks/lan").headers["ETag"]
    assert restored(admin, "/networks/lan", 1, headers={"If-Match": fresh}).json["vlan"] is None
    again = restored(admin, "/networks/lan", 1, headers={"If-Match": fresh})
    assert again.status_code == HTTPStatus.PRECONDITION_FAILED
    # Nobody means a version of what is not there.
    assert admin.delete("/networks/lan").status_code == HTTPStatus.NO_CONTENT
    gone = restored(admin, "/networks/lan", 1, headers={"If-Match": fresh})
    assert gone.status_code == HTTPStatus.PRECONDITION_FAILED


@pytest.mark.parametrize("path", ["/networks/lan", "/clusters/lab"])
def test_what_was_deleted_comes_back(admin: Asker, path: str) -> None:
    kind, name = path.strip("/").split("/")
    said = {"cidr": "10.0.0.0/24", "dns": ["10.0.0.1"]} if kind == "networks" else {"description": "A lab."}
    admin.post(f"/{kind}", json={"name": name, **said})
    before = admin.get(path).json
    assert admin.delete(path).status_code == HTTPStatus.NO_CONTENT
    assert told(admin, path) == [(2, "delete", True), (1, "create", False)]
    assert admin.get(f"{path}/versions/2").json["body"] is None
    assert [each[0] for each in refused(restored(admin, path, 2))] == ["number"]
    reply = restored(admin, path, 1)
    assert reply.status_code == HTTPStatus.OK, reply.text
    moving = dict.fromkeys(("version", "created_at", "updated_at"))
    assert {**admin.get(path).json, **moving} == {**before, **moving}
    assert told(admin, path)[0] == (3, "create", False)


def test_a_release_that_was_removed_comes_back_and_says_that_its_files_are_gone(admin: Asker) -> None:
    before = admin.get("/releases/debian-13").json
    assert admin.delete("/releases/debian-13").status_code == HTTPStatus.NO_CONTENT
    reply = restored(admin, "/releases/debian-13", 1)
    assert reply.status_code == HTTPStatus.OK, reply.text
    assert reply.json["ready"] is False
    assert "kernel" in reply.json["problem"] or "linux" in reply.json["problem"]
    looked_at = {"ready": None, "problem": None}
    assert {**admin.get("/releases/debian-13").json, **looked_at} == {**before, **looked_at}


def test_a_release_with_other_files_by_now_is_refused_field_by_field(api: Api, admin: Asker) -> None:
    with api.write() as session:
        session.execute(text("UPDATE releases SET kernel_sha256 = :other, version = '12'"), {"other": "f" * 64})
    found = refused(restored(admin, "/releases/debian-13", 1))
    assert [field for field, _ in found] == ["version", "kernel_sha256"]


def test_a_role_that_its_machines_would_not_fit_is_refused_with_machine_and_field(admin: Asker) -> None:
    far = {"vlans": {"v5": {"link": "eno9", "id": 5}}}
    admin.post("/roles", json={"name": "mine", "vars": {"site_a": 1, "network": far}})
    assert admin.patch("/roles/mine", json={"vars": {"site_a": 1}}).status_code == HTTPStatus.OK
    machine = {"name": "node1", "mac": MAC, "interfaces": [], "disks": DISKS, "role": "mine", "release": "debian-13"}
    assert admin.post("/machines", json=machine).status_code == HTTPStatus.CREATED
    before = admin.get("/roles/mine").json
    found = refused(restored(admin, "/roles/mine", 1))
    assert all(field.startswith("vars.network") for field, _ in found)
    assert all(problem.startswith("On node1: ") for _, problem in found)
    assert admin.get("/roles/mine").json == before
    assert len(told(admin, "/roles/mine")) == 2


def test_a_network_that_its_machines_would_not_fit_is_refused(admin: Asker) -> None:
    admin.post("/networks", json={"name": "pxe", "cidr": "10.78.0.0/24"})
    assert admin.patch("/networks/pxe", json={"cidr": "10.77.0.0/24"}).status_code == HTTPStatus.OK
    machine = {"name": "node1", "mac": MAC, "interfaces": [CARD], "disks": DISKS}
    assert admin.post("/machines", json=machine).status_code == HTTPStatus.CREATED
    assert refused(restored(admin, "/networks/pxe", 1)) == [
        ("interfaces.0.address", "On node1: 10.77.0.11 is not in pxe (10.78.0.0/24).")
    ]


def secret_of(api: Api, value: Any) -> Any:
    return sealed.opened(api.context.vault, value)


def test_a_roles_secret_comes_back_as_it_was_and_lies_nowhere_in_the_open(api: Api, admin: Asker) -> None:
    said = {"name": "mine", "variables": DECLARED, "vars": {"own_token": TOKEN, "site_note": "one"}}
    assert admin.post("/roles", json=said).status_code == HTTPStatus.CREATED
    with api.read() as session:
        first = roles.get(session, "mine").vars["own_token"]
    admin.patch("/roles/mine", json={"vars": {"own_token": OTHER, "site_note": "two"}})
    admin.patch("/roles/mine", json={"vars": {"own_token": "***", "site_note": "three"}})
    shown = admin.get("/roles/mine/versions/1").json["body"]
    assert shown["vars"] == {"own_token": "***", "site_note": "one"}
    assert restored(admin, "/roles/mine", 1).json["vars"] == {"own_token": "***", "site_note": "one"}
    with api.read() as session:
        assert roles.get(session, "mine").vars["own_token"] == first  # by whom and when included
    assert restored(admin, "/roles/mine", 3).status_code == HTTPStatus.OK
    with api.read() as session:
        assert secret_of(api, roles.get(session, "mine").vars["own_token"]) == OTHER
    for word in (TOKEN, OTHER):
        assert word not in lying(api)
        assert word not in admin.get("/roles/mine/versions").text


def test_what_is_declared_a_secret_later_is_one_in_earlier_versions_too(api: Api, admin: Asker) -> None:
    """It stood open, in the row as in its versions, until somebody said what it is."""
    admin.post("/roles", json={"name": "mine", "variables": {"own_token": {"help": "?"}}, "vars": {"own_token": TOKEN}})
    assert TOKEN in lying(api)
    assert admin.patch("/roles/mine", json={"variables": DECLARED}).status_code == HTTPStatus.OK
    assert TOKEN not in lying(api)
    assert admin.get("/roles/mine/versions/1").json["body"]["vars"] == {"own_token": "***"}


def test_a_secret_that_nobody_declares_any_more_does_not_come_back_open(api: Api, admin: Asker) -> None:
    admin.post("/clusters", json={"name": "lab", "vars": {"proxy": f"http://ada:{TOKEN}@proxy.example.org:3128"}})
    admin.post("/roles", json={"name": "mine", "variables": DECLARED, "vars": {"own_token": TOKEN}})
    admin.patch("/roles/mine", json={"vars": {}})
    with api.write() as session:  # as if it had been declared in a file that is another by now
        session.execute(text("UPDATE versions SET body = replace(body, '\"secret\": true', '\"secret\": false')"))
    found = refused(restored(admin, "/roles/mine", 1))
    assert found[0][0] == "vars.own_token"
    with api.read() as session:
        assert roles.get(session, "mine").vars == {}


def test_a_clusters_secrets_come_back_and_those_it_has_got_since_stay(api: Api, admin: Asker) -> None:
    def kept() -> dict[str, Any]:
        with api.read() as session:
            return dict(clusters.get(session, "lab").secrets)

    admin.post("/clusters", json={"name": "lab", "secrets": {"site_password": TOKEN}})
    admin.post("/clusters/lab/rotate", json={"secrets": ["site_password"]})
    generated = kept()["site_password"]
    assert generated["generated"] is True
    admin.patch("/clusters/lab", json={"secrets": {"site_password": OTHER, "site_later": NEW}})
    assert restored(admin, "/clusters/lab", 2).status_code == HTTPStatus.OK
    assert kept()["site_password"] == generated  # and is rotated with the others as before
    assert secret_of(api, kept()["site_later"]) == NEW
    assert admin.delete("/clusters/lab").status_code == HTTPStatus.NO_CONTENT
    assert restored(admin, "/clusters/lab", 1).status_code == HTTPStatus.OK
    assert {name: secret_of(api, each) for name, each in kept().items()} == {"site_password": TOKEN}
    for word in (TOKEN, OTHER, NEW):
        assert word not in lying(api)


@pytest.mark.parametrize(
    "path",
    [
        "/networks/%00/versions", "/roles/..%2f..%2fetc/versions", "/clusters/<script>/versions/1",
        "/releases/debian-13/versions/99999999999999999999", "/roles/compute/versions/0",
        "/networks/nothing/versions", "/releases/debian-13/versions/2",
    ],
)  # fmt: skip
def test_what_there_is_not_is_not_found(admin: Asker, path: str) -> None:
    assert admin.get(path).status_code == HTTPStatus.NOT_FOUND


def test_a_comment_is_a_text_of_some_length(admin: Asker) -> None:
    admin.patch("/releases/debian-13", json={"kernel_args": "quiet"})
    too_long = restored(admin, "/releases/debian-13", 1, said={"comment": "x" * 501})
    assert too_long.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert restored(admin, "/releases/debian-13", 1, said={"what": 1}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert len(told(admin, "/releases/debian-13")) == 2


def test_a_site_that_insists_on_if_match_insists_here_too(api: Api, admin: Asker) -> None:
    admin.patch("/releases/debian-13", json={"kernel_args": "quiet"})
    object.__setattr__(api.context.settings, "require_if_match", True)
    assert restored(admin, "/releases/debian-13", 1).status_code == HTTPStatus.PRECONDITION_REQUIRED
    assert restored(admin, "/releases/debian-13", 1, headers={"If-Match": "*"}).json["kernel_args"] == ""
