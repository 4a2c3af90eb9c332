"""The host keys of the system before: found on real file systems, read-only, and put into the new one."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pxeapp.answers import releases, render
from tests.answers.samples import TEMPLATES, spec
from tests.answers.site.sample import with_site

SCRIPT = TEMPLATES.render("boot/site/host_keys.sh", spec=spec("debian", "13"), dialect=releases.dialect("debian", "13"))
SHELLS = pytest.mark.parametrize("shell", [("bash",), ("dash",), ("busybox", "sh")], ids=lambda shell: shell[0])
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="not root: no file system can be mounted")


def run(
    shell: tuple[str, ...], folder: Path, calls: str, *, path: str = "", within: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """The functions with their folders below this one; /sys/class/block and /dev too when they are there."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    text = SCRIPT.replace("/tmp/", f"{folder}/")
    if (folder / "sys").exists():
        text = text.replace("/sys/class/block/", f"{folder}/sys/").replace("/dev/", f"{folder}/dev/")
        text = text.replace(f"2>{folder}/dev/null", "2>/dev/null").replace(f">{folder}/dev/null", ">/dev/null")
        text = text.replace(f"name#{folder}/dev/", "name#/dev/")
    environment = {"PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]}
    return subprocess.run(
        [*within, *shell, "-c", f"{text}\n{calls}"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )


def old_system(root: Path) -> None:
    """A root file system with keys, and with what only looks like some."""
    ssh = root / "etc/ssh"
    ssh.mkdir(parents=True)
    (ssh / "ssh_host_ed25519_key").write_text("the old private key\n")
    (ssh / "ssh_host_ed25519_key").chmod(0o640)
    (ssh / "ssh_host_ed25519_key.pub").write_text("the old public key\n")
    (ssh / "ssh_host_rsa_key").symlink_to("/etc/shadow")  # a tenant's wish to have it published
    (ssh / "ssh_host_dsa_key").write_bytes(bytes(30_000))
    (ssh / "sshd_config").write_text("no key\n")


@contextmanager
def disk(folder: Path, make: tuple[str, ...], *, with_keys: bool = True) -> Iterator[str]:
    """A loop device with a file system and an old system on it; gives its name."""
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(320 * 1024 * 1024 if make[0] == "mkfs.xfs" else 16 * 1024 * 1024)
    subprocess.run([*make, str(image)], check=True, capture_output=True, timeout=60)
    mounted = folder / "mounted"
    mounted.mkdir()
    if subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], capture_output=True, check=False).returncode:
        pytest.skip(f"this kernel mounts no {make[0]} over a loop device")
    try:
        if with_keys:
            old_system(mounted)
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
    device = subprocess.run(
        ["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        yield device.removeprefix("/dev/")
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@needs_root
@SHELLS
@pytest.mark.parametrize("make", [("mkfs.ext4", "-q"), ("mkfs.xfs", "-q")], ids=["ext4", "xfs"])
def test_they_are_taken_from_a_disk_that_is_not_written_to_and_put_back(
    shell: tuple[str, ...], make: tuple[str, ...], tmp_path: Path
) -> None:
    if shutil.which(make[0]) is None:
        pytest.skip(f"{make[0]} is not installed")
    new = tmp_path / "new"
    with disk(tmp_path, make) as name:
        before = hashlib.sha256((tmp_path / "disk.img").read_bytes()).hexdigest()
        done = run(
            shell, tmp_path, f"keep_host_keys /dev/{name}; ls {tmp_path}/pxeapp-host-keys; restore_host_keys {new}"
        )
        assert hashlib.sha256((tmp_path / "disk.img").read_bytes()).hexdigest() == before
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-3:] == ["ssh_host_ed25519_key", "ssh_host_ed25519_key.pub", ""], done.stdout
    assert (new / "etc/ssh/ssh_host_ed25519_key").read_text() == "the old private key\n"
    assert {path.name: f"{path.stat().st_mode & 0o777:o}" for path in (new / "etc/ssh").iterdir()} == {
        "ssh_host_ed25519_key": "600", "ssh_host_ed25519_key.pub": "644"
    }  # fmt: skip
    assert not (tmp_path / "pxeapp-host-keys").exists(), "they stay nowhere else"


@needs_root
@SHELLS
def test_they_are_found_where_the_kernel_has_not_named_the_file_system_yet(
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """As in debian-installer before its partitioner: busybox's mount tries only what /proc/filesystems names."""
    (tmp_path / "filesystems").write_text("nodev\tsysfs\nnodev\ttmpfs\n\tvfat\n")
    hidden = ("unshare", "--mount", "--propagation", "private", "sh", "-c",
              'mount --bind "$0" /proc/filesystems && exec "$@"', str(tmp_path / "filesystems"))  # fmt: skip
    if subprocess.run([*hidden, "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted over /proc/filesystems here")
    with disk(tmp_path, ("mkfs.ext4", "-q")) as name:
        done = run(shell, tmp_path, f"keep_host_keys {name}", within=hidden)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pxeapp-host-keys/ssh_host_ed25519_key").read_text() == "the old private key\n", done.stdout


NO_BUSYBOX = pytest.mark.parametrize(
    "shell", [("bash",), ("dash",)], ids=lambda shell: shell[0]
)  # it has its own mount


@NO_BUSYBOX
def test_the_drivers_are_loaded_before_anything_is_looked_into(shell: tuple[str, ...], tmp_path: Path) -> None:
    """The kernel of debian-installer: a file system that nobody has loaded is no such device."""
    programs = machine(tmp_path)
    old_system(tmp_path / "volume")
    loaded = tmp_path / "loaded"
    program(programs, "modprobe", f'echo "$1" >>{loaded}')
    program(programs, "blkid", "exit 2")
    program(
        programs,
        "mount",
        f'grep -qx xfs {loaded} && [ "$1 $2" = "-t xfs" ] || exit 32\ncp -a {tmp_path}/volume/. "$6"/',
    )
    program(programs, "umount", "exit 0")
    done = run(shell, tmp_path, "keep_host_keys sda", path=str(programs))
    assert "of the system on sda1 are kept" in done.stdout, done.stderr
    assert {"ext4", "xfs", "btrfs", "dm-mod", "md-mod", "raid1"} <= set(loaded.read_text().split())


@NO_BUSYBOX
def test_a_system_that_cannot_be_read_is_named(shell: tuple[str, ...], tmp_path: Path) -> None:
    programs = machine(tmp_path)
    kinds = "*sda1) kind=vfat ;; *sda2) kind=ext4 ;; *) kind=LVM2_member ;;"
    program(programs, "blkid", f'case $2 in {kinds} esac\necho "$2: UUID=\\"1\\" SEC_TYPE=\\"x\\" TYPE=\\"$kind\\""')
    program(programs, "mount", "exit 32")
    program(programs, "lvm", "exit 5")
    done = run(shell, tmp_path, "keep_host_keys sda >/dev/null; lost_host_keys", path=str(programs))
    assert done.stdout.replace(f"{tmp_path}/dev/", "") == (
        "New ssh host keys will be made: this installer cannot read sda2 (ext4) sda (LVM).\n"
    )
    program(programs, "blkid", "exit 2")
    done = run(shell, tmp_path, "keep_host_keys sda >/dev/null; lost_host_keys", path=str(programs))
    assert (done.returncode, done.stdout) == (1, ""), "an empty disk is nothing to speak of"


@needs_root
@SHELLS
def test_where_there_are_none_nothing_happens(shell: tuple[str, ...], tmp_path: Path) -> None:
    with disk(tmp_path, ("mkfs.ext4", "-q"), with_keys=False) as name:
        done = run(shell, tmp_path, f"set -e\nkeep_host_keys {name} nothing-here\nrestore_host_keys {tmp_path}/new")
    assert done.returncode == 0, done.stderr
    assert "new ones will be made" in done.stdout
    assert not (tmp_path / "new/etc").exists()


def machine(folder: Path) -> Path:
    """A disk sda with two partitions, as the kernel shows it, and the programs of LVM and of mount."""
    for name in ("sda1", "sda2"):
        (folder / "sys/sda" / name).mkdir(parents=True)
        (folder / "dev").mkdir(exist_ok=True)
        (folder / "dev" / name).touch()
    (folder / "dev/sda").touch()
    programs = folder / "bin"
    programs.mkdir()
    return programs


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@NO_BUSYBOX
def test_a_volume_of_the_disks_own_group_is_looked_at_and_the_group_is_left_as_it_was(
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """Device mapper is not everywhere where tests run: lvm and mount are played, the shell is real."""
    programs = machine(tmp_path)
    old_system(tmp_path / "volume")
    log = tmp_path / "log"
    program(
        programs, "lvm",
        f'echo "$*" >>{log}\n'
        f'case "$*" in\n"pvs --noheadings -o vg_name {tmp_path}/dev/sda2") echo "  system " ;;\n'
        f"*-ay*) mkdir -p {tmp_path}/dev/system; touch {tmp_path}/dev/system/root {tmp_path}/dev/system/swap ;;\n"
        f"*-an*) rm -r {tmp_path}/dev/system ;;\n*) exit 5 ;;\nesac",
    )  # fmt: skip
    program(
        programs, "mount",
        f'echo "mount $*" >>{log}\n[ "$5" = {tmp_path}/dev/system/root ] || exit 32\ncp -a {tmp_path}/volume/. "$6"/',
    )  # fmt: skip
    program(programs, "umount", f'echo "umount $*" >>{log}')
    done = run(shell, tmp_path, "keep_host_keys /dev/sda", path=str(programs))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pxeapp-host-keys/ssh_host_ed25519_key").read_text() == "the old private key\n"
    assert "the system on sda2 are kept" in done.stdout
    said = log.read_text().splitlines()
    assert [line for line in said if "vgchange" in line] == ["vgchange -q -ay system", "vgchange -q -an system"]
    assert all(
        re.match("mount -t [a-z4]+ -o ro,(norecovery|rescue=nologreplay) ", line)
        for line in said
        if line.startswith("mount")
    )


@SHELLS
def test_keys_that_are_there_are_not_replaced_by_another_disks(shell: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "pxeapp-host-keys").mkdir()
    (tmp_path / "pxeapp-host-keys/ssh_host_rsa_key").write_text("the first disk's\n")
    done = run(shell, tmp_path, "keep_host_keys nothing-here")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("family", "version", "kind"),
    [("rocky", "9", "kickstart"), ("debian", "13", "script"), ("ubuntu", "24.04", "script")],
)
def test_every_installer_reports_what_it_could_not_read(family: str, version: str, kind: str) -> None:
    text = render.render(kind, with_site(spec(family, version), {"keep_ssh_host_keys": True}), TEMPLATES)
    said = text.index('if said=$(lost_host_keys); then report progress "$said"; fi')
    assert text.index('; do keep_host_keys "') < said
