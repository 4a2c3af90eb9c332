"""Drained by a real Nova: Debian's packages, a controller of ours, and two compute nodes that start nothing.

Only in `make soak`: it installs 3 GB of packages and takes most of an hour on two cores (`ARGS="-k drain_nova"`). With
PXEAPP_GOLDEN=1 it records what test_drain_recorded.py plays.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pxeapp.clouds import checking
from pxeapp.clouds.directory import Clouds
from pxeapp.db import Database
from pxeapp.rollouts.gates.openstack import OpenStack
from pxeapp.rollouts.port import Done, Failed
from pxeapp.rollouts.spec import OpenStackGate
from tests.answers.roles import cloud as clouds
from tests.answers.roles import machines
from tests.answers.roles.cloud import Cloud
from tests.rollouts import recorded
from tests.rollouts.draining import VAULT
from tests.rollouts.recorded import Live
from tests.sweep import FULL

PLAIN = {"cinder": False, "heat": False, "horizon": False}

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


@pytest.fixture(autouse=True)
def inside(cloud: Cloud) -> Iterator[None]:
    """We are the appliance, in the cloud's network."""
    with cloud.where.entered():
        yield


@pytest.fixture
def database(_with_tables: Path, tmp_path: Path) -> Iterator[Database]:
    """One that knows the cluster."""
    shutil.copyfile(_with_tables, tmp_path / "test.db")
    found = Database(f"sqlite:///{tmp_path / 'test.db'}")
    recorded.known(found)
    yield found
    found.dispose()


def keep(live: Live, name: str) -> None:
    if os.environ.get("PXEAPP_GOLDEN"):
        live.recording.save(name)


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
    found = checking.check(Clouds(database, VAULT, recorded.NETWORKS).api("cluster:prod"))
    assert all(each.ok for each in found), found
    assert found[1].says.startswith("2 compute services, 2 up, 0 disabled")


def test_instances_are_live_migrated_and_the_service_is_enabled_again(cloud: Cloud, database: Database) -> None:
    start(cloud, "one", "two", "three")
    cloud.do("openstack server stop three")
    eventually(lambda: on(cloud, "cmp1")["three"] == "SHUTOFF")
    one = Live.of(database, instances="live-migrate")
    outcome = one.over("drain")
    assert isinstance(outcome, Done), outcome
    assert on(cloud, "cmp1") == {}
    assert on(cloud, "cmp2") == {"one": "ACTIVE", "two": "ACTIVE", "three": "SHUTOFF"}
    assert (service(cloud)["Status"], service(cloud)["Disabled Reason"]) == ("disabled", "pxeapp rollout 7")
    assert isinstance(one.over("undrain"), Done)
    assert service(cloud)["Status"] == "enabled"
    keep(one, "live-migrate")
    cloud.do("openstack server delete --wait one two three")


def test_instances_are_stopped_and_started_again(cloud: Cloud, database: Database) -> None:
    start(cloud, "one", "two")
    one = Live.of(database, instances="stop")
    assert isinstance(one.over("drain"), Done)
    assert on(cloud, "cmp1") == {"one": "SHUTOFF", "two": "SHUTOFF"}
    assert isinstance(one.over("undrain"), Done)
    eventually(lambda: on(cloud, "cmp1") == {"one": "ACTIVE", "two": "ACTIVE"})
    keep(one, "stop")
    cloud.do("openstack server delete --wait one two")


def test_no_valid_host_fails_with_each_instance(cloud: Cloud, database: Database) -> None:
    start(cloud, "one")
    cloud.do("openstack compute service set --disable --disable-reason full cmp2 nova-compute")
    one = Live.of(database, instances="cold-migrate")
    outcome = one.over("drain")
    assert isinstance(outcome, Failed), outcome
    assert [each["name"] for each in outcome.evidence["left"]] == ["one"]
    cloud.do("openstack compute service set --enable cmp2 nova-compute")
    one.course.tries = 2
    assert isinstance(one.over("drain"), Done)
    assert on(cloud, "cmp2") == {"one": "ACTIVE"}
    assert isinstance(one.over("undrain"), Done)
    keep(one, "no-valid-host")
    cloud.do("openstack server delete --wait one")


def test_what_an_administrator_disabled_stays_disabled(cloud: Cloud, database: Database) -> None:
    cloud.do("openstack compute service set --disable --disable-reason 'ada: its fan' cmp1 nova-compute")
    one = Live.of(database, instances="live-migrate")
    assert isinstance(one.over("drain"), Done)
    assert isinstance(one.over("undrain"), Done)
    assert (service(cloud)["Status"], service(cloud)["Disabled Reason"]) == ("disabled", "ada: its fan")
    keep(one, "disabled-by-somebody-else")
    cloud.do("openstack compute service set --enable cmp1 nova-compute")


def test_the_gate_sees_a_compute_service_that_stops_before_nova_calls_it_down(cloud: Cloud, database: Database) -> None:
    one = recorded.course(database, {"instances": "live-migrate"})
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


def test_a_node_that_is_installed_anew_is_the_one_that_nova_knows(cloud: Cloud) -> None:
    """Nova would refuse it: no local node identity, and not its first start."""

    def known() -> dict[str, str]:
        rows = cloud.ask("hypervisor list --os-compute-api-version 2.88")
        return {row["Hypervisor Hostname"]: row["ID"] for row in rows}

    before, node = known(), cloud.machine["cmp2"]
    node.run("systemctl stop nova-compute; rm -f /var/lib/nova/compute_id")
    cloud.again("cmp2", "compute", compute_driver="fake")
    assert node.run("cat /var/lib/nova/compute_id").strip() == before["cmp2"]
    assert node.run("stat -c %U:%G /var/lib/nova/compute_id").strip() == "nova:nova"
    assert known() == before
    (row,) = cloud.ask("compute service list --service nova-compute --host cmp2")
    assert row["State"] == "up"
