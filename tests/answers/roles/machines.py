"""Whole Debian systems from real packages, each with systemd as its first process, in a network of their own.

Not in QEMU: in namespaces of this kernel, which brings a controller up in minutes on two cores. What such a machine
lacks is a kernel of its own, so no modules and no clock; its disks are loop devices of this kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from pxeapp.answers.roles.work import Work

BRIDGE = "net"
CGROUPS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
LIBC, CLONE_NEWNET = ctypes.CDLL(None, use_errno=True), 0x40000000  # linux/sched.h
PROGRAMS = ("mmdebstrap", "unshare", "nsenter", "ip", "losetup")
CLEAN = ["env", "-i", "LC_ALL=C.UTF-8", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
# What debian-installer has set up by the time that it runs the last script.
INSTALL = """
mount -t proc proc "$1/proc" && mount -t sysfs -o ro sysfs "$1/sys" && mount --bind /dev "$1/dev"
chroot "$1" env -i LC_ALL=C HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -e /root/install
"""
BOOT = """
set -e
hostname "$2"
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t sysfs sysfs "$1/sys"
mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
for each in null zero full random urandom tty; do touch "$1/dev/$each"; mount --bind "/dev/$each" "$1/dev/$each"; done
for each in /dev/net/tun $3; do mkdir -p "$1${each%/*}"; cp -a "$each" "$1$each"; done # what it has besides
mkdir "$1/dev/pts" "$1/dev/shm" "$1/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$1/dev/pts"
ln -s pts/ptmx "$1/dev/ptmx"
ln -s /proc/self/fd "$1/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mkdir -p "$1/.old"
cd "$1"
pivot_root . .old
exec env -i container=pxeapp PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot . /bin/bash -c 'umount -l /.old; exec /lib/systemd/systemd --show-status=no'
"""
APPLIANCE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        said = self.rfile.read(int(self.headers["Content-Length"]))
        with open(sys.argv[2], "ab") as file:
            file.write(said + b"\\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer((sys.argv[1], 8081), Handler).serve_forever()
"""


def missing() -> str:
    """Why no such machine can be had here; empty where it can."""
    if os.geteuid() != 0:
        return "machines in namespaces need root"
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"not installed: {', '.join(absent)}"
    return "" if _cgroups() else "no unified cgroups here, which systemd needs"


def device_mapper() -> bool:
    """Whether this kernel can make logical volumes."""
    return "device-mapper" in Path("/proc/misc").read_text()


def _cgroups() -> Path | None:
    return next((each for each in CGROUPS if (each / "cgroup.procs").exists()), None)


