"""Layouts of every kind, by name."""

from __future__ import annotations

from typing import Any

PAIR = [{"serial": "S3Z9NB0K1"}, {"path": "disk/by-path/pci-0000:00:1f.2-ata-2"}]
FOUR = [{"model": "INTEL*", "size": "480G", "rotational": False, "count": 4}]
VOLUMES = {"/": "20G", "/var": "40G", "/var/log": "10G", "swap": "4G", "/home": "rest"}
LAYOUTS: dict[str, Any] = {
    "plain": "plain",
    "lvm": "lvm",
    "hint": {"system": {"wwn": "0x5002538e00000001"}, "root": "lvm"},
    "volumes": {"volumes": VOLUMES},
    "lvm-volumes": {"root": "lvm", "volumes": VOLUMES, "filesystem": "xfs"},
    "lvm-free": {"root": "lvm", "volumes": {"/": "20G", "swap": "2G", "/boot": "2G"}, "filesystem": "ext4"},
    "raid1": {"system": PAIR, "raid": 1, "volumes": VOLUMES},
    "raid1-lvm": {"system": PAIR, "raid": 1, "root": "lvm", "volumes": {**VOLUMES, "/home": "10G"}},
    "raid10-lvm": {"system": FOUR, "raid": 10, "root": "lvm", "filesystem": "xfs", "volumes": VOLUMES},
    "raid10": {"system": FOUR, "raid": 10, "volumes": {"/": "rest"}},
    "spare": {
        "system": "disk/by-path/pci-0000:00:1f.2-ata-1",
        "root": "lvm",
        "groups": {
            "cinder-volumes": {"disks": [{"model": "SAMSUNG MZ7*", "rotational": False, "count": 2}]},
            "nova_fast": {"disks": [{"serial": "PHLJ1"}], "wipe": True},
        },
        "raw": [
            {"wwn": "0x5000c500a1b2c3d4"},
            {"size": ">=3.5T", "rotational": True, "count": 3, "format": "xfs", "mount": "/srv/node/d*"},
            {"serial": "Z1D0", "format": "ext4", "wipe": True},
        ],
    },
}
