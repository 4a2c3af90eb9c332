"""The real Debian installer in the virtual rack: what was asked of disks, users, files and network is what there is.

Only in `make soak`: each machine is a whole installation of Debian 13, half an hour of emulation. Afterwards the tests
sign in to it as the site's own user and look; the disk that must not be touched is compared from outside.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pxeapp.lab.appliance import NETWORK, Appliance
from pxeapp.lab.client import Api
from pxeapp.lab.demo import DEBIAN
from pxeapp.lab.machine import disk_path
from pxeapp.lab.rack import Rack
from pxeapp.lab.spec import build
from tests.answers.site.sample import CA, HASH
from tests.lab import needs
from tests.sweep import FULL

pytestmark = [
    *needs.APPLIANCE,
    pytest.mark.soak,
    pytest.mark.network,
    pytest.mark.timeout(4 * 60 * 60),
    pytest.mark.skipif(not FULL, reason="an hour of emulation for each machine: only in `make soak`"),
]

MACHINES = (
    {"name": "mirror1", "firmware": "uefi", "data_disks": 3, "data_gib": 6, "disk_gib": 6},
    {"name": "plain1", "firmware": "bios", "data_disks": 2, "data_gib": 2, "disk_gib": 10},
)
LAYOUTS: dict[str, dict[str, Any]] = {
    "mirror1": {
        "system": [{"path": disk_path(0)}, {"path": disk_path(1)}],
        "raid": 1,
        "root": "lvm",
        "volumes": {"/": "2G", "/var": "1536M", "swap": "256M"},
        "groups": {"spare": {"disks": [{"path": disk_path(2)}]}},
        "raw": [{"path": disk_path(3)}],
    },
    "plain1": {
        "system": {"size": "largest"},
        "volumes": {"/": "3G", "/var": "rest", "swap": "512M"},
        "filesystem": "xfs",
        "groups": {"spare": {"disks": [{"path": disk_path(1)}]}},
        "raw": [{"path": disk_path(2)}],
    },
}
UNTOUCHED = {"mirror1": 3, "plain1": 2}
FILE = "50 % of it: $HOME `id` 'quoted' \"twice\" \\ caf\u00e9\n%end\nno line end"
SITE: dict[str, Any] = {
    "ntp": ["10.75.0.1"],
    "timezone": "Europe/Rome",
    "serial_console": "ttyS0,115200",
    "kernel_args": ["panic=30"],
    "sysctl": {"vm.swappiness": 11},
    "firewall": {"ports": ["8080/tcp"]},
    "ca_certificates": [{"name": "example", "pem": CA}],
    "files": [
        {"path": "/etc/motd", "content": FILE},
        {"path": "/opt/with blank/zero", "base64": "AAECAw==", "mode": "0600", "owner": "ada:adm", "secret": True},
    ],
    "pre_scripts": [{"name": "look", "content": ["#!/bin/sh", "uname -r >/tmp/looked"]}],
    "post_scripts": [
        {"name": "one", "content": ["#!/bin/bash", "echo one $BASH >>/root/order"]},
        {"name": "two", "content": "#!/bin/sh\necho two >>/root/order\nexit 3", "on_failure": "continue"},
    ],
    "installer_logs": "always",
    "network": {
        "ethernets": {"boot": {"network": NETWORK, "mtu": 1400}},
        "vlans": {"storage": {"link": "boot", "id": 120, "mtu": 1400, "addresses": ["10.20.0.11/24"]}},
    },
}
MARK = b"this disk belongs to somebody else" * 4096
PATIENCE_S = 180 * 60.0  # an hour alone on a core


@dataclass(frozen=True)
class Installed:
    """A machine that called in from its own disk, and how to sign in to it."""

    name: str
    address: str
    rack: Rack
    key: Path
    deployment: dict[str, Any]

    def run(self, command: str) -> str:
        """What this shell command says there, as the site's user with sudo; it has to succeed."""
        options = ["UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "BatchMode=yes", "ConnectTimeout=60"]
        ssh = ["ssh", "-q", "-i", str(self.key), *(word for option in options for word in ("-o", option))]
        said = subprocess.run(
            self.rack.argv([*ssh, f"ada@{self.address}", "sudo -n sh -s"]),
            input=command, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert said.returncode == 0, f"{command}: {said.stdout}{said.stderr}"
        return said.stdout.strip()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("key") / "ada"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(found)], check=True)
    return found


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Iterator[Appliance]:
    """The rack with its machines registered, each with its layout and the whole site."""
    folder = tmp_path_factory.mktemp("installer")
    said = [{**each, "release": DEBIAN, "memory_mib": 1024, "cpus": 2} for each in MACHINES]
    rack = Rack.up(build({"name": "d-i", "network": "10.75.0.0/24", "machines": said}), folder / "rack")
    try:
        running = Appliance(rack, folder)
        running.start()
        # As the demo does: some mirrors sync installer components beside the signed Release file.
        running.command("release", "add-debian", "13", "--accept-unsigned-udebs")
        admin = running.api("admin")
        admin.patch(
            f"/releases/{DEBIAN}",
            {"kernel_args": "mitigations=off base-installer/kernel/image=linux-image-cloud-amd64"},
        )
        _register(rack, admin, key.with_suffix(".pub").read_text().strip())
        yield running
    finally:
        rack.down()


