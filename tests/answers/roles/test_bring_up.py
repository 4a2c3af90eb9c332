"""A cloud comes up from real packages on Debian: a controller with every service, and a node of each role.

Only in `make soak`: it installs 4 GB of packages and takes an hour on two cores. `-k object`, for example, brings up
the controller and that node only.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.answers.roles import cloud as clouds
from tests.answers.roles import machines
from tests.answers.roles.cloud import CONTROLLER, HOSTS, NO_MODULES, NO_UDEV, USERSPACE, Cloud, eventually
from tests.answers.roles.cluster import CLUSTER
from tests.sweep import FULL

OBJECTS = HOSTS["obj1"]
SWIFT = {"swift_devices": [f"{zone}:{OBJECTS}/d{zone}" for zone in (1, 2, 3)]}
EVERYTHING = {"swift": True, "telemetry": True, "trove": True, "etcd": True}

pytestmark = [
    pytest.mark.soak,
    pytest.mark.network,
    pytest.mark.timeout(4 * 60 * 60),
    pytest.mark.skipif(not FULL, reason="an hour and 4 GB of packages: only in `make soak`"),
    pytest.mark.skipif(bool(machines.missing()), reason=machines.missing() or "it can run"),
]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The controller; the other nodes join when a test asks for them."""
    with clouds.cloud(tmp_path_factory.mktemp("cloud"), ("13", "trixie")) as found:
        found.bring_up("ctl1", "controller", workers=1, **EVERYTHING, **SWIFT)
        yield found


@pytest.fixture(scope="module")
def rehearsal(cloud: Cloud) -> machines.Machine:
    """A compute node that starts nothing."""
    return cloud.bring_up("cmp1", "compute", compute_driver="fake", availability_zone="rack1", host_aggregates=["ssd"])


@pytest.fixture(scope="module")
def hypervisor(cloud: Cloud) -> machines.Machine:
    """A compute node with libvirt and QEMU, and Open vSwitch without its kernel module."""
    before = f"{NO_MODULES}; {USERSPACE}"
    return cloud.bring_up("cmp2", "compute", compute_driver="qemu", telemetry=True, before=before)


@pytest.fixture(scope="module")
def network(cloud: Cloud) -> machines.Machine:
    return cloud.bring_up("net1", "network", before=f"{NO_MODULES}; {USERSPACE}")


@pytest.fixture(scope="module")
def block(cloud: Cloud) -> machines.Machine:
    if not machines.device_mapper():
        pytest.skip("this kernel has no device mapper, and so no logical volumes")
    return cloud.bring_up("blk1", "block", before=f"{NO_MODULES}; {NO_UDEV}", disks=2, devices=("/dev/mapper/control",))


@pytest.fixture(scope="module")
def storage(cloud: Cloud) -> machines.Machine:
    return cloud.bring_up("obj1", "object", before=NO_UDEV, disks=3, **SWIFT)


def test_every_service_of_the_catalogue_answers_its_user(cloud: Cloud) -> None:
    types = {each["Type"] for each in cloud.ask("catalog list")}
    wanted = {"identity", "image", "placement", "compute", "network", "volumev3", "orchestration"}
    assert wanted | {"object-store", "metric", "database"} <= types
    commands = ("image list", "network list", "volume list", "stack list", "server list", "user list")
    for command in (*commands, "metric resource-type list", "datastore list"):
        cloud.ask(command)
    assert {each["State"] for each in cloud.ask("volume service list --service cinder-scheduler")} == {"up"}
    schedulers = {each["Binary"] for each in cloud.ask("compute service list --host ctl1")}
    assert schedulers == {"nova-scheduler", "nova-conductor"}


def test_the_dashboard_is_where_the_controller_is(cloud: Cloud) -> None:
    at = cloud.do(f"curl -sSL --max-time 60 -o /tmp/page -w '%{{url_effective}}' http://{CONTROLLER}/")
    assert "/horizon/auth/login/" in at
    assert "login" in cloud.do("cat /tmp/page").lower()


def test_etcd_is_healthy(cloud: Cloud) -> None:
    assert '"health":"true"' in cloud.do(f"curl -sS --max-time 20 http://{CONTROLLER}:2379/health")


def test_the_rehearsal_node_is_in_its_availability_zone_and_aggregates(
    cloud: Cloud, rehearsal: machines.Machine
) -> None:
    assert rehearsal is cloud.machine["cmp1"]
    hypervisors = {each["Hypervisor Hostname"]: each for each in cloud.ask("hypervisor list")}
    assert (hypervisors["cmp1"]["Hypervisor Type"], hypervisors["cmp1"]["State"]) == ("fake", "up")
    (service,) = cloud.ask("compute service list --service nova-compute --host cmp1")
    assert (service["Zone"], service["State"]) == ("rack1", "up")
    assert {each["Name"] for each in cloud.ask("aggregate list")} == {"rack1", "ssd"}


@pytest.fixture(scope="module")
def image(cloud: Cloud) -> str:
    """An image with a flavor to go with it; nothing boots from it, and its instances run for all that."""
    cloud.do("head -c 1000000 /dev/zero >/tmp/image")
    cloud.do("openstack image create --container-format bare --disk-format raw --file /tmp/image one")
    cloud.do("openstack flavor create --ram 64 --disk 1 --vcpus 1 tiny")
    return "one"


