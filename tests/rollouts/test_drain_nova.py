"""Drained by a real Nova: Debian's packages, a controller of ours, and two compute nodes that start nothing.

Only in `make soak`: it installs 3 GB of packages and takes most of an hour on two cores (`ARGS="-k drain_nova"`).
"""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from netaddr import IPNetwork

from pxeapp.clouds import checking
from pxeapp.clouds.directory import Clouds
from pxeapp.db import Database
from pxeapp.machines import sealed
from pxeapp.machines.models import Cluster, Machine
from pxeapp.rollouts.gates.openstack import OpenStack
from pxeapp.rollouts.port import Done, Failed, Outcome, Waiting
from pxeapp.rollouts.spec import OpenStackGate
from tests.answers.roles import cloud as clouds
from tests.answers.roles import machines
from tests.answers.roles.cloud import CONTROLLER, Cloud
from tests.answers.roles.cluster import CLUSTER
from tests.rollouts.draining import T0, VAULT, Bench, Course
from tests.sweep import FULL

PLAIN = {"cinder": False, "heat": False, "horizon": False}
NETWORKS = (IPNetwork("10.77.0.0/24"),)
PATIENCE_S = 15 * 60

pytestmark = [
    pytest.mark.soak,
    pytest.mark.network,
    pytest.mark.timeout(4 * 60 * 60),
    pytest.mark.skipif(not FULL, reason="an hour and 3 GB of packages: only in `make soak`"),
    pytest.mark.skipif(bool(machines.missing()), reason=machines.missing() or "it can run"),
]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A controller, the compute nodes cmp1 and cmp2, an image and a flavor."""
    with clouds.cloud(tmp_path_factory.mktemp("cloud"), ("13", "trixie")) as found:
        found.bring_up("ctl1", "controller", workers=1, **PLAIN)
        found.bring_up("cmp1", "compute", compute_driver="fake")
        found.bring_up("cmp2", "compute", compute_driver="fake")
        found.do("head -c 1000000 /dev/zero >/tmp/image")
        found.do("openstack image create --container-format bare --disk-format raw --file /tmp/image one")
        found.do("openstack flavor create --ram 64 --disk 1 --vcpus 1 tiny")
        yield found


@pytest.fixture
def database(_with_tables: Path, tmp_path: Path) -> Iterator[Database]:
    """One that knows the cluster as a deployment would have left it."""
    shutil.copyfile(_with_tables, tmp_path / "test.db")
    found = Database(f"sqlite:///{tmp_path / 'test.db'}")
    secret = sealed.seal(VAULT, CLUSTER["admin_password"], by="system:clusters", now=T0, generated=True)
    with found.write() as session:
        session.add(
            Cluster(name="prod", description="", vars={"controller": CONTROLLER}, secrets={"admin_password": secret},
                    created_at=T0, updated_at=T0)
        )  # fmt: skip
        session.add(Machine(name="node1", mac="52:54:00:00:00:01", created_at=T0, updated_at=T0))
    yield found
    found.dispose()


def course(database: Database, instances: str) -> Course:
    said = {"openstack": {"cloud": "cluster:prod", "host": "cmp1", "instances": instances}}
    made = Course(database, None, Bench(), said, 1)
    made.clouds = Clouds(database, VAULT, NETWORKS)
    return made


def over(one: Course, step: str) -> Outcome:
    """Look, by a clock that is real, until it is over."""
    until = time.monotonic() + PATIENCE_S
    one.memory = {}
    while time.monotonic() < until:
        one.now = dt.datetime.now(dt.UTC)
        found = one.look(step)
        if not isinstance(found, Waiting):
            one.earlier[step] = dict(found.memory)
            return found
        time.sleep(min(found.again.total_seconds(), 5))
    raise AssertionError(one.says[-5:])


def eventually(what: Callable[[], bool], seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(3)


def on(cloud: Cloud, host: str) -> dict[str, str]:
    """Names and states of its instances."""
    return {each["Name"]: each["Status"] for each in cloud.ask(f"server list --all-projects --long --host {host}")}


def service(cloud: Cloud) -> dict[str, Any]:
    (found,) = cloud.ask("compute service list --service nova-compute --host cmp1 --long")
    return found


def start(cloud: Cloud, *names: str) -> None:
    """Instances on cmp1."""
    options = "--flavor tiny --image one --nic none --os-compute-api-version 2.74 --host cmp1 --wait"
    for name in names:
        cloud.do(f"openstack server create {options} {name}")


def test_a_check_of_the_cluster_sees_what_a_rollout_needs(cloud: Cloud, database: Database) -> None:
    found = checking.check(Clouds(database, VAULT, NETWORKS).api("cluster:prod"))
    assert all(each.ok for each in found), found
    assert found[1].says.startswith("2 compute services, 2 up, 0 disabled")


def test_instances_are_live_migrated_and_the_service_is_enabled_again(cloud: Cloud, database: Database) -> None:
    start(cloud, "one", "two", "three")
    cloud.do("openstack server stop three")
    eventually(lambda: on(cloud, "cmp1")["three"] == "SHUTOFF")
    one = course(database, "live-migrate")
    outcome = over(one, "drain")
    assert isinstance(outcome, Done), outcome
    assert on(cloud, "cmp1") == {}
    assert on(cloud, "cmp2") == {"one": "ACTIVE", "two": "ACTIVE", "three": "SHUTOFF"}
    assert (service(cloud)["Status"], service(cloud)["Disabled Reason"]) == ("disabled", "pxeapp rollout 7")
    assert isinstance(over(one, "undrain"), Done)
    assert service(cloud)["Status"] == "enabled"
    cloud.do("openstack server delete --wait one two three")


def test_instances_are_stopped_and_started_again(cloud: Cloud, database: Database) -> None:
    start(cloud, "one", "two")
    one = course(database, "stop")
    assert isinstance(over(one, "drain"), Done)
    assert on(cloud, "cmp1") == {"one": "SHUTOFF", "two": "SHUTOFF"}
    assert isinstance(over(one, "undrain"), Done)
    eventually(lambda: on(cloud, "cmp1") == {"one": "ACTIVE", "two": "ACTIVE"})
    cloud.do("openstack server delete --wait one two")


def test_no_valid_host_fails_with_each_instance(cloud: Cloud, database: Database) -> None:
    start(cloud, "one")
    cloud.do("openstack compute service set --disable --disable-reason full cmp2 nova-compute")
    one = course(database, "cold-migrate")
    outcome = over(one, "drain")
    assert isinstance(outcome, Failed), outcome
    assert [each["name"] for each in outcome.evidence["left"]] == ["one"]
    cloud.do("openstack compute service set --enable cmp2 nova-compute")
    one.tries = 2
    assert isinstance(over(one, "drain"), Done)
    assert on(cloud, "cmp2") == {"one": "ACTIVE"}
    assert isinstance(over(one, "undrain"), Done)
    cloud.do("openstack server delete --wait one")


def test_what_an_administrator_disabled_stays_disabled(cloud: Cloud, database: Database) -> None:
    cloud.do("openstack compute service set --disable --disable-reason 'ada: its fan' cmp1 nova-compute")
    one = course(database, "live-migrate")
    assert isinstance(over(one, "drain"), Done)
    assert isinstance(over(one, "undrain"), Done)
    assert (service(cloud)["Status"], service(cloud)["Disabled Reason"]) == ("disabled", "ada: its fan")
    cloud.do("openstack compute service set --enable cmp1 nova-compute")


def test_the_gate_sees_a_compute_service_that_stops_before_nova_calls_it_down(cloud: Cloud, database: Database) -> None:
    one = course(database, "live-migrate")
    gate = OpenStack(one.clouds)

    def holds(since: dt.datetime) -> bool:
        subject = one.subject("verify")
        object.__setattr__(subject, "began_at", since)
        return gate.look(subject, OpenStackGate(), now=dt.datetime.now(dt.UTC)).holds

    begun = dt.datetime.now(dt.UTC)
    eventually(lambda: holds(begun), 120)
    cloud.machine["cmp1"].run("systemctl stop nova-compute")
    stopped = dt.datetime.now(dt.UTC)
    assert not holds(stopped)
    time.sleep(20)
    assert not holds(stopped)
    cloud.machine["cmp1"].run("systemctl start nova-compute")
    eventually(lambda: holds(stopped), 180)
