"""Drained and put back through the real openstacksdk, against a cloud that keeps state and speaks real HTTP."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from pxeapp.db import Database
from pxeapp.rollouts.port import Done, Failed, Waiting
from tests.clouds.fake_cloud import NO_HOST, FakeCloud, Fault, running
from tests.rollouts.draining import Course, course

pytestmark = pytest.mark.network
OURS = "pxeapp rollout 7"


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with running() as found:
        found.add_compute("node1")
        found.add_compute("node2")
        yield found


def drained(found: Course, **more: Any) -> Done:
    outcome = found.run("drain", **more)
    assert isinstance(outcome, Done), outcome
    return outcome


def undrained(found: Course) -> Done:
    outcome = found.run("undrain")
    assert isinstance(outcome, Done), outcome
    return outcome


def test_a_compute_node_is_disabled_emptied_and_enabled_again(database: Database, cloud: FakeCloud) -> None:
    for number in range(5):
        cloud.add_server(f"vm{number}", "node1", status="PAUSED" if number == 4 else "ACTIVE")
    cloud.add_server("elsewhere", "node2")
    one = course(database, cloud)
    outcome = drained(one)
    assert (cloud.service("node1")["status"], cloud.service("node1")["disabled_reason"]) == ("disabled", OURS)
    assert cloud.on("node1") == []
    assert "no instance is left, 5 moved" in outcome.says
    assert outcome.memory["disabled_by_us"] == ["nova-compute on node1"]
    assert cloud.count("POST", "/action") == 5
    assert undrained(one).says == "It serves in prod again."
    assert cloud.service("node1")["status"] == "enabled"
    assert cloud.service("node2")["status"] == "enabled"


def test_two_at_a_time_are_under_way(database: Database, cloud: FakeCloud) -> None:
    for number in range(5):
        cloud.add_server(f"vm{number}", "node1")
    one = course(database, cloud)
    while not isinstance(one.look(), Done):
        assert sum(each["status"] == "MIGRATING" for each in cloud.servers.values()) <= 2


def test_a_stopped_instance_is_moved_cold_and_confirmed(database: Database, cloud: FakeCloud) -> None:
    off = cloud.add_server("off", "node1", status="SHUTOFF", power=4)
    drained(course(database, cloud))
    assert (cloud.servers[off]["host"], cloud.servers[off]["status"]) == ("node2", "SHUTOFF")
    assert [each["action"] for each in cloud.actions[off]] == ["migrate", "confirmResize"]


def test_cold_migration_is_the_policy(database: Database, cloud: FakeCloud) -> None:
    number = cloud.add_server("vm", "node1")
    drained(course(database, cloud, {"instances": "cold-migrate"}))
    assert [each["action"] for each in cloud.actions[number]] == ["migrate", "confirmResize"]
    assert cloud.servers[number]["status"] == "ACTIVE"


def test_a_resize_of_a_user_is_not_confirmed_for_them(database: Database, cloud: FakeCloud) -> None:
    number = cloud.add_server("theirs", "node1", status="VERIFY_RESIZE")
    outcome = course(database, cloud).run()
    assert isinstance(outcome, Failed)
    assert "theirs waits for its user to confirm a resize" in outcome.says
    assert number not in cloud.actions


def test_what_is_stopped_is_started_again_and_what_was_off_stays_off(database: Database, cloud: FakeCloud) -> None:
    for number in range(4):
        cloud.add_server(f"vm{number}", "node1")
    cloud.add_server("off", "node1", status="SHUTOFF", power=4)
    one = course(database, cloud, {"instances": "stop"})
    drained(one)
    assert {each["status"] for each in cloud.servers.values()} == {"SHUTOFF"}
    undrained(one)
    assert sorted(each["name"] for each in cloud.servers.values() if each["status"] == "ACTIVE") == [
        "vm0", "vm1", "vm2", "vm3",
    ]  # fmt: skip


def test_leaving_them_touches_no_instance(database: Database, cloud: FakeCloud) -> None:
    cloud.add_server("vm", "node1")
    outcome = drained(course(database, cloud, {"instances": "leave"}))
    assert "its instances stay on it" in outcome.says
    assert not cloud.count("GET", "/servers")


@pytest.mark.parametrize("reason", ["broken disk, ada", None], ids=["with a reason", "without one"])
def test_what_somebody_else_disabled_stays_disabled(database: Database, cloud: FakeCloud, reason: str | None) -> None:
    cloud.service("node1").update(status="disabled", disabled_reason=reason)
    cloud.add_server("vm", "node1")
    one = course(database, cloud)
    outcome = drained(one)
    assert cloud.on("node1") == []
    assert outcome.memory["disabled_by_us"] == []
    assert "disabled before by somebody else: nova-compute on node1" in outcome.says
    assert "stays disabled" in undrained(one).says
    assert (cloud.service("node1")["status"], cloud.service("node1")["disabled_reason"]) == ("disabled", reason)


def test_whoever_gives_it_another_reason_meanwhile_keeps_it_disabled(database: Database, cloud: FakeCloud) -> None:
    one = course(database, cloud)
    drained(one)
    cloud.service("node1")["disabled_reason"] = "pxeapp rollout 7, but its fan is broken"
    assert "its fan is broken" in undrained(one).says
    assert cloud.service("node1")["status"] == "disabled"


def test_a_mark_of_an_earlier_rollout_is_ours(database: Database, cloud: FakeCloud) -> None:
    cloud.service("node1").update(status="disabled", disabled_reason="pxeapp rollout 5")
    one = course(database, cloud)
    drained(one)
    assert cloud.service("node1")["disabled_reason"] == OURS
    undrained(one)
    assert cloud.service("node1")["status"] == "enabled"


def test_a_crash_at_any_look_changes_nothing(database: Database, cloud: FakeCloud) -> None:
    """The memory of one look is lost, after its effects: the same look comes again with the memory of before."""
    for number in range(3):
        cloud.add_server(f"vm{number}", "node1")
    cloud.add_server("off", "node1", status="SHUTOFF", power=4)
    l3, other = cloud.add_agent("L3 agent", "node1"), cloud.add_agent("L3 agent", "node2")
    router = cloud.add_router("edge", l3)
    one = course(database, cloud)
    outcome: Any = None
    for _ in range(80):
        before = copy.deepcopy(one.memory)
        one.look()
        one.memory = before
        outcome = one.look()
        if not isinstance(outcome, Waiting):
            break
    assert isinstance(outcome, Done)
    assert cloud.on("node1") == []
    assert all(len(each) == len({row["action"] for row in each}) for each in cloud.actions.values())
    assert list(cloud.routers[router]["agents"]) == [other]
    assert outcome.memory["disabled_by_us"] == ["L3 agent on node1", "nova-compute on node1"]


def test_a_crash_between_disabling_and_remembering_still_ends_enabled(database: Database, cloud: FakeCloud) -> None:
    one = course(database, cloud)
    while cloud.service("node1")["status"] == "enabled":
        one.look()
    one.memory = {}
    one.earlier = {}  # nothing was written down, and the drain is broken off here
    undrained(one)
    assert cloud.service("node1")["status"] == "enabled"


def test_an_instance_that_goes_to_error_fails_the_step_with_its_name(database: Database, cloud: FakeCloud) -> None:
    good, bad = cloud.add_server("good", "node1"), cloud.add_server("bad", "node1")
    cloud.becomes_error.add(bad)
    outcome = course(database, cloud).run()
    assert isinstance(outcome, Failed)
    assert outcome.code == "instances_left"
    assert [each["name"] for each in outcome.evidence["left"]] == ["bad"]
    assert "ERROR" in outcome.evidence["left"][0]["why"]
    assert cloud.servers[good]["host"] == "node2"
    assert cloud.service("node1")["status"] == "disabled"


def test_no_valid_host_is_tried_twice_and_said_as_nova_says_it(database: Database, cloud: FakeCloud) -> None:
    number = cloud.add_server("vm", "node1")
    cloud.service("node2").update(status="disabled")
    outcome = course(database, cloud).run()
    assert isinstance(outcome, Failed)
    assert NO_HOST in outcome.evidence["left"][0]["why"]
    assert len(cloud.actions[number]) == 2


def test_room_that_is_made_meanwhile_is_used(database: Database, cloud: FakeCloud) -> None:
    cloud.add_server("vm", "node1")
    cloud.service("node2").update(status="disabled")
    one = course(database, cloud)
    while not any("tried again soon" in each for each in one.says):
        one.look()
    cloud.service("node2").update(status="enabled")
    while not isinstance(one.look(), Done):
        assert len(one.says) < 60
    assert cloud.on("node2") == ["vm"]


def test_a_retry_still_starts_what_the_first_try_stopped(database: Database, cloud: FakeCloud) -> None:
    vm, stuck = cloud.add_server("vm", "node1"), cloud.add_server("stuck", "node1", status="RESCUE")
    one = course(database, cloud, {"instances": "stop"})
    assert isinstance(one.run(), Failed)
    cloud.servers.pop(stuck)
    one.tries = 2
    drained(one)
    undrained(one)
    assert cloud.servers[vm]["status"] == "ACTIVE"


def test_an_aborted_cold_migration_is_confirmed_by_undrain(database: Database, cloud: FakeCloud) -> None:
    number = cloud.add_server("vm", "node1")
    one = course(database, cloud, {"instances": "cold-migrate"})
    while cloud.servers[number]["status"] != "VERIFY_RESIZE":
        one.look()
    one.earlier["drain"] = one.memory
    one.memory = {}
    assert isinstance(one.look("undrain"), Waiting)
    cloud._list_servers(query={})
    cloud._list_servers(query={})
    undrained(one)
    assert cloud.servers[number]["status"] == "ACTIVE"


@pytest.mark.parametrize("code", [500, 503, 429])
def test_an_api_that_is_away_is_waited_for(database: Database, cloud: FakeCloud, code: int) -> None:
    cloud.add_server("vm", "node1")
    one = course(database, cloud)
    one.look()
    cloud.faults.append(Fault("GET", "/servers/detail", code, times=4))
    for _ in range(4):
        found = one.look()
        assert isinstance(found, Waiting)
        assert str(code) in found.says
    assert isinstance(_go_on(one), Done)
    assert cloud.on("node1") == []


def test_a_cloud_that_is_gone_altogether_is_waited_for(database: Database, cloud: FakeCloud) -> None:
    one = course(database, cloud)
    with database.write() as session:
        from pxeapp.clouds import service

        row = service.get(session, "prod")
        row.auth_url = "http://127.0.0.1:1/v3"
    one.look()
    for _ in range(3):
        found = one.look()
        assert isinstance(found, Waiting)
        assert "does not answer" in found.says


def test_an_order_whose_answer_is_lost_is_not_given_twice(database: Database, cloud: FakeCloud) -> None:
    number = cloud.add_server("vm", "node1")
    cloud.faults.append(Fault("POST", "/action", 502, done=True))
    drained(course(database, cloud))
    assert [each["action"] for each in cloud.actions[number]] == ["live-migration"]


def test_an_expired_token_is_renewed(database: Database, cloud: FakeCloud) -> None:
    cloud.add_server("vm", "node1")
    one = course(database, cloud)
    one.look()
    one.look()
    cloud.tokens.clear()
    while isinstance(found := one.look(), Waiting):
        assert "authentication" not in found.says
    assert isinstance(found, Done)
    assert cloud.signed_in == 2


def test_a_wrong_password_fails_at_once(database: Database, cloud: FakeCloud) -> None:
    cloud.password = "another one"
    outcome = course(database, cloud).run()
    assert isinstance(outcome, Failed)
    assert outcome.code == "cloud_refuses"
    assert "pxeapp cloud check prod" in outcome.hint


def test_a_refusal_that_does_not_pass_fails_after_a_few_looks(database: Database, cloud: FakeCloud) -> None:
    cloud.faults.append(Fault("PUT", "/os-services", 400, times=99, message="Unknown binary"))
    outcome = course(database, cloud).run()
    assert isinstance(outcome, Failed)
    assert "Unknown binary" in outcome.says
    assert cloud.count("PUT", "/os-services") == 4


def test_a_host_may_have_a_domain_behind_its_name(database: Database, cloud: FakeCloud) -> None:
    cloud.service("node1")["host"] = "node1.example.org"
    cloud.add_server("vm", "node1.example.org")
    drained(course(database, cloud))
    assert cloud.service("node1.example.org")["disabled_reason"] == OURS
    assert cloud.on("node1.example.org") == []


def test_two_hosts_that_could_be_meant_are_refused_until_one_is_said(database: Database, cloud: FakeCloud) -> None:
    cloud.service("node1")["host"] = "node1.a.example"
    cloud.add_compute("node1.b.example")
    one = course(database, cloud)
    outcome = one.run()
    assert isinstance(outcome, Failed)
    assert "node1.a.example or node1.b.example" in outcome.says
    assert {each["status"] for each in cloud.services} == {"enabled"}
    one.drain_says = {"openstack": {"cloud": "prod", "host": "node1.b.example"}}
    drained(one)
    assert cloud.service("node1.a.example")["status"] == "enabled"
    assert cloud.service("node1.b.example")["status"] == "disabled"


def test_a_compute_node_that_the_cloud_does_not_know_is_not_taken_for_empty(
    database: Database, cloud: FakeCloud
) -> None:
    cloud.services.pop(0)
    one = course(database, cloud)
    outcome = one.run()
    assert isinstance(outcome, Failed)
    assert outcome.code == "host_unknown"
    one.role = "object"
    assert "Swift's device weights" in drained(one).says


def test_an_instance_on_its_way_to_it_is_waited_for(database: Database, cloud: FakeCloud) -> None:
    on_its_way = {"instance_uuid": "abc", "source_compute": "node2", "dest_compute": "node1", "status": "running"}
    cloud.migrations.append(on_its_way)
    one = course(database, cloud)
    while "on its way" not in one.look().says:
        assert len(one.says) < 20
    on_its_way["status"] = "completed"
    assert isinstance(_go_on(one), Done)


def test_an_instance_that_is_being_built_is_waited_for_and_moved(database: Database, cloud: FakeCloud) -> None:
    number = cloud.add_server("new", "node1", status="BUILD", power=0)
    one = course(database, cloud)
    while "new is busy: build" not in one.look().says.lower():
        assert len(one.says) < 20
    cloud.servers[number].update(status="ACTIVE", power=1)
    assert isinstance(_go_on(one), Done)
    assert cloud.on("node2") == ["new"]


def test_a_service_that_is_not_back_is_waited_for_before_it_is_enabled(database: Database, cloud: FakeCloud) -> None:
    one = course(database, cloud)
    drained(one)
    cloud.service("node1")["state"] = "down"
    one.memory = {}
    for _ in range(3):
        assert one.look("undrain").says == "Nova-compute on node1 is not up yet."
    assert cloud.service("node1")["status"] == "disabled"
    cloud.service("node1")["state"] = "up"
    undrained(one)
    assert cloud.service("node1")["status"] == "enabled"


def test_every_backend_of_a_volume_host_is_disabled_and_enabled(database: Database, cloud: FakeCloud) -> None:
    for host in ("node1@lvm", "node1@nfs", "node2@lvm"):
        cloud.add_volume(host)
    cloud.add_volume("node1@old", status="disabled", reason="to be removed")
    one = course(database, cloud)
    drained(one)
    assert {each["host"]: each["disabled_reason"] for each in cloud.volumes} == {
        "node1@lvm": OURS, "node1@nfs": OURS, "node2@lvm": None, "node1@old": "to be removed",
    }  # fmt: skip
    undrained(one)
    assert {each["host"]: each["status"] for each in cloud.volumes} == {
        "node1@lvm": "enabled", "node1@nfs": "enabled", "node2@lvm": "enabled", "node1@old": "disabled",
    }  # fmt: skip


def test_a_cloud_without_cinder_and_neutron_is_a_cloud(database: Database, cloud: FakeCloud) -> None:
    cloud.catalog = ("compute",)
    one = course(database, cloud)
    drained(one)
    undrained(one)
    assert not cloud.count("GET", "^/(network|volume)")


def _go_on(one: Course) -> Any:
    for _ in range(60):
        if not isinstance(found := one.look(), Waiting):
            return found
    raise AssertionError(one.says[-3:])