def _register(rack: Rack, admin: Api, key: str) -> None:
    base = rack.spec.network.rsplit(".", 1)[0]
    admin.post(
        "/networks",
        {
            "name": NETWORK, "cidr": rack.spec.network, "gateway": rack.spec.appliance, "domain": "rack.test",
            "dhcp_start": f"{base}.50", "dhcp_end": f"{base}.99",
        },
    )  # fmt: skip
    users = [
        {"name": "ada", "groups": ["adm"], "sudo": "nopasswd", "ssh_authorized_keys": [key], "uid": 2001},
        {"name": "grace", "sudo": "password", "password_hash": HASH, "shell": "/bin/sh"},
    ]
    rows = rack.machines_file(NETWORK)
    for row in rows:
        row["disks"] = {"free": [row["disks"]["system"], *row["disks"]["data"]]}
        row["vars"] = {**SITE, "users": users, "layout": LAYOUTS[row["name"]]}
    admin.post("/machines/import", rows)


def installed(appliance: Appliance, key: Path, name: str, *, untouched: int) -> Installed:
    """The machine, once the installer is through and the system has called in from its own disk."""
    spec = appliance.rack.spec.machine(name)
    places = appliance.rack.places(spec)
    with places.data_disk(untouched).open("r+b") as disk:
        disk.write(MARK)
    api = appliance.api("operator")
    number = api.post(f"/machines/{name}/deploy", {})["id"]
    deadline = time.monotonic() + PATIENCE_S
    while not (row := api.get(f"/deployments/{number}"))["outcome"]:
        assert time.monotonic() < deadline, row["steps"][-3:]
        time.sleep(2)
    said = places.console_log.read_text(errors="replace")[-3000:]
    assert row["outcome"] == "succeeded", f"{row['reason']} {json.dumps(row['steps'][-3:])}\n{said}"
    return Installed(name, spec.address, appliance.rack, key, row)


@pytest.fixture(scope="module")
def mirror(appliance: Appliance, key: Path) -> Iterator[Installed]:
    found = installed(appliance, key, "mirror1", untouched=UNTOUCHED["mirror1"])
    yield found
    appliance.api("operator").post("/machines/mirror1/power", {"action": "off"})  # one at a time is enough


@pytest.fixture(scope="module")
def plain(appliance: Appliance, key: Path) -> Installed:
    return installed(appliance, key, "plain1", untouched=UNTOUCHED["plain1"])


def disks(machine: Installed) -> dict[str, dict[str, Any]]:
    """Every block device of the machine by name, with what it is part of."""
    columns = "NAME,TYPE,SIZE,FSTYPE,MOUNTPOINT,PKNAME"
    rows = json.loads(machine.run(f"lsblk --json --bytes --list -o {columns}"))["blockdevices"]
    return {f"{row['name']}<{row['pkname']}": row for row in rows}


def mounts(machine: Installed) -> dict[str, tuple[str, str]]:
    """Source and file system by mount point."""
    found = {}
    for line in machine.run("findmnt --real -rno TARGET,SOURCE,FSTYPE").splitlines():
        target, source, kind = line.split()
        found[target] = (source, kind)
    return found


def disk(machine: Installed, number: int) -> str:
    return Path(machine.run(f"readlink -f /dev/{disk_path(number)}")).name


def test_a_mirror_with_lvm_is_on_both_disks_and_whole(mirror: Installed) -> None:
    found = disks(mirror)
    first, second = disk(mirror, 0), disk(mirror, 1)
    members = {name: [row["pkname"] for row in found.values() if row["name"] == name] for name in ("md0", "md1")}
    for array, parents in members.items():
        assert {parent.rstrip("0123456789") for parent in parents} == {first, second}, array
    mounted = mounts(mirror)
    assert mounted["/boot"] == ("/dev/md0", "ext4")
    assert mounted["/"] == ("/dev/mapper/system-root", "ext4")
    assert mounted["/var"] == ("/dev/mapper/system-var", "ext4")
    assert mounted["/boot/efi"][1] == "vfat"
    assert "swap" in mirror.run("swapon --noheadings --show=NAME,TYPE; lvs --noheadings -o lv_name system")
    sizes = mirror.run("lvs --noheadings --nosuffix --units m -o lv_name,lv_size system").split()
    size = dict(zip(sizes[::2], map(float, sizes[1::2]), strict=True))
    assert 2048 <= size["root"] < 2200
    assert 1536 <= size["var"] < 1700
    assert "raid1" in mirror.run("cat /proc/mdstat")


