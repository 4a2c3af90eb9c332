"""A cloud comes up from real packages: a controller and a compute node on Debian 13, up to a hypervisor in its zone.

Only in `make soak`: it installs 2 GB of packages and takes half an hour on two cores.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pxeapp.answers.roles import work
from tests.answers.roles import machines
from tests.answers.roles.cluster import CLUSTER, node
from tests.answers.samples import TEMPLATES
from tests.sweep import FULL

RELEASE = ("13", "trixie")
APPLIANCE, CONTROLLER, COMPUTE = "10.77.0.1", "10.77.0.10", "10.77.0.11"
HOSTS = {"ctl1": CONTROLLER, "cmp1": COMPUTE}
MINUTES = 40  # for each first boot, on a busy machine

pytestmark = [
    pytest.mark.soak,
    pytest.mark.network,
    pytest.mark.timeout(3 * 60 * 60),
    pytest.mark.skipif(not FULL, reason="half an hour and 2 GB of packages: only in `make soak`"),
    pytest.mark.skipif(bool(machines.missing()), reason=machines.missing() or "it can run"),
]


class Cloud:
    """The two machines; asked by the controller's own command line client."""

    def __init__(self, controller: machines.Machine, compute: machines.Machine) -> None:
        self.controller, self.compute = controller, compute

    def ask(self, command: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.controller.run(f". /root/openrc; openstack {command} -f json"))
        return found


def set_up(machine: machines.Machine, where: machines.Network, role: str) -> None:
    """Waits for the first boot's last word; what it says of a failure fails the test."""
    deadline = time.monotonic() + MINUTES * 60
    while not any(event["message"] == f"The role {role} is set up." for event in where.events()):
        failed = [event["message"] for event in where.events() if event["event"] == "setup_failed"]
        assert not failed, failed[0]
        assert time.monotonic() < deadline, machine.run("tail -n 30 /var/log/pxeapp-role.log")
        time.sleep(5)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder: Path = tmp_path_factory.mktemp("cloud")
    said: dict[str, Any] = {"first_boot_minutes": MINUTES, "workers": 1}
    roles = {
        "controller": ("ctl1", said),
        "compute": (
            "cmp1",
            {
                **said,
                "compute_driver": "fake",
                "availability_zone": "rack1",
                "host_aggregates": ["ssd"],
                "my_address": COMPUTE,
            },
        ),
    }
    with ExitStack() as stack:
        where = stack.enter_context(machines.network(folder, [CONTROLLER, COMPUTE], APPLIANCE))
        running = []
        for role, (name, more) in roles.items():
            found = work.of(node("debian", RELEASE[0], role, **more), TEMPLATES)
            tree = folder / name
            client = ["python3-openstackclient", "python3-heatclient"] if role == "controller" else []
            stack.callback(shutil.rmtree, tree, ignore_errors=True)
            machines.make(tree, RELEASE[1], [*found.packages, *client])
            machines.install(tree, name, found, HOSTS)
            running.append(stack.enter_context(machines.booted(tree, name, where)))
            set_up(running[-1], where, role)
        yield Cloud(*running)


def test_the_hypervisor_is_up_in_its_availability_zone_and_aggregates(cloud: Cloud) -> None:
    (hypervisor,) = cloud.ask("hypervisor list")
    assert (hypervisor["Hypervisor Hostname"], hypervisor["State"]) == ("cmp1", "up")
    assert hypervisor["Hypervisor Type"] == "fake"
    (service,) = cloud.ask("compute service list --service nova-compute")
    assert (service["Host"], service["Zone"], service["State"]) == ("cmp1", "rack1", "up")
    assert {each["Name"] for each in cloud.ask("aggregate list")} == {"rack1", "ssd"}


def test_an_instance_starts_in_the_zone(cloud: Cloud) -> None:
    server = "--flavor tiny --image one --nic none --availability-zone rack1"
    for command in (
        "head -c 1000000 /dev/zero >/tmp/image",
        ". /root/openrc; openstack image create --container-format bare --disk-format raw --file /tmp/image one",
        ". /root/openrc; openstack flavor create --ram 64 --disk 1 --vcpus 1 tiny",
        ". /root/openrc; openstack network create one",
        ". /root/openrc; openstack subnet create --network one --subnet-range 192.168.9.0/24 one",
        f". /root/openrc; openstack server create {server} --wait one",
    ):
        cloud.controller.run(command)
    (found,) = cloud.ask("server list --long")
    assert (found["Status"], found["Host"]) == ("ACTIVE", "cmp1")


def test_every_service_of_the_catalogue_answers_its_user(cloud: Cloud) -> None:
    types = {each["Type"] for each in cloud.ask("catalog list")}
    assert {"identity", "image", "placement", "compute", "network", "volumev3", "orchestration"} <= types
    for command in ("image list", "network list", "volume list", "stack list", "server list", "user list"):
        cloud.ask(command)
    assert {each["State"] for each in cloud.ask("volume service list")} == {"up"}
    schedulers = {each["Binary"] for each in cloud.ask("compute service list")}
    assert schedulers == {"nova-scheduler", "nova-conductor", "nova-compute"}


def test_no_unit_has_failed_and_the_checklists_are_gone(cloud: Cloud) -> None:
    for machine in (cloud.controller, cloud.compute):
        failed = machine.run("systemctl list-units --failed --plain --no-legend").split("\n")
        # The two share a network, so the second finds these ports taken.
        own = [line for line in failed if line and not line.startswith(("ssh.", "chrony.", "iscsid."))]
        assert not own
        machine.run("test ! -e /usr/local/sbin/pxeapp-role && test ! -e /etc/systemd/system/pxeapp-role.service")


def test_no_password_is_readable_for_others(cloud: Cloud) -> None:
    for machine in (cloud.controller, cloud.compute):
        found = machine.run(
            f"runuser -u nobody -- grep -rlE '{CLUSTER['nova_password']}|{CLUSTER['rabbit_password']}'"
            " /etc /usr/local /var/log 2>/dev/null || :"
        )
        assert found == ""


def test_the_dashboard_is_where_the_controller_is(cloud: Cloud) -> None:
    at = cloud.controller.run(f"curl -sSL --max-time 60 -o /tmp/page -w '%{{url_effective}}' http://{CONTROLLER}/")
    assert "/horizon/auth/login/" in at
    assert "login" in cloud.controller.run("cat /tmp/page").lower()
