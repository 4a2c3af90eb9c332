"""Bodies as they may be sent, for the OpenAPI document. A test sends each of them, in this order."""

from __future__ import annotations

from typing import Any, Final

EXAMPLES: Final[dict[str, Any]] = {
    "networks.create": {"name": "provisioning", "cidr": "10.3.0.0/24", "gateway": "10.3.0.1", "dns": ["10.3.0.1"]},
    "networks.change": {"ntp": ["10.3.0.1"]},
    "networks.replace": {
        "cidr": "10.3.0.0/24", "gateway": "10.3.0.1", "dhcp_start": "10.3.0.100", "dhcp_end": "10.3.0.199",
    },
    "clusters.create": {"name": "prod", "description": "The production cloud"},
    "clusters.change": {"description": "The production cloud, in Berlin"},
    "clusters.replace": {"description": "The production cloud"},
    "roles.create": {"name": "jump-host", "description": "A way in", "packages": {"debian": ["mosh"]}},
    "roles.change": {"packages": {"debian": ["mosh", "tmux"]}},
    "roles.replace": {"description": "A way in", "packages": {"debian": ["mosh"]}},
    "machines.create": {
        "name": "node1", "mac": "52:54:00:12:34:56", "role": "compute", "release": "debian-13",
        "bmc": {"type": "ipmi", "address": "10.0.9.1", "username": "root", "password": "calvin"},
        "interfaces": [{"mac": "52:54:00:12:34:56", "name": "eno1", "network": "provisioning"}],
        "disks": {"system": "disk/by-path/pci-0000:00:1f.2-ata-1"}, "labels": {"rack": "r12"},
        "location": {"site": "Berlin", "rack": "R12", "unit": 7},
    },
    "machines.change": {"labels": {"rack": "r12", "owner": "ops"}},
    "machines.bring": {"verb": "provide"},
    "power.order": {"action": "cycle"},
    "jobs.order": {"action": "label", "set": {"owner": "ops"}, "filter": {"label": "rack=r12"}, "expect": 1},
    "deployments.deploy": {"release": "debian-13", "role": "compute"},
    "webhooks.create": {
        "name": "chat", "url": "https://hooks.example.org/pxeapp", "events": ["machine.*", "job.finish"],
    },
    "webhooks.change": {"events": ["machine.*"]},
    "webhooks.replace": {"url": "https://hooks.example.org/pxeapp", "events": ["machine.*"]},
    "appliance.observe": {"reason": "The power feed of row 3 is being worked on"},
}  # fmt: skip
# What the operations' addresses name.
NAMES: Final[dict[str, str]] = {
    "networks": "provisioning", "clusters": "prod", "roles": "jump-host", "webhooks": "chat",
}  # fmt: skip