def make(tree: Path, release: str, packages: list[str]) -> None:
    """A system with these packages and what they need, as the installer installs them: without recommended ones."""
    include = ",".join([*packages, "systemd-sysv", "dbus", "procps", "iproute2", "curl", "kmod", "ca-certificates"])
    options = ["--variant=minbase", "--dpkgopt=force-unsafe-io", '--aptopt=Acquire::Languages "none"']
    said = subprocess.run(
        ["mmdebstrap", *options, f"--include={include}", release, str(tree)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-3000:]


def install(tree: Path, name: str, work: Work, hosts: dict[str, str]) -> None:
    """What the last script of the installation does in the target."""
    (tree / "etc/hostname").write_text(f"{name}\n")
    lines = [f"{address} {host}\n" for host, address in {"localhost": "127.0.0.1", **hosts}.items()]
    (tree / "etc/hosts").write_text("".join(lines))
    services = "".join(f"systemctl enable {service} || :\n" for service in work.services)
    (tree / "root/install").write_text(f"{work.install}\n{services}")
    said = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", INSTALL, "sh", str(tree)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr[-3000:]


@contextmanager
def disk(file: Path, size: int) -> Iterator[str]:
    """An empty disk, as a loop device of this kernel."""
    with file.open("wb") as image:
        image.truncate(size)
    found = subprocess.run(["losetup", "--find", "--show", str(file)], capture_output=True, text=True, check=True)
    try:
        yield found.stdout.strip()
    finally:
        subprocess.run(["losetup", "--detach", found.stdout.strip()], check=True)
        file.unlink()


@dataclass(frozen=True)
class Network:
    """A network namespace with a bridge in it, and what the machines on the bridge have told the appliance there."""

    name: str
    told: Path
    _cables: Iterator[int] = field(default_factory=count)

    def events(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.told.read_text().splitlines()]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Whatever this thread connects to is in there, until the block ends."""
        with Path("/proc/thread-self/ns/net").open() as here, Path(f"/run/netns/{self.name}").open() as there:
            _set_network(there.fileno())
            try:
                yield
            finally:
                _set_network(here.fileno())

    @contextmanager
    def plugged_in(self, address: str) -> Iterator[str]:
        """A network namespace for one machine, whose card eth0 has this address and leads to the bridge."""
        name, cable = f"{self.name}-{next(self._cables)}", f"to{address.rpartition('.')[2]}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        try:
            card = ["type", "veth", "peer", "name", "eth0", "netns", name]
            _ip(self.name, "link", "add", cable, *card)
            _ip(self.name, "link", "set", cable, "master", BRIDGE, "up")
            for link in ("lo", "eth0"):
                _ip(name, "link", "set", link, "up")
            _ip(name, "address", "add", f"{address}/24", "dev", "eth0")
            yield name
        finally:
            subprocess.run(["ip", "netns", "delete", name], check=True)


def _set_network(descriptor: int) -> None:
    if LIBC.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _ip(where: str, *words: str) -> None:
    subprocess.run(["ip", "-n", where, *words], check=True)


@contextmanager
def network(folder: Path, appliance: str) -> Iterator[Network]:
    """A network that leads nowhere, with the appliance in it."""
    found = Network(f"pxeapp-{uuid.uuid4().hex[:8]}", folder / "told")
    found.told.touch()
    subprocess.run(["ip", "netns", "add", found.name], check=True)
    try:
        _ip(found.name, "link", "add", BRIDGE, "type", "bridge")
        for link in ("lo", BRIDGE):
            _ip(found.name, "link", "set", link, "up")
        _ip(found.name, "address", "add", f"{appliance}/24", "dev", BRIDGE)
        server = subprocess.Popen(
            ["ip", "netns", "exec", found.name, "python3", "-c", APPLIANCE, appliance, str(found.told)]
        )
        try:
            yield found
        finally:
            server.terminate()
            server.wait()
    finally:
        subprocess.run(["ip", "netns", "delete", found.name], check=True)


@dataclass(frozen=True)
class Machine:
    """One that runs; `cgroup` holds all of its processes."""

    cgroup: Path

    def run(self, command: str) -> str:
        """What this shell command says in the machine; it has to succeed."""
        pid = self._first_process()
        enter = ["nsenter", "-t", pid, "-m", "-u", "-i", "-n", "-p", f"--root=/proc/{pid}/root", "--wdns=/"]
        said = subprocess.run([*enter, *CLEAN, "bash", "-c", command], capture_output=True, text=True, check=False)
        assert said.returncode == 0, f"{command}: {said.stdout}{said.stderr}"
        return said.stdout

    def _first_process(self) -> str:
        for pid in (self.cgroup / "init.scope/cgroup.procs").read_text().split():
            if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                return pid
        raise AssertionError("systemd runs no more in this machine.")


@contextmanager
def booted(tree: Path, name: str, where: Network, address: str, devices: Sequence[str] = ()) -> Iterator[Machine]:
    """The machine from the start of its systemd until all its processes are ended; it has these device nodes."""
    with where.plugged_in(address) as cable:
        yield from _booted(tree, name, cable, " ".join(devices))


def _booted(tree: Path, name: str, cable: str, devices: str) -> Iterator[Machine]:
    root = _cgroups()
    assert root is not None
    cgroup = root / f"pxeapp-{uuid.uuid4().hex[:8]}"  # a new one each time: one that was killed kills what starts in it
    cgroup.mkdir()
    unshare = ["unshare", "--mount", "--uts", "--ipc", "--cgroup", "--pid", "--fork", "--propagation", "private"]
    start = ["ip", "netns", "exec", cable, *unshare, "--kill-child", "sh", "-c", BOOT, "sh", str(tree), name, devices]
    process = subprocess.Popen(
        ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(cgroup), *start],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (cgroup / "init.scope").exists():
            assert time.monotonic() < deadline, f"systemd did not start in {name}"
            time.sleep(0.2)
        yield Machine(cgroup)
    finally:
        (cgroup / "cgroup.kill").write_text("1")
        process.wait()
        for folder in sorted(cgroup.rglob("*/"), key=lambda each: -len(each.parts)):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            cgroup.rmdir()