def test_either_disk_of_the_mirror_has_the_loader(mirror: Installed) -> None:
    for number in (0, 1):
        part = f"/dev/{disk(mirror, number)}2"
        assert mirror.run(f"blkid -o value -s TYPE {part}") == "vfat"
        listed = mirror.run(
            f"mkdir -p /run/esp; mount -o ro {part} /run/esp; find /run/esp -iname 'boot*.efi'; umount /run/esp"
        )
        assert "BOOTX64.EFI" in listed.upper()


def test_a_plain_system_has_its_volumes_on_the_largest_disk(plain: Installed) -> None:
    system = disk(plain, 0)
    mounted = mounts(plain)
    for place, kind in {"/": "xfs", "/var": "xfs", "/boot": "ext4"}.items():
        source, made = mounted[place]
        assert Path(source).name.startswith(system), place
        assert made == kind, place
    size = int(plain.run("df --output=size -B1 /var").split()[-1])
    assert size > 4 << 30  # the rest of 10 GiB
    assert plain.run("swapon --noheadings --show=NAME").startswith(f"/dev/{system}")


@pytest.fixture(params=["mirror", "plain"])
def machine(request: pytest.FixtureRequest) -> Installed:
    found: Installed = request.getfixturevalue(request.param)
    return found


def test_it_was_the_real_installer_that_reported_each_step(machine: Installed) -> None:
    steps = [step["step"] for step in machine.deployment["steps"]]
    for step in ("answer_fetched", "installing", "installed", "first_boot", "verified"):
        assert step in steps


def test_the_spare_group_is_made_and_the_raw_disk_is_untouched(machine: Installed) -> None:
    number = UNTOUCHED[machine.name]
    spare = disk(machine, number - 1)
    assert machine.run("pvs --noheadings -o pv_name,vg_name -S vg_name=spare").split() == [f"/dev/{spare}", "spare"]
    places = machine.rack.places(machine.rack.spec.machine(machine.name))
    with places.data_disk(number).open("rb") as image:
        assert image.read(len(MARK)) == MARK
        while piece := image.read(1 << 24):
            assert not piece.strip(b"\0")


def test_users_are_as_asked(machine: Installed) -> None:
    assert machine.run("id -u ada") == "2001"
    assert "adm" in machine.run("id -Gn ada").split()
    for user, status in {"root": "L", "ada": "L", "grace": "P"}.items():
        assert machine.run(f"passwd --status {user}").split()[1] == status, user
    assert machine.run("getent passwd grace").endswith(":/bin/sh")
    assert "NOPASSWD" in machine.run("sudo -l -U ada")
    listed = machine.run("sudo -l -U grace")
    assert "ALL" in listed
    assert "NOPASSWD" not in listed


def test_files_scripts_and_certificates_are_there(machine: Installed) -> None:
    assert base64.b64decode(machine.run("base64 -w0 /etc/motd")) == FILE.encode()
    assert machine.run("stat -c '%a %U:%G %s' '/opt/with blank/zero'") == "600 ada:adm 4"
    assert machine.run("cat /root/order").splitlines() == ["one /bin/bash", "two"]
    assert "Example Root CA" in machine.run(
        "openssl storeutl -noout -text -certs /etc/ssl/certs/ca-certificates.crt | grep -o 'CN *= *Example Root CA'"
    )


def test_time_kernel_console_and_packet_filter_are_as_asked(machine: Installed) -> None:
    assert machine.run("readlink -f /etc/localtime").endswith("Europe/Rome")
    assert "10.75.0.1" in machine.run("cat /etc/chrony/chrony.conf /etc/chrony/sources.d/* 2>/dev/null || :")
    said = machine.run("cat /proc/cmdline").split()
    assert "panic=30" in said
    assert "console=ttyS0,115200" in said
    assert machine.run("sysctl -n vm.swappiness") == "11"
    assert machine.run("systemctl is-active serial-getty@ttyS0.service") == "active"
    rules = machine.run("nft list ruleset")
    assert "8080" in rules


def test_the_network_is_static_with_its_vlan(machine: Installed) -> None:
    links = {each["ifname"]: each for each in json.loads(machine.run("ip -details -json address"))}
    boot = next(
        each for each in links.values() if each.get("address", "").startswith("52:54:00:77") and "link" not in each
    )
    assert boot["mtu"] == 1400
    assert [each["local"] for each in boot["addr_info"] if each["family"] == "inet"] == [machine.address]
    vlan = links["storage"]
    assert vlan["linkinfo"]["info_data"]["id"] == 120
    assert [each["local"] for each in vlan["addr_info"] if each["family"] == "inet"] == ["10.20.0.11"]
    (route,) = json.loads(machine.run("ip -json route show default"))
    assert route["gateway"] == machine.rack.spec.appliance


def test_no_unit_failed_and_the_installers_log_is_with_the_appliance(appliance: Appliance, machine: Installed) -> None:
    failed = machine.run("systemctl list-units --failed --plain --no-legend")
    assert failed == ""
    logs = appliance.api("operator").get(f"/deployments/{machine.deployment['id']}/logs")["items"]
    assert {"syslog", "partman"} <= {each["name"] for each in logs}