@pytest.mark.usefixtures("rehearsal")
def test_an_instance_starts_in_the_zone(cloud: Cloud, image: str) -> None:
    options = f"--flavor tiny --image {image} --nic none --availability-zone rack1"
    cloud.do(f"openstack server create {options} --wait rehearsed")
    (found,) = cloud.ask("server list --long --name rehearsed")
    assert (found["Status"], found["Host"]) == ("ACTIVE", "cmp1")


def test_telemetry_knows_of_the_image(cloud: Cloud, image: str) -> None:
    known = cloud.ask(f"image show {image}")
    eventually(lambda: known["id"] in {each["id"] for each in cloud.ask("metric resource list --type image")}, 600)


def test_the_network_nodes_agents_serve_a_subnet_and_a_router(cloud: Cloud, network: machines.Machine) -> None:
    agents = {each["Binary"]: each["Alive"] for each in cloud.ask("network agent list --host net1")}
    binaries = {"neutron-openvswitch-agent", "neutron-l3-agent", "neutron-dhcp-agent", "neutron-metadata-agent"}
    assert agents == dict.fromkeys(binaries, True)
    cloud.do("openstack network create lan")
    cloud.do("openstack subnet create --network lan --subnet-range 192.168.9.0/24 lan")
    cloud.do("openstack router create out; openstack router add subnet out lan")
    lan, out = cloud.ask("network show lan")["id"], cloud.ask("router show out")["id"]
    eventually(lambda: {f"qdhcp-{lan}", f"qrouter-{out}"} <= set(network.run("ip netns list").split()))
    pid = f"/var/lib/neutron/dhcp/{lan}/pid"
    eventually(lambda: f"--pid-file={pid} " in network.run("ps ww -o args= -C dnsmasq"))
    eventually(lambda: "192.168.9.1/24" in network.run(f"ip -n qrouter-{out} -br address"))


@pytest.mark.usefixtures("network")
def test_an_instance_runs_under_libvirt_with_a_port(cloud: Cloud, hypervisor: machines.Machine, image: str) -> None:
    (found,) = [each for each in cloud.ask("hypervisor list") if each["Hypervisor Hostname"] == "cmp2"]
    assert (found["Hypervisor Type"], found["State"]) == ("QEMU", "up")
    options = f"--flavor tiny --image {image} --network lan --availability-zone nova"
    cloud.do(f"openstack server create {options} --wait real")
    (server,) = cloud.ask("server list --long --name real")
    assert (server["Status"], server["Host"]) == ("ACTIVE", "cmp2")
    assert "running" in hypervisor.run("virsh -c qemu:///system list")
    (port,) = cloud.ask("port list --server real")
    assert port["Status"] == "ACTIVE"
    assert f"tap{port['ID'][:11]}" in hypervisor.run("ovs-vsctl list-ports br-int")


@pytest.mark.usefixtures("hypervisor")
def test_telemetry_measures_the_instance(cloud: Cloud) -> None:
    """By the agent on its node, which asks libvirt every five minutes."""
    (server,) = cloud.ask("server list --name real")
    measures = f"openstack metric measures show --resource-id {server['ID']} cpu -f value"
    eventually(lambda: bool(cloud.do(f"{measures} 2>/dev/null || :").strip()), 900)  # it knows no metric before


def test_a_volume_is_made_on_the_block_node(cloud: Cloud, block: machines.Machine) -> None:
    assert block.run("vgs --noheadings -o vg_name,pv_count").split() == ["cinder-volumes", "2"]
    (service,) = cloud.ask("volume service list --service cinder-volume")
    assert (service["Host"], service["State"]) == ("blk1@lvm", "up")
    cloud.do("openstack volume create --size 1 data")
    eventually(lambda: cloud.ask("volume show data")["status"] == "available")
    assert f"volume-{cloud.ask('volume show data')['id']}" in block.run("lvs --noheadings -o lv_name cinder-volumes")
    cloud.do("openstack volume delete data")
    eventually(lambda: not cloud.ask("volume list"))
    assert "volume-" not in block.run("lvs --noheadings -o lv_name cinder-volumes")


def test_an_object_comes_back_and_lies_on_three_disks(cloud: Cloud, storage: machines.Machine) -> None:
    cloud.do("head -c 300000 /dev/urandom >/tmp/object; cd /tmp; openstack container create box")
    cloud.do("cd /tmp; openstack object create box object; openstack object save --file /tmp/again box object")
    cloud.do("cmp /tmp/object /tmp/again")
    eventually(lambda: len(storage.run("find /srv/node/d? -name '*.data'").split()) == 3)
    assert {line.split("/")[3] for line in storage.run("find /srv/node -name '*.data'").split()} == {"d1", "d2", "d3"}


@pytest.fixture(params=["cloud", "rehearsal", "network", "hypervisor", "block", "storage"])
def machine(request: pytest.FixtureRequest, cloud: Cloud) -> machines.Machine:
    found = request.getfixturevalue(request.param)
    return cloud.machine["ctl1"] if isinstance(found, Cloud) else found


def test_no_unit_has_failed_and_the_checklist_is_gone(machine: machines.Machine) -> None:
    failed = machine.run("systemctl list-units --failed --plain --no-legend")
    assert not failed
    machine.run("test ! -e /usr/local/sbin/pxeapp-role && test ! -e /etc/systemd/system/pxeapp-role.service")


def test_no_password_is_readable_for_others(machine: machines.Machine) -> None:
    found = machine.run(
        f"runuser -u nobody -- grep -rlE '{CLUSTER['nova_password']}|{CLUSTER['rabbit_password']}'"
        " /etc /usr/local /var/log 2>/dev/null || :"
    )
    assert found == ""
