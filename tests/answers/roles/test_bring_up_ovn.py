"""The same cloud with OVN instead of Neutron's own agents: a controller, a network node and a hypervisor.

Only in `make soak`: it installs 3 GB of packages and takes half an hour on two cores.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.answers.roles import cloud as clouds
from tests.answers.roles import machines
from tests.answers.roles.cloud import NO_MODULES, Cloud, eventually
from tests.sweep import FULL

pytestmark = [
    pytest.mark.soak,
    pytest.mark.network,
    pytest.mark.timeout(4 * 60 * 60),
    pytest.mark.skipif(not FULL, reason="half an hour and 3 GB of packages: only in `make soak`"),
    pytest.mark.skipif(bool(machines.missing()), reason=machines.missing() or "it can run"),
]
PLAIN = {"heat": False, "horizon": False, "cinder": False}
# Bridges in a datapath of Open vSwitch's own process: a namespace has no kernel module of its own.
NETDEV = (
    "sed -i 's/--may-exist add-br br-int$/& -- set bridge br-int datapath_type=netdev/;"
    " s/external-ids:ovn-encap-type=geneve/& external-ids:ovn-bridge-datapath-type=netdev/' /usr/local/sbin/pxeapp-role"
)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with clouds.cloud(tmp_path_factory.mktemp("ovn"), ("13", "trixie")) as found:
        found.bring_up("ctl1", "controller", workers=1, neutron="ovn", **PLAIN)
        found.bring_up("net1", "network", neutron="ovn", before=f"{NO_MODULES}; {NETDEV}")
        found.bring_up("cmp2", "compute", neutron="ovn", compute_driver="qemu", before=f"{NO_MODULES}; {NETDEV}")
        yield found


def test_each_chassis_is_known_and_only_the_network_node_is_a_gateway(cloud: Cloud) -> None:
    agents = {(each["Host"], each["Binary"]): each for each in cloud.ask("network agent list")}
    assert {key for key in agents if key[1] == "ovn-controller"} == {
        ("net1", "ovn-controller"),
        ("cmp2", "ovn-controller"),
    }
    assert agents[("net1", "ovn-controller")]["Agent Type"] == "OVN Controller Gateway agent"
    assert agents[("cmp2", "ovn-controller")]["Agent Type"] == "OVN Controller agent"
    assert all(each["Alive"] for each in agents.values())


def test_an_instance_has_a_port_that_ovn_has_set_up(cloud: Cloud) -> None:
    cloud.do("head -c 1000000 /dev/zero >/tmp/image")
    cloud.do("openstack image create --container-format bare --disk-format raw --file /tmp/image one")
    cloud.do("openstack flavor create --ram 64 --disk 1 --vcpus 1 tiny")
    cloud.do("openstack network create lan")
    cloud.do("openstack subnet create --network lan --subnet-range 192.168.9.0/24 lan")
    cloud.do("openstack router create out; openstack router add subnet out lan")
    cloud.do("openstack server create --flavor tiny --image one --network lan --wait real")
    (server,) = cloud.ask("server list --long --name real")
    assert (server["Status"], server["Host"]) == ("ACTIVE", "cmp2")
    (port,) = cloud.ask("port list --server real")
    assert port["Status"] == "ACTIVE"
    hypervisor = cloud.machine["cmp2"]
    assert f"tap{port['ID'][:11]}" in hypervisor.run("ovs-vsctl list-ports br-int")
    flows = "ovs-ofctl dump-flows br-int | grep -c 192.168.9.1"
    eventually(lambda: int(hypervisor.run(f"{flows} || :").strip() or 0) > 0)  # the router answers on the node itself


def test_no_unit_has_failed_and_the_checklist_is_gone(cloud: Cloud) -> None:
    for machine in cloud.machine.values():
        assert machine.run("systemctl list-units --state=failed --plain --no-legend --no-pager").strip() == ""
        machine.run("test ! -e /usr/local/sbin/pxeapp-role")
