"""Network nodes: routers and networks move to agents that live, and none is without one where there is another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pxeapp.db import Database
from pxeapp.rollouts.port import Done, Waiting
from tests.clouds.fake_cloud import FakeCloud, Fault, running
from tests.rollouts.draining import Course, course

pytestmark = pytest.mark.network
MARK = "[pxeapp rollout 7]"


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with running() as found:
        yield found


def done(one: Course, step: str = "drain") -> Done:
    outcome = one.run(step)
    assert isinstance(outcome, Done), outcome
    return outcome


def node(database: Database, cloud: FakeCloud) -> Course:
    return course(database, cloud, role="network")


def test_two_routers_go_to_the_least_busy_agents_of_the_same_zone(database: Database, cloud: FakeCloud) -> None:
    mine = cloud.add_agent("L3 agent", "node1")
    two, three = cloud.add_agent("L3 agent", "node2"), cloud.add_agent("L3 agent", "node3")
    cloud.add_agent("L3 agent", "far", availability_zone="far")
    cloud.add_agent("L3 agent", "dead", alive=False)
    cloud.add_agent("L3 agent", "edge-compute", mode="dvr")
    routers = [cloud.add_router(name, mine) for name in ("edge", "core")]
    one = node(database, cloud)
    outcome = done(one)
    assert sorted(next(iter(cloud.routers[each]["agents"])) for each in routers) == sorted([two, three])
    assert (cloud.agents[mine]["admin_state_up"], cloud.agents[mine]["description"]) == (False, MARK)
    assert outcome.memory["disabled_by_us"] == ["L3 agent on node1"]
    done(one, "undrain")
    assert (cloud.agents[mine]["admin_state_up"], cloud.agents[mine]["description"]) == (True, "")
    assert all(mine not in cloud.routers[each]["agents"] for each in routers)  # what was moved stays where it is


def test_a_router_is_never_without_an_agent_when_another_refuses_it(database: Database, cloud: FakeCloud) -> None:
    mine, other = cloud.add_agent("L3 agent", "node1"), cloud.add_agent("L3 agent", "node2")
    router = cloud.add_router("edge", mine)
    cloud.faults.append(Fault("POST", f"/agents/{other}/l3-routers", 409, times=99))
    outcome = done(node(database, cloud))
    assert list(cloud.routers[router]["agents"]) == [mine]
    assert outcome.evidence["stays"] == ["the router edge: no other L3 agent takes it, so it was put back"]


def test_a_router_that_a_lost_answer_left_between_two_agents_is_found(database: Database, cloud: FakeCloud) -> None:
    mine, other = cloud.add_agent("L3 agent", "node1"), cloud.add_agent("L3 agent", "node2")
    router = cloud.add_router("edge", mine)
    cloud.faults.append(Fault("POST", "/l3-routers", 503, times=3))
    one = node(database, cloud)
    while cloud.routers[router]["agents"]:
        one.look()
    while isinstance(one.look(), Waiting):
        assert len(one.says) < 30
    assert list(cloud.routers[router]["agents"]) == [other]


def test_an_aborted_drain_leaves_no_router_without_an_agent(database: Database, cloud: FakeCloud) -> None:
    mine, _other = cloud.add_agent("L3 agent", "node1"), cloud.add_agent("L3 agent", "node2")
    router = cloud.add_router("edge", mine)
    cloud.faults.append(Fault("POST", "/l3-routers", 503))
    one = node(database, cloud)
    while cloud.routers[router]["agents"]:
        one.look()
    one.earlier["drain"] = one.memory
    done(one, "undrain")
    assert len(cloud.routers[router]["agents"]) == 1


def test_where_there_is_no_other_agent_everything_stays_and_is_listed(database: Database, cloud: FakeCloud) -> None:
    l3, dhcp = cloud.add_agent("L3 agent", "node1"), cloud.add_agent("DHCP agent", "node1")
    cloud.add_agent("L3 agent", "node2", admin_state_up=False)
    router, network = cloud.add_router("edge", l3), cloud.add_network("lan", dhcp)
    outcome = done(node(database, cloud))
    assert list(cloud.routers[router]["agents"]) == [l3]
    assert cloud.networks[network]["agents"] == [dhcp]
    assert len(outcome.evidence["stays"]) == 2
    assert "no other" in outcome.says


def test_a_network_gets_another_dhcp_agent_before_it_loses_ours(database: Database, cloud: FakeCloud) -> None:
    mine, other = cloud.add_agent("DHCP agent", "node1"), cloud.add_agent("DHCP agent", "node2")
    alone, twice = cloud.add_network("alone", mine), cloud.add_network("twice", mine, other)
    done(node(database, cloud))
    assert cloud.networks[alone]["agents"] == [other]
    assert cloud.networks[twice]["agents"] == [other]
    changes = [(method, path) for method, path in cloud.asked if "dhcp-networks" in path and method != "GET"]
    assert [method for method, path in changes if alone in path or method == "POST"] == ["POST", "DELETE"]


def test_a_highly_available_router_is_active_elsewhere_before_the_node_is_drained(
    database: Database, cloud: FakeCloud
) -> None:
    mine, other = cloud.add_agent("L3 agent", "node1"), cloud.add_agent("L3 agent", "node2")
    router = cloud.add_router("edge", mine, other, ha=True)
    alone = cloud.add_router("alone", mine, ha=True)
    done(node(database, cloud))
    assert cloud.routers[router]["agents"] == {other: "active", mine: "standby"}
    assert cloud.routers[alone]["agents"][other] == "active"


def test_a_router_that_does_not_fail_over_is_waited_for(database: Database, cloud: FakeCloud) -> None:
    mine, other = cloud.add_agent("L3 agent", "node1"), cloud.add_agent("L3 agent", "node2")
    router = cloud.add_router("edge", mine, other, ha=True)
    one = node(database, cloud)
    for _ in range(8):
        cloud.routers[router]["agents"] = {mine: "active", other: "standby"}
        found = one.look()
    assert isinstance(found, Waiting)
    assert found.says == "The router edge is not active elsewhere yet."


def test_an_agent_that_somebody_disabled_is_left_alone(database: Database, cloud: FakeCloud) -> None:
    mine = cloud.add_agent("L3 agent", "node1", admin_state_up=False, description="flaky card")
    cloud.add_agent("L3 agent", "node2")
    router = cloud.add_router("edge", mine)
    one = node(database, cloud)
    done(one)
    assert list(cloud.routers[router]["agents"]) == [mine]
    assert "stays disabled" in done(one, "undrain").says
    assert (cloud.agents[mine]["admin_state_up"], cloud.agents[mine]["description"]) == (False, "flaky card")


def test_a_description_that_was_there_is_there_again(database: Database, cloud: FakeCloud) -> None:
    mine = cloud.add_agent("DHCP agent", "node1", description="rack 4")
    one = node(database, cloud)
    done(one)
    assert cloud.agents[mine]["description"] == f"rack 4 {MARK}"
    done(one, "undrain")
    assert cloud.agents[mine]["description"] == "rack 4"


def test_agents_that_carry_nothing_of_their_own_are_not_touched(database: Database, cloud: FakeCloud) -> None:
    ovs, dvr = cloud.add_agent("Open vSwitch agent", "node1"), cloud.add_agent("L3 agent", "node1", mode="dvr")
    router = cloud.add_router("distributed", dvr)
    done(node(database, cloud))
    assert cloud.agents[ovs]["admin_state_up"]
    assert cloud.agents[dvr]["admin_state_up"]
    assert list(cloud.routers[router]["agents"]) == [dvr]


def test_an_agent_that_does_not_report_is_waited_for_before_it_is_enabled(database: Database, cloud: FakeCloud) -> None:
    mine = cloud.add_agent("DHCP agent", "node1")
    one = node(database, cloud)
    done(one)
    cloud.agents[mine]["alive"] = False
    one.memory = {}
    assert one.look("undrain").says == "The DHCP agent on node1 does not report yet."
    cloud.agents[mine]["alive"] = True
    done(one, "undrain")
