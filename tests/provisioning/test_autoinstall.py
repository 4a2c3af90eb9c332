"""Ubuntu from the loader's script to the first boot, as casper, cloud-init and subiquity would walk: over real HTTP."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from sqlalchemy import select
from werkzeug.serving import make_server

from pxeapp.answers.checks import CHECKERS, curtin
from pxeapp.db import now as present
from pxeapp.machines import selectors
from pxeapp.machines.models import Disk
from pxeapp.provisioning import node_logs
from pxeapp.provisioning.models import NodeLog
from pxeapp.provisioning.node_app import create_node_app
from pxeapp.provisioning.queue import Queue
from pxeapp.provisioning.steps import Step
from pxeapp.software import ubuntu
from tests.ports import free_port
from tests.provisioning.live_session import SEED, LiveSession
from tests.provisioning.rack import MAC, Rack, built

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(shutil.which("bsdtar") is None, reason="libarchive-tools is not installed"),
]
# One of each spelling of seed, archive and source; the whole files of all four are in tests/answers.
VERSIONS = {"20.04": "Focal Fossa", "24.04": "Noble Numbat"}
SYSTEM = "disk/by-path/pci-0000:00:1f.2-ata-1"


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    """node1 with a named system disk, and the machines' HTTP on a real port."""
    port = free_port()
    with built(tmp_path, node_url=f"http://127.0.0.1:{port}") as found:
        app = create_node_app(found.provisioner, Queue(found.provisioner.settings.queue_url), behind_front=False)
        server = make_server("127.0.0.1", port, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        with found.provisioner.database.write() as session:
            machine = selectors.get(session, "node1", lock=True)
            machine.disks = [Disk(purpose="system", path=SYSTEM), Disk(purpose="data", path="disk/by-id/ata-DATA_1")]
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def add_release(rack: Rack, folder: Path, version: str) -> bytes:
    """The release from an ISO of its own; returns the ISO's bytes."""
    tree = folder / "iso"
    for file, text in {
        ".disk/info": f'Ubuntu-Server {version} LTS "{VERSIONS[version]}" - Release amd64 (20260423)',
        "casper/vmlinuz": "kernel", "casper/initrd": "initrd",
    }.items():  # fmt: skip
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_text(text)
    path = folder / f"ubuntu-{version}-live-server-amd64.iso"
    subprocess.run(["bsdtar", "--format=iso9660", "-cf", str(path), "-C", str(tree), "."], check=True, timeout=60)
    ubuntu.add(rack.provisioner.database, rack.provisioner.settings, str(path), actor="user:ada", now=present())
    return path.read_bytes()


def netbooted(rack: Rack, number: int, folder: Path) -> LiveSession:
    """The machine asks for its script as iPXE does, fetches kernel and initrd and starts with that command line."""
    rack.work(number)
    url = rack.provisioner.settings.node_url
    script = requests.get(f"{url}/boot/ipxe?mac={MAC}&serial=S1", timeout=20).text
    kernel = next(line.split() for line in script.splitlines() if line.startswith("kernel "))
    initrd = next(line.split() for line in script.splitlines() if line.startswith("initrd "))
    assert [requests.get(each, timeout=20).text for each in (kernel[3], initrd[3])] == ["kernel", "initrd"]
    session = LiveSession(folder / "live", " ".join(kernel[4 : kernel.index("||")]))
    session.disks.disk("sda", by="udev", serial="D1")
    (session.root / "dev/disk/by-id/ata-DATA_1").symlink_to(session.root / "dev/sda")
    session.disks.disk("sdb", path=SYSTEM)
    return session


def hook(session: LiveSession, name: str, description: str, kind: str = "start", **more: str) -> int:
    """subiquity reports by the webhook that it was told of."""
    (told,) = session.document()["reporting"].values()
    body = {"name": name, "event_type": kind, "description": description, "origin": "curtin", "level": "INFO", **more}
    return requests.post(told["endpoint"], json=body, timeout=20).status_code


@pytest.mark.parametrize(("version", "order"), [("20.04", SEED[:3]), ("24.04", SEED), ("24.04", SEED[::-1])])
def test_a_machine_is_installed_as_ubuntu_and_calls_in_from_its_own_disk(
    rack: Rack, tmp_path: Path, version: str, order: tuple[str, ...]
) -> None:
    iso = add_release(rack, tmp_path, version)
    number = rack.deploy(release=f"ubuntu-{version}", role="base")
    session = netbooted(rack, number, tmp_path)
    assert rack.step(number) == Step.KERNEL_FETCHED
    assert session.load_iso() == iso
    seed = session.cloud_init(
        order
    )  # the first releases ask for no network-config, later ones before or after the rest
    assert seed.asked == [(name, 200) for name in order]
    assert rack.step(number) == Step.ANSWER_FETCHED
    assert seed.meta_data["local-hostname"] == "node1"
    said = seed.user_data["autoinstall"]["network"]
    assert seed.network_config in (None, {**said, "ethernets": {"card0": said["ethernets"]["card0"]}})

    session.autoinstall(seed.user_data["autoinstall"])
    assert session.run("early-commands") == [0]
    assert rack.step(number) == Step.INSTALLING
    assert session.document()["storage"]["layout"]["match"] == {"path": "/dev/sdb"}
    assert hook(session, "subiquity/Install/install/curtin_install", "installing system") == 200
    assert rack.deployment(number).progress == "curtin install: installing system"

    (session.logs / "curtin-install.log").write_text("curtin: Installation finished.\n")
    assert session.run("late-commands") == [0]
    assert rack.step(number) == Step.INSTALLED
    assert session.installed("etc/hostname") == "node1\n"
    assert "127.0.1.1 node1" in session.installed("etc/hosts")
    assert "passwd -l root" in session.ran
    assert session.argument("ds").partition(";")[2].removeprefix("s=").startswith(rack.provisioner.settings.node_url)
    url = session.argument("ds").partition(";s=")[2]
    assert requests.get(f"{url}user-data", timeout=20).status_code == 404, "its tokens are dead"

    assert session.first_boot() == 0
    rack.look(number)
    assert rack.deployment(number).outcome == "succeeded"
    assert rack.machine().state == "active"
    assert not (session.root / "target/usr/local/sbin/pxeapp-first-boot").exists()


def test_a_machine_without_its_disk_fails_with_the_reason_and_its_logs(rack: Rack, tmp_path: Path) -> None:
    add_release(rack, tmp_path, "24.04")
    number = rack.deploy(release="ubuntu-24.04", role="base")
    session = netbooted(rack, number, tmp_path)
    (session.root / "dev" / SYSTEM).unlink()
    session.autoinstall(session.cloud_init().user_data["autoinstall"])
    (told,) = session.document()["reporting"].values()
    (session.logs / "subiquity-server-debug.log").write_text(
        f"ERROR early command failed\nposting {told['endpoint']}\n"
    )
    assert session.run("early-commands") == [1]
    assert "/dev/pxeapp-system-disk" in (session.root / "autoinstall.yaml").read_text(), "no other disk is named"
    assert session.run("error-commands") == [0]
    found = rack.deployment(number)
    assert found.outcome == "failed"
    assert "pci-0000:00:1f.2-ata-1" in str(found.reason)
    with rack.provisioner.database.read() as read:
        names = {entry["name"] for entry in node_logs.listing(read, number)}
        log = read.scalars(select(NodeLog.content).where(NodeLog.name == "subiquity.log")).one()
    assert "subiquity.log" in names
    assert b"/c/***/events" in log
    assert told["endpoint"].split("/")[4].encode() not in log


def test_a_layouts_actions_are_given_disk_and_firmware_before_the_installer_reads_them_again(
    rack: Rack, tmp_path: Path
) -> None:
    add_release(rack, tmp_path, "24.04")
    with rack.provisioner.database.write() as session:
        selectors.get(session, "node1", lock=True).vars = {"layout": {"root": "lvm", "volumes": {"/": "20G"}}}
    number = rack.deploy(release="ubuntu-24.04", role="base")
    live = netbooted(rack, number, tmp_path)
    live.autoinstall(live.cloud_init().user_data["autoinstall"])
    assert live.run("early-commands") == [0]
    config = live.document()["storage"]["config"]
    uefi = Path("/sys/firmware/efi").is_dir()
    assert [action["path"] for action in config if action["type"] == "disk"] == ["/dev/sdb"]
    assert [action["grub_device"] for action in config if "grub_device" in action] == [not uefi, uefi]
    assert list(curtin.wrong(config, (), "24.04")) == []


def test_a_last_script_that_fails_is_a_failed_installation(rack: Rack, tmp_path: Path) -> None:
    add_release(rack, tmp_path, "24.04")
    number = rack.deploy(release="ubuntu-24.04", role="base")
    session = netbooted(rack, number, tmp_path)
    session.autoinstall(session.cloud_init().user_data["autoinstall"])
    assert session.run("early-commands") == [0]
    (session.root / "bin/passwd").write_text("#!/bin/dash\necho passwd: no such user >&2\nexit 1\n")
    assert session.run("late-commands") == [1]
    found = rack.deployment(number)
    assert found.outcome == "failed"
    assert "The last script failed: passwd: no such user" in str(found.reason)


def test_every_file_of_the_seed_is_checked_before_a_machine_is_deployed() -> None:
    assert {"user-data", "meta-data", "vendor-data", "script"} <= set(CHECKERS)
