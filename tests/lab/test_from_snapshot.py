"""A whole life without the internet: installed from a snapshot with the upstream unplugged, then patched by a rollout.

Only in `make soak`. The Debian installer itself, unmodified, in the virtual rack: what it loads comes from a mirror of
ours that was frozen in a snapshot, signed with the appliance's key, and the door to the packages is shut before the
machine is switched on. Afterwards a rollout moves it to the next snapshot, over real ssh, and restarts it by its BMC.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pxeapp.lab.appliance import NETWORK, Appliance
from pxeapp.lab.client import Api
from pxeapp.lab.demo import DEBIAN
from pxeapp.lab.machine import disk_path
from pxeapp.lab.rack import Rack
from pxeapp.lab.spec import build
from tests.lab import needs
from tests.lab.test_debian_installer import Installed, installed
from tests.lab.test_debian_installer import key as key
from tests.sweep import FULL

pytestmark = [
    *needs.APPLIANCE,
    pytest.mark.soak,
    pytest.mark.network,
    pytest.mark.timeout(4 * 60 * 60),
    pytest.mark.skipif(not FULL, reason="an hour of emulation: only in `make soak`"),
]

MACHINE = {"name": "node1", "firmware": "bios", "data_disks": 2, "data_gib": 1, "disk_gib": 8}
MIRROR, TOOLS = "debian-13-base", "tools"
FIRST, SECOND = "2026-11", "2026-12"
ARGUMENTS = "mitigations=off base-installer/kernel/image=linux-image-cloud-amd64"
KERNEL = "linux-image-cloud-amd64"
PATIENCE_S = 30 * 60.0
DEAF = """
cat >/usr/local/sbin/systemctl <<'END'
#!/bin/sh
[ "$1" = reboot ] || exec /usr/bin/systemctl "$@"
END
printf '#!/bin/sh\\n' >/usr/local/sbin/reboot
chmod 755 /usr/local/sbin/systemctl /usr/local/sbin/reboot
"""


def package(folder: Path, version: str) -> Path:
    """A package of the site's own, which says its version."""
    root = folder / f"site-agent-{version}"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        f"Package: site-agent\nVersion: {version}\nArchitecture: all\nMaintainer: ops <ops@example.org>\n"
        "Description: the site's agent\n"
    )
    (root / "etc").mkdir()
    (root / "etc" / "site-agent-version").write_text(f"{version}\n")
    done = folder / f"site-agent_{version}_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(root), str(done)], check=True, timeout=60)
    return done


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Iterator[Appliance]:
    """The rack, with a mirror and a repository of its own frozen in a snapshot, and then without any upstream."""
    folder = tmp_path_factory.mktemp("snapshot")
    said = [{**MACHINE, "release": DEBIAN, "memory_mib": 1024, "cpus": 2}]
    rack = Rack.up(build({"name": "frozen", "network": "10.76.0.0/24", "machines": said}), folder / "rack")
    try:
        running = Appliance(rack, folder)
        running.start()
        running.command("release", "add-debian", "13", "--accept-unsigned-udebs")
        running.command(
            "mirror", "create", MIRROR, "--upstream", "debian", "--release", DEBIAN, "--role", "base", "--base",
            "--installer", "--package", KERNEL, "--package", "grub-pc", "--package", "openssh-server",
            "--package", "sudo", "--accept-unsigned",
        )  # fmt: skip
        running.command("repository", "create", TOOLS, "--kind", "deb", "--suite", "trixie")
        running.command("repository", "upload", TOOLS, str(package(folder, "1.0")))
        running.command("snapshot", "take", FIRST)
        running.command("repository", "upload", TOOLS, str(package(folder, "1.1")))
        running.command("snapshot", "take", SECOND)
        _frozen(running, key.with_suffix(".pub").read_text().strip())
        running.unplug()
        yield running
    finally:
        rack.down()


def _frozen(appliance: Appliance, key: str) -> None:
    """The release installs from the snapshot, and from nothing else."""
    admin = appliance.api("admin")
    tools = {"name": TOOLS, "url": f"{{node_url}}/repo/{TOOLS}", "suite": "trixie", "components": "main"}
    release = {
        "install_url": f"{{node_url}}/repo/{MIRROR}", "repositories": [tools], "kernel_args": ARGUMENTS,
        "settings": {"suite": "trixie", "snapshot": FIRST},
    }  # fmt: skip
    admin.patch(f"/releases/{DEBIAN}", release)
    base = appliance.rack.spec.network.rsplit(".", 1)[0]
    admin.post(
        "/networks",
        {
            "name": NETWORK, "cidr": appliance.rack.spec.network, "gateway": appliance.rack.spec.appliance,
            "domain": "rack.test", "dhcp_start": f"{base}.50", "dhcp_end": f"{base}.99",
        },
    )  # fmt: skip
    rows = appliance.rack.machines_file(NETWORK)
    for row in rows:
        row["disks"] = {"system": disk_path(0)}
        row["vars"] = {
            "remote_access": True, "packages": ["site-agent"], "installer_logs": "always",
            # Two emulated processors now and then fall over a kernel that patches itself while it starts.
            "kernel_args": ["panic=30"],
            "users": [{"name": "ada", "sudo": "nopasswd", "ssh_authorized_keys": [key]}],
        }  # fmt: skip
    admin.post("/machines/import", rows)


