"""What goes in and what comes out, by example, for the OpenAPI document. A test takes a tour of all of them.

Bodies and addresses are written here. Answers are those that the tour was given (`answer_examples.json`, written anew
by `make golden`): an example that nothing answers any more is found by the same test.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

MAC: Final = "52:54:00:12:34:56"
UPLOADED: Final = b"as good as an ISO"
RELEASE: Final = {
    "name": "debian-12", "family": "debian", "version": "12",
    "kernel_url": "https://mirror.example.org/debian-12/linux", "kernel_sha256": "0" * 64,
    "initrd_url": "https://mirror.example.org/debian-12/initrd.gz", "initrd_sha256": "1" * 64,
    "install_url": "{node_url}/mirror/debian",
}  # fmt: skip
MACHINE: Final = {
    "name": "node1", "mac": MAC, "role": "compute", "release": "debian-13",
    "bmc": {"type": "ipmi", "address": "10.0.9.1", "username": "root", "password": "calvin"},
    "interfaces": [{"mac": MAC, "name": "eno1", "network": "provisioning"}],
    "disks": {"system": "disk/by-path/pci-0000:00:1f.2-ata-1"}, "labels": {"rack": "r12"},
    "location": {"site": "Berlin", "rack": "R12", "unit": 7},
}  # fmt: skip
TOKEN: Final = {"name": "ci", "role": "viewer", "read_only": True, "expires_at": "2099-01-01T00:00:00Z"}
BACK: Final = {"comment": "It did not work out"}
EXAMPLES: Final[dict[str, Any]] = {
    "networks.create": {"name": "provisioning", "cidr": "10.3.0.0/24", "gateway": "10.3.0.1", "dns": ["10.3.0.1"]},
    "networks.change": {"ntp": ["10.3.0.1"]},
    "networks.replace": {
        "cidr": "10.3.0.0/24", "gateway": "10.3.0.1", "dhcp_start": "10.3.0.100", "dhcp_end": "10.3.0.199",
    },
    "networks.restore": BACK,
    "clusters.create": {"name": "prod", "description": "The production cloud"},
    "clusters.change": {"description": "The production cloud, in Berlin"},
    "clusters.replace": {"description": "The production cloud"},
    "clusters.rotate": {"secrets": []},
    "clusters.restore": BACK,
    "roles.create": {"name": "jump-host", "description": "A way in", "packages": {"debian": ["mosh"]}},
    "roles.change": {"packages": {"debian": ["mosh", "tmux"]}},
    "roles.replace": {"description": "A way in", "packages": {"debian": ["mosh"]}},
    "roles.restore": BACK,
    "releases.create": RELEASE,
    "releases.change": {"kernel_args": "console=ttyS0"},
    "releases.replace": {**RELEASE, "kernel_args": "console=ttyS1"},
    "releases.restore": BACK,
    "templates.save": {"text": "# {{ spec.hostname }}\n", "comment": "Only a name, to begin with"},
    "templates.rollback": {"version": 1},
    "machines.create": MACHINE,
    "machines.change": {"labels": {"rack": "r12", "owner": "ops"}},
    "machines.replace": {**MACHINE, "serial": "CZ1234"},
    "machines.bring": {"verb": "provide"},
    "machines.imports": [
        {"name": "node2", "mac": "52:54:00:12:34:57", "role": "compute", "release": "debian-13"},
        {"name": "node3", "mac": "52:54:00:12:34:58", "labels": {"rack": "r12"}},
    ],
    "sightings.adopt": {"items": [{"name": "node4", "mac": "52:54:00:12:34:59", "role": "storage"}]},
    "lists.save": {"query": "state=failed", "sort": "-updated", "columns": ["name", "mac", "state"], "shared": True},
    "power.order": {"action": "cycle"},
    "bmc.set_boot_device": {"device": "network", "uefi": True},
    "bmc.identify": {"seconds": 30},
    "consoles.keys": {"text": "root\r"},
    "consoles.act": {"action": "break"},
    "jobs.order": {"action": "label", "set": {"owner": "ops"}, "filter": {"label": "rack=r12"}, "expect": 2},
    "diffs.compare": {
        "roles": {"compute": {"packages": {"debian": ["openssh-server", "htop"]}}},
        "select": {"role": "compute", "label": "rack=r12"},
    },
    "repositories.create": {"name": "tools", "kind": "deb", "description": "What we build ourselves"},
    "repositories.change": {"suite": "trixie"},
    "repositories.edit": {
        "add": [{"upload": hashlib.sha256(UPLOADED).hexdigest(), "name": "node-agent_1.2_all.deb"}],
        "remove": ["old-agent", "node-agent=1.1"],
    },
    "repositories.add_key": {},
    "deployments.deploy": {"release": "debian-13", "role": "compute"},
    "users.create": {"name": "ada", "role": "operator", "password": "a-long-password"},
    "users.change": {"role": "viewer"},
    "tokens.create": TOKEN,
    "account.create_token": TOKEN,
    "account.sign_in": {"name": "ada", "password": "a-long-password", "token_name": "ada's notebook"},
    "account.password": {"old": "a-long-password", "new": "another-long-password"},
    "account.confirm_totp": {"code": "123456"},
    "account.renew_recovery_codes": {"password": "a-long-password"},
    "account.remove_totp": {"password": "a-long-password"},
    "webhooks.create": {
        "name": "chat", "url": "https://hooks.example.org/pxeapp", "events": ["machine.*", "job.finish"],
    },
    "webhooks.change": {"events": ["machine.*"]},
    "webhooks.replace": {"url": "https://hooks.example.org/pxeapp", "events": ["machine.*"]},
    "snapshots.create": {"name": "2026-11", "description": "What was tested in November"},
    "snapshots.promote": {"to": "dev"},
    "bundles.create": {"name": "site-2026-11", "snapshots": ["2026-12"]},
    "bundles.verify": {"paths": ["site-2026-11.001-of-001"]},
    "bundles.take": {"paths": ["site-2026-11.001-of-001"], "trust": []},
    "channels.create": {"name": "canary", "before": "production"},
    "channels.rollback": {"reason": "nova-compute does not start"},
    "tasks.clean": {"older_than_hours": 24},
    "upstreams.create": {
        "name": "rocky", "url": "https://download.example.org/pub/rocky", "kind": "yum", "max_bytes": 53_687_091_200,
    },
    "upstreams.change": {"freshness_s": 3600, "aliases": ["dl.example.org/pub/rocky"]},
    "upstreams.purge": {"path": "9/BaseOS/x86_64/os/Packages/c/chrony-4.5-1.el9.x86_64.rpm"},
    "upstreams.seed": {
        "sources": [{"upstream": "rocky", "path": "9/BaseOS/x86_64/os"}], "family": "el", "packages": ["chrony"],
    },
    "mirrors.create": {
        "name": "compute-debian-13", "upstream": "debian", "release": "debian-13",
        "roles": [{"role": "compute", "vars": {"neutron": "ovn"}}], "definitions": ["openstack-client"], "base": True,
    },
    "mirrors.change": {"packages": ["htop"], "every_hours": 24},
    "mirrors.preview": {
        "sources": [{"upstream": "debian", "suite": "trixie", "components": ["main"]}], "packages": ["memcached"],
    },
    "media.create": {"path": "Rocky-9.4-x86_64-dvd.iso", "sha256": "0" * 64},
    "appliance.observe": {"reason": "The power feed of row 3 is being worked on"},
}  # fmt: skip
# What stands in addresses: by the operation, or by what it is about.
ADDRESSES: Final[dict[str, str | int]] = {
    "key": "node1", "number": 1, "wave": 1, "name": "prod",
    "networks.name": "provisioning", "clusters.name": "prod", "roles.name": "jump-host", "releases.name": "debian-12",
    "webhooks.name": "chat", "users.name": "ada", "lists.name": "Broken", "exports.name": "node1",
    "deployments.name": "installer", "templates.path": "kickstarts/monitor.ks",
    "repositories.name": "tools", "repositories.fingerprint": "0123456789ABCDEF0123456789ABCDEF01234567",
    "snapshots.name": "2026-11", "channels.name": "dev", "bundles.name": "site-2026-11",
    "bundles.file": "site-2026-11.001-of-001",
    "media.name": "rocky-9.4", "uploads.name": "rocky-9.iso", "mirrors.name": "compute-debian-13",
    "tasks.cancel.number": 2, "channels.delete.name": "canary",
    "upstreams.name": "rocky",
    "diffs.found.number": 2, "jobs.cancel.number": 3, "tokens.revoke.number": 4, "account.revoke_token.number": 5,
}  # fmt: skip


def address(endpoint: str, parameter: str) -> str | int:
    """What may stand for a parameter of an operation's address."""
    kind = endpoint.partition(".")[0]
    for name in (f"{endpoint}.{parameter}", f"{kind}.{parameter}"):
        if name in ADDRESSES:
            return ADDRESSES[name]
    return ADDRESSES.get(parameter, "node1")


@cache
def answers() -> dict[str, dict[str, Any]]:
    """What was answered, by operation and status."""
    return dict(json.loads(Path(__file__).with_name("answer_examples.json").read_text()))
