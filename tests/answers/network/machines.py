"""One machine with four cards, the networks of its rack, and what can be said of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from pxeapp.answers.network import resolving
from pxeapp.answers.network.plan import NetworkPlan
from pxeapp.provisioning.facts import CardFacts, NetworkFacts

BOOT = "52:54:00:00:00:01"
CARDS = (
    CardFacts(BOOT, "eno1", "pxe", "10.77.0.11"),
    CardFacts("52:54:00:00:00:02", "eno2", None, None),
    CardFacts("52:54:00:00:00:03", None, None, None),
    CardFacts("52:54:00:00:00:04", "eth3", None, None),
)
NETWORKS = {
    network.name: network
    for network in (
        NetworkFacts("pxe", "10.77.0.0/24", "10.77.0.1", ["10.77.0.2"], [], "rack.example.org", None, None),
        NetworkFacts("leased", "10.70.0.0/24", "10.70.0.1", ["10.70.0.1"], [], "", None, "10.70.0.100"),
        NetworkFacts("storage", "10.20.0.0/16", "10.20.0.1", [], [], "", 120, None),
        NetworkFacts("tenant", "10.30.0.0/16", None, [], [], "", 130, None),
        NetworkFacts("lan6", "fd00:77::/64", "fd00:77::1", ["fd00:77::53"], [], "", None, None),
        NetworkFacts("far", "192.168.5.0/24", "192.168.5.1", ["192.168.5.9"], [], "far.example.org", None, None),
    )
}


class Case(NamedTuple):
    """What is said of a network: `vars.network` and `vars.addresses`."""

    said: Any
    addresses: Any = None


CASES: dict[str, Case] = {
    "single": Case({"ethernets": {"boot": {"network": "pxe", "mtu": 9000}}}),
    "compute": Case(
        {
            "bonds": {
                "bond0": {
                    "members": ["boot", "eno2"], "mode": "802.3ad", "lacp_rate": "fast",
                    "xmit_hash_policy": "layer3+4", "miimon": 50, "network": "pxe", "mtu": 9000,
                }
            },
            "vlans": {
                "bond0.120": {
                    "link": "bond0", "network": "storage", "mtu": 9000,
                    "routes": [{"to": "10.21.0.0/16", "via": "10.20.0.1", "metric": 50}],
                },
                "tenant": {"link": "bond0", "network": "tenant"},
            },
        },
        {"storage": "10.20.0.11", "tenant": "10.30.0.11"},
    ),
    "bridge": Case(
        {
            "bonds": {"uplink": {"members": ["eno2", "52:54:00:00:00:03"], "mode": "active-backup", "primary": "eno2"}},
            "vlans": {"uplink.200": {"link": "uplink", "id": 200}},
            "bridges": {
                "br-ex": {"members": ["uplink"]},
                "br-lan": {"members": ["boot"], "network": "pxe", "stp": True, "forward_delay": 4},
                "br-vlan": {"members": ["uplink.200"], "addresses": ["172.16.0.1/24", "172.16.1.1/24"]},
            },
        }
    ),
    "ipv6": Case({"ethernets": {"boot": {"dhcp4": False, "network": "lan6", "addresses": ["fd00:77::11"]}}}),
    "slaac": Case(
        {
            "ethernets": {
                "boot": {"dhcp4": True, "accept_ra": True},
                "eno2": {"dhcp6": True, "default_route": False, "name": "lan6"},
                "52:54:00:00:00:03": {"dhcp4": True},
            },
            "search": ["example.org"],
        }
    ),
    "dual": Case(
        {
            "ethernets": {
                "boot": {
                    "network": ["pxe", "lan6"], "addresses": ["10.77.0.11", "10.77.0.12", "fd00:77::11"],
                    "routes": [
                        {"to": "10.0.0.0/8", "via": "10.77.0.9"}, {"to": "fd00::/16", "via": "fe80::9", "metric": 7}
                    ],
                }
            },
            "dns": ["10.77.0.2", "fd00:77::53"],
        }
    ),
    "installer": Case(
        {
            "bonds": {"bond0": {"members": ["boot", "eno2"], "mode": "802.3ad", "lacp_rate": "fast"}},
            "vlans": {"mgmt": {"link": "bond0", "id": 77, "addresses": ["10.77.0.11/24"], "gateway4": "10.77.0.1"}},
            "installer": "mgmt",
            "dns": ["10.77.0.2"],
        }
    ),
}  # fmt: skip
ANYWHERE = [name for name in CASES if name != "installer"]  # the others install over the boot card alone


def plan(case: Case, *, cards: tuple[CardFacts, ...] = CARDS, boot: str = BOOT) -> NetworkPlan:
    """The plan of the machine in a case."""
    return resolving.parse(case.said, boot=boot, cards=cards, networks=NETWORKS, addresses=case.addresses)
