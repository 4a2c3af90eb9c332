"""One action on many machines: its blast radius is checked at the server, and each machine is reported by itself."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.jobs.models import Job, JobItem
from pxeapp.machines.models import Machine
from pxeapp.provisioning.bulk import ACTIONS
from pxeapp.provisioning.bulk_runner import ACTS, Hands, Runner
from tests.api.conftest import Api, Asker


@pytest.fixture
def five(admin: Asker) -> list[str]:
    """Five machines that can be deployed; the fourth is locked."""
    names = [f"node{number}" for number in range(1, 6)]
    for number, name in enumerate(names, 1):
        said = {
            "name": name, "mac": f"52:54:00:00:01:{number:02x}", "role": "compute", "release": "debian-13",
            "disks": {"system": "sda"}, "labels": {"rack": "r1" if number < 4 else "r2"}, "locked": number == 4,
        }  # fmt: skip
        assert admin.post("/machines", json=said).status_code == HTTPStatus.CREATED
    return names


def runner(api: Api, owner: str = "here") -> Runner:
    own = api.context
    return Runner(Hands(own.database, own.vault, own.checker, own.queue), owner)


def ordered(api: Api, asker: Asker, **said: Any) -> dict[str, Any]:
    """Order it, have it done, and look."""
    reply = asker.post("/machines/bulk", json=said)
    assert reply.status_code == HTTPStatus.ACCEPTED, reply.text
    runner(api).look()
    job = asker.ask("GET", reply.headers["Location"])
    assert job.status_code == HTTPStatus.OK
    return dict(job.json)


def test_every_action_that_can_be_ordered_is_done_by_somebody() -> None:
    assert ACTIONS.keys() == ACTS.keys()


def test_each_machine_is_reported_and_one_that_refuses_does_not_stop_the_others(
    api: Api, admin: Asker, five: list[str]
) -> None:
    job = ordered(api, admin, action="deploy", machines=five, expect=5)
    assert (job["state"], job["total"], job["done"], job["refused"], job["waiting"]) == ("finished", 5, 4, 1, 0)
    (refused,) = admin.get(f"/jobs/{job['id']}/items?outcome=refused").json["items"]
    assert refused["machine"] == "node4"
    assert "locked" in refused["detail"]
    done = admin.get(f"/jobs/{job['id']}/items?outcome=done&limit=1").json
    assert done["next"]
    deployment = admin.get(f"/deployments/{done['items'][0]['result']['deployment']}").json
    assert deployment["machine"] == "node1"
    assert deployment["requested_by"] == "token:the-admin"


@pytest.mark.parametrize("expect", [None, 2, 4])
def test_a_filter_needs_the_right_number_of_machines(
    api: Api, admin: Asker, five: list[str], expect: int | None
) -> None:
    said = {"action": "release", "filter": {"label": "rack=r1"}, "expect": expect}
    reply = admin.post("/machines/bulk", json=said)
    assert reply.status_code == (HTTPStatus.UNPROCESSABLE_ENTITY if expect is None else HTTPStatus.CONFLICT)
    assert "3 machines, 0 of them active" in reply.text
    with api.read() as session:
        assert session.scalars(select(Job)).all() == []


def test_a_dry_run_says_which_machines_and_orders_nothing(api: Api, admin: Asker, five: list[str]) -> None:
    reply = admin.post("/machines/bulk", json={"action": "delete", "filter": {"label": "rack=r1"}, "dry_run": True})
    assert reply.json == {"total": 3, "by_state": {"enrolled": 3}, "machines": five[:3]}
    assert admin.get("/jobs").json["items"] == []


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"action": "release"}, "machines"),
        ({"action": "release", "filter": {}, "expect": 5}, "machines"),
        ({"action": "release", "machines": ["node1"], "filter": {"role": "compute"}}, "machines"),
        ({"action": "release", "machines": ["node1", "nobody", "node99"]}, "machines"),
        ({"action": "power", "machines": ["node1"]}, "power"),
        ({"action": "power", "machines": ["node1"], "power": "explode"}, "power"),
        ({"action": "release", "machines": ["node1"], "reimage": True}, "reimage"),
        ({"action": "label", "machines": ["node1"]}, "set"),
        ({"action": "label", "machines": ["node1"], "set": {"a b": "c"}}, "set"),
        ({"action": "delete", "machines": ["node1", "node2"]}, "expect"),
        ({"action": "explode", "machines": ["node1"]}, "action"),
    ],
)
def test_what_cannot_be_ordered_is_refused_with_its_field(
    api: Api, admin: Asker, five: list[str], said: dict[str, Any], problem: str
) -> None:
    reply = admin.post("/machines/bulk", json=said)
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert {each["field"] for each in reply.json["errors"]} == {problem}
    assert admin.get("/jobs").json["items"] == []


def test_an_operator_deletes_nothing_in_bulk_either(api: Api, five: list[str]) -> None:
    reply = api.of("operator").post("/machines/bulk", json={"action": "delete", "machines": five, "expect": 5})
    assert reply.status_code == HTTPStatus.FORBIDDEN
    assert "admin" in reply.json["detail"]


def test_labels_maintenance_lock_and_lifecycle_are_changed_on_many(api: Api, admin: Asker, five: list[str]) -> None:
    everything = {"filter": {}, "everything": True, "expect": 5}
    ordered(api, admin, action="label", set={"rack": "r9", "owner": "ops"}, remove=["none"], **everything)
    ordered(api, admin, action="maintenance", on=True, reason="new switches", **everything)
    assert ordered(api, admin, action="lock", on=False, **everything)["done"] == 5
    assert ordered(api, admin, action="bring", verb="provide", **everything)["done"] == 5
    for machine in admin.get("/machines").json["items"]:
        assert machine["labels"] == {"rack": "r9", "owner": "ops"}
        assert (machine["maintenance"], machine["maintenance_reason"], machine["locked"]) == (
            True,
            "new switches",
            False,
        )
        assert machine["state"] == "available"
    assert ordered(api, admin, action="deploy", machines=["node1"])["refused"] == 1  # it is in maintenance
    assert ordered(api, admin, action="delete", **everything)["done"] == 5
    assert admin.get("/machines").json["items"] == []


def test_a_job_that_broke_off_goes_on_where_it_was_and_does_nothing_twice(
    api: Api, admin: Asker, five: list[str]
) -> None:
    reply = admin.post("/machines/bulk", json={"action": "deploy", "machines": five[:3], "expect": 3})
    first = runner(api, "dead")
    number = first._take()
    assert number == reply.json["id"]
    work = first._next(number)
    assert work is not None
    first._do(work)
    assert not runner(api, "other").look()  # the lease of the one that died still runs
    with api.write() as session:
        session.get_one(Job, number).lease_until = None
    assert runner(api, "other").look()
    first._do(work)  # it wakes up late
    job = admin.get(f"/jobs/{number}").json
    assert (job["done"], job["refused"]) == (3, 0)
    assert len(admin.get("/deployments").json["items"]) == 3


def test_what_waits_of_a_cancelled_job_is_not_begun(api: Api, admin: Asker, five: list[str]) -> None:
    number = admin.post("/machines/bulk", json={"action": "deploy", "machines": five, "expect": 5}).json["id"]
    one = runner(api)
    assert one._take() == number
    work = one._next(number)
    assert work is not None
    one._do(work)
    job = admin.post(f"/jobs/{number}/cancel").json
    assert (job["state"], job["cancelled"], job["done"], job["skipped"]) == ("finished", True, 1, 4)
    one.look()
    assert len(admin.get("/deployments").json["items"]) == 1
    assert admin.post(f"/jobs/{number}/cancel").status_code == HTTPStatus.CONFLICT


def test_a_machine_that_went_meanwhile_is_reported_so(api: Api, admin: Asker, five: list[str]) -> None:
    number = admin.post("/machines/bulk", json={"action": "release", "machines": ["node1"]}).json["id"]
    with api.write() as session:
        session.delete(session.scalars(select(Machine).where(Machine.name == "node1")).one())
    runner(api).look()
    (item,) = admin.get(f"/jobs/{number}/items").json["items"]
    assert (item["outcome"], item["machine"]) == ("refused", "node1")
    assert "not there" in item["detail"]


def test_a_thousand_machines_are_ordered_at_once(api: Api, admin: Asker) -> None:
    rows = [
        {"name": f"n{number:04}", "mac": f"52:54:00:01:{number // 256:02x}:{number % 256:02x}"}
        for number in range(1000)
    ]
    assert admin.post("/machines/import", json=rows).status_code == HTTPStatus.OK
    names = [row["name"] for row in rows]
    reply = admin.post("/machines/bulk", json={"action": "lock", "on": True, "machines": names})
    assert reply.json["total"] == 1000
    with api.read() as session:
        assert len(session.scalars(select(JobItem.id)).all()) == 1000
