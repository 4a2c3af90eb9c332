"""A cluster, a role or a network that is changed is held against its machines: refused with machine and field."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest

from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.software.models import Release
from tests.api.conftest import MAC, Api, Asker

CARD = {"mac": MAC, "name": "eno1", "network": "pxe", "address": "10.77.0.11"}
DISKS = {"system": {"path": "disk/by-path/pci-1", "size": 480 * 10**9}, "data": [], "keep": []}
BOND = {"bonds": {"bond0": {"members": ["boot", "eno2"], "mode": "802.3ad", "network": "pxe"}}}


def refused(reply: Any) -> list[tuple[str, str]]:
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, reply.text
    assert all(each["fix"] for each in reply.json["errors"])
    return [(each["field"], each["problem"]) for each in reply.json["errors"]]


@pytest.fixture
def rack(admin: Asker) -> Asker:
    """node1 in a network, a role of its own and a cluster; node2 knows nothing of them."""
    for path, said in (
        ("/networks", {"name": "pxe", "cidr": "10.77.0.0/24", "gateway": "10.77.0.1"}),
        ("/roles", {"name": "mine"}),
        ("/clusters", {"name": "east"}),
        ("/machines", {"name": "node1", "mac": MAC, "interfaces": [CARD], "disks": DISKS, "role": "mine",
                       "cluster": "east", "release": "debian-13"}),
        ("/machines", {"name": "node2", "mac": "52:54:00:00:00:02", "disks": DISKS}),
    ):  # fmt: skip
        made = admin.post(path, json=said)
        assert made.status_code == HTTPStatus.CREATED, made.text
    return admin


def test_a_network_that_its_machines_do_not_fit_is_refused(rack: Asker) -> None:
    before = rack.get("/networks/pxe").json
    moved = {"cidr": "10.78.0.0/24", "gateway": "10.78.0.1"}
    assert refused(rack.patch("/networks/pxe", json=moved)) == [
        ("interfaces.0.address", "On node1: 10.77.0.11 is not in pxe (10.78.0.0/24).")
    ]
    assert refused(rack.put("/networks/pxe", json={**before, **moved}))
    assert rack.get("/networks/pxe").json == before
    assert rack.patch("/networks/pxe", json={"cidr": "10.77.0.0/16"}).status_code == HTTPStatus.OK
    assert rack.patch("/machines/node1", json={"interfaces": []}).status_code == HTTPStatus.OK
    assert rack.patch("/networks/pxe", json=moved).status_code == HTTPStatus.OK


def test_a_network_that_is_only_named_in_variables_is_held_against_those_machines(rack: Asker) -> None:
    tagged = {"vlans": {"v5": {"link": "boot", "id": 5, "network": "far"}}}
    addresses = {"far": "10.99.0.11"}
    assert rack.post("/networks", json={"name": "far", "cidr": "10.99.0.0/24"}).status_code == HTTPStatus.CREATED
    said = rack.patch("/machines/node1", json={"vars": {"network": tagged, "addresses": addresses}})
    assert said.status_code == HTTPStatus.OK, said.text
    found = refused(rack.patch("/networks/far", json={"cidr": "10.98.0.0/24"}))
    assert all(problem.startswith("On node1: ") for _, problem in found)


@pytest.mark.parametrize("place", ["/clusters/east", "/roles/mine"])
def test_a_network_that_a_machine_cannot_have_is_refused_where_it_is_shared(rack: Asker, place: str) -> None:
    found = refused(rack.patch(place, json={"vars": {"network": BOND}}))
    assert found
    for field, problem in found:
        assert field.startswith("vars.network.bonds.bond0")
        assert problem.startswith("On node1: ")
    assert rack.get(place).json["vars"] == {}


def test_a_series_that_the_release_does_not_carry_is_refused_where_it_is_shared(rack: Asker) -> None:
    assert rack.patch("/machines/node1", json={"role": "compute"}).status_code == HTTPStatus.OK
    found = refused(
        rack.patch("/clusters/east", json={"vars": {"controller": "10.0.0.2", "openstack_series": "gazpacho"}})
    )
    assert found[0][0] in ("vars.openstack_series", "release.repositories")
    assert found[0][1].startswith("On node1: ")


def test_what_was_wrong_before_keeps_nobody_from_changing_the_rest(api: Api, rack: Asker) -> None:
    with api.write() as session:
        selectors.get(session, "node1").interfaces[0].address = "10.1.2.3"
    changed = rack.patch("/clusters/east", json={"vars": {"timezone": "Europe/Rome"}})
    assert changed.status_code == HTTPStatus.OK, changed.text
    assert rack.patch("/networks/pxe", json={"ntp": ["10.77.0.9"]}).status_code == HTTPStatus.OK
    assert refused(rack.patch("/clusters/east", json={"vars": {"layout": {"system": {"size": ">=1T"}}}}))


def test_a_release_that_its_machines_need_as_it_is_stays_so(api: Api, rack: Asker) -> None:
    epoxy = [{"name": "openstack-epoxy", "url": "http://mirror.example/epoxy/"}]
    with api.write() as session:
        row = Release(name="rocky-9", family="rocky", version="9", installer="kickstart", repositories=epoxy)
        row.kernel_sha256 = row.initrd_sha256 = "0" * 64
        row.created_at = row.updated_at = now()
        session.add(row)
    said = {"role": "controller", "release": "rocky-9"}
    assert rack.patch("/clusters/east", json={"vars": {"controller": "10.77.0.11"}}).status_code == HTTPStatus.OK
    assert rack.patch("/machines/node1", json=said).status_code == HTTPStatus.OK
    without = {"repositories": []}
    (found,) = refused(rack.patch("/releases/rocky-9", json=without))
    assert (found[0], found[1].startswith("On node1: ")) == ("release.repositories", True)
    assert refused(rack.put("/releases/rocky-9", json={**_sent(rack, "rocky-9"), **without})) == [found]
    assert rack.get("/releases/rocky-9").json["repositories"] == epoxy
    assert rack.patch("/releases/rocky-9", json={"kernel_args": "quiet"}).status_code == HTTPStatus.OK
    assert rack.patch("/machines/node1", json={"release": None}).status_code == HTTPStatus.OK
    assert rack.patch("/releases/rocky-9", json=without).status_code == HTTPStatus.OK


def test_an_archive_of_debian_has_a_suite(rack: Asker) -> None:
    entry = {"name": "x", "url": "http://h/x"}
    assert refused(rack.patch("/releases/debian-13", json={"repositories": [entry]})) == [
        ("repositories[0].suite", "is missing.")
    ]
    flat = {"repositories": [{**entry, "suite": "./"}]}
    assert rack.patch("/releases/debian-13", json=flat).status_code == HTTPStatus.OK


def _sent(rack: Asker, name: str) -> dict[str, Any]:
    shown = rack.get(f"/releases/{name}").json
    files = {"kernel_url": "http://h/vmlinuz", "initrd_url": "http://h/initrd"}
    files |= {"kernel_sha256": "0" * 64, "initrd_sha256": "0" * 64}
    kept = ("name", "family", "version", "installer", "kernel_args", "install_url", "settings")
    return {
        **{field: shown[field] for field in kept},
        **files,
    }


NEEDY = {
    "size": {"type": "integer", "required": True, "help": "In MiB."},
    "token": {"secret": True, "required": True, "scope": "cluster"},
}


def missing(asker: Asker) -> list[str]:
    items = asker.get("/machines/node1/variables").json["items"]
    return [each["name"] for each in items if each["from"].startswith("missing")]


def test_what_a_role_requires_is_not_left_out_by_a_machine_of_a_cluster(rack: Asker) -> None:
    assert rack.post("/roles", json={"name": "needy", "variables": NEEDY}).status_code == HTTPStatus.CREATED
    lacks = ("vars.size", "is missing; the role needy needs it: In MiB.")
    assert refused(rack.patch("/machines/node1", json={"role": "needy"})) == [lacks]
    said = {"name": "node3", "mac": "52:54:00:00:00:03", "role": "needy", "cluster": "east"}
    assert refused(rack.post("/machines", json=said)) == [lacks]
    assert rack.patch("/machines/node1", json={"role": "needy", "vars": {"size": 7}}).status_code == HTTPStatus.OK
    assert refused(rack.patch("/machines/node1", json={"vars": {}})) == [lacks]
    assert rack.patch("/clusters/east", json={"vars": {"size": 8}}).status_code == HTTPStatus.OK
    assert rack.patch("/machines/node1", json={"vars": {}}).status_code == HTTPStatus.OK
    on_node1 = [("vars.size", "On node1: is missing; the role needy needs it: In MiB.")]
    assert refused(rack.patch("/clusters/east", json={"vars": {}})) == on_node1
    more = {"variables": {**NEEDY, "place": {"required": True, "help": "Where."}}}
    assert refused(rack.patch("/roles/needy", json=more))[0][0] == "vars.place"
    assert rack.patch("/roles/needy", json={**more, "vars": {"place": "here"}}).status_code == HTTPStatus.OK
    assert missing(rack) == []


def test_before_its_cluster_is_known_a_machine_is_saved_and_says_what_is_missing(rack: Asker) -> None:
    assert rack.post("/roles", json={"name": "needy", "variables": NEEDY}).status_code == HTTPStatus.CREATED
    assert rack.patch("/machines/node1", json={"role": "needy", "cluster": None}).status_code == HTTPStatus.OK
    assert missing(rack) == ["size", "token"]
    (checked,) = rack.get("/checks").json["items"]
    assert checked["machine"] == "node1"
    assert any("needs" in fault["text"] and "size" in fault["text"] for fault in checked["faults"])