@pytest.fixture(scope="module")
def node(appliance: Appliance, key: Path) -> Installed:
    return installed(appliance, key, "node1", untouched=2)


def test_it_was_installed_from_the_snapshot_and_reads_nothing_else(appliance: Appliance, node: Installed) -> None:
    sources = node.run("cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^#'")
    places = [word for word in sources.split() if word.startswith("http")]
    prefix = f"{appliance.environment['PXEAPP_NODE_URL']}/repo/snapshots/{FIRST}/"
    assert places
    assert all(place.startswith(prefix) for place in places), sources
    assert node.run("cat /etc/site-agent-version") == "1.0"
    node.run("apt-get update 2>&1 | tee /tmp/said; ! grep -E '^(W|E|Err)' /tmp/said")
    assert node.run("apt-get -s dist-upgrade | grep -c ^Inst || true") == "0"


def rolled(operator: Api, said: dict[str, Any]) -> dict[str, Any]:
    """A rollout, begun and followed until it goes no further by itself."""
    number = operator.post("/rollouts", said)["id"]
    operator.post(f"/rollouts/{number}/start", {})
    deadline = time.monotonic() + PATIENCE_S
    while (row := operator.get(f"/rollouts/{number}"))["state"] not in ("done", "aborted", "paused"):
        assert time.monotonic() < deadline, row
        time.sleep(2)
    return row


def course(operator: Api, rollout: dict[str, Any]) -> str:
    """Its last lines."""
    return json.dumps(operator.get(f"/rollouts/{rollout['id']}/events")["items"][-8:], indent=1)


def test_a_rollout_moves_it_to_the_next_snapshot_and_its_bmc_restarts_it(appliance: Appliance, node: Installed) -> None:
    """What the system is asked for over ssh does nothing: a quarter of an hour later its BMC switches it off and on."""
    node.run(DEAF)
    before = node.run("cat /proc/sys/kernel/random/boot_id")
    operator = appliance.api("operator")
    gates = [{"ssh": {}}, {"rebooted": {}}, {"command": {"command": "grep -x 1.1 /etc/site-agent-version"}}]
    said: dict[str, Any] = {
        "name": "to-the-next-snapshot",
        "machines": {"names": ["node1"]},
        "action": {"patch": {"snapshot": SECOND}},
        "reboot": "always",
        "order": {"canary": 0, "soak": "0s", "max_unavailable": 1},
        "verify": {"gates": gates},
    }
    made = rolled(operator, said)
    assert made["state"] == "done", course(operator, made)
    assert node.run("cat /etc/site-agent-version") == "1.1"
    assert node.run("cat /proc/sys/kernel/random/boot_id") != before
    steps = operator.get(f"/rollouts/{made['id']}/members/node1")["steps"]
    assert [step["step"] for step in steps] == ["drain", "patch", "reboot", "verify", "undrain"]
    assert "power_action" in steps[2]["evidence"], "it was the BMC that did it"


def test_a_machine_that_fails_on_purpose_stops_the_rollout_before_the_next_one(
    appliance: Appliance, node: Installed
) -> None:
    """docs/rollouts.md: the canary's gate does not hold, one failure is one too many, and nobody else is begun."""
    admin, operator = appliance.api("admin"), appliance.api("operator")
    admin.post("/machines", {"name": "node2", "mac": "52:54:00:76:00:02", "role": "base", "release": DEBIAN})
    with closing(sqlite3.connect(appliance.folder / "data" / "pxeapp.db", timeout=30)) as database, database:
        database.execute("UPDATE machines SET state = 'active' WHERE name = 'node2'")  # it serves; nobody will ask it
    said: dict[str, Any] = {
        "name": "fails-on-purpose",
        "machines": {"names": ["node1", "node2"]},
        "action": {"patch": {"snapshot": SECOND}},
        "reboot": "never",
        "order": {"canary": 1, "soak": "0s", "max_unavailable": 1},
        "verify": {"gates": [{"command": {"command": "test -e /tmp/mended"}}], "settle": "0s", "timeout": "2m"},
    }
    row = rolled(operator, said)
    assert row["state"] == "paused", course(operator, row)
    assert "node1" in row["reason"]
    place = f"/rollouts/{row['id']}"
    failed = operator.get(f"{place}/members/node1")
    assert (failed["state"], failed["steps"][-1]["step"], failed["steps"][-1]["outcome"]) == (
        "failed", "verify", "failed",
    )  # fmt: skip
    assert operator.get(f"{place}/members/node2")["state"] == "waiting"
    assert operator.get("/machines/node1")["state"] == "service failed"
    node.run("touch /tmp/mended")
    operator.post(f"{place}/members/node2/skip", {})
    operator.post(f"{place}/members/node1/retry", {})
    operator.post(f"{place}/resume", {})
    deadline = time.monotonic() + PATIENCE_S
    while (row := operator.get(place))["state"] == "running":
        assert time.monotonic() < deadline, row
        time.sleep(2)
    assert row["state"] == "done", course(operator, row)
    assert operator.get("/machines/node1")["state"] == "active"
