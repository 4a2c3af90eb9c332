"""Nodes of a Swift on this host: each a folder with its /etc/swift and /srv/node, and an object server at 127.0.1.N.

The scripts that machines are sent run here as they are, but for where these two folders lie.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from pxeapp.nodes import reach
from pxeapp.nodes.connection import Ran
from pxeapp.nodes.errors import NodeUnreachable
from pxeapp.nodes.jobs import Job

NEEDED = ("swift-ring-builder", "swift-object-server", "swift-object-replicator")
needs_swift = pytest.mark.skipif(
    any(shutil.which(name) is None for name in NEEDED) or os.geteuid() != 0,
    reason="needs root and Swift (apt install swift swift-object)",
)
PYTHON = "/usr/bin/python3"  # Swift's own, not the one of a virtual environment
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
HASH = "[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = {suffix}\n"
SERVER = """\
[DEFAULT]
bind_ip = {ip}
bind_port = {port}
user = root
swift_dir = {etc}
devices = {srv}
mount_check = false
workers = 0
[pipeline:main]
pipeline = object-server
[app:object-server]
use = egg:swift#object
[object-replicator]
sync_method = ssync
recon_cache_path = {srv}
"""


@dataclass
class Nodes:
    """Machines 1, 2 and so on, as nodes.reach.Nodes speaks with them."""

    root: Path
    away: set[int] = field(default_factory=set)
    written: list[tuple[int, str]] = field(default_factory=list)
    killed: set[str] = field(default_factory=set)  # names of jobs that die before they begin to do anything

    def add(self, number: int, suffix: str = "b") -> Path:
        at = self.root / f"node{number}"
        for part in ("etc", "srv/d1", "jobs"):
            (at / part).mkdir(parents=True)
        (at / "etc/swift.conf").write_text(HASH.format(suffix=suffix))
        return at

    def etc(self, number: int) -> Path:
        return self.root / f"node{number}" / "etc"

    def run(self, machine_id: int, command: str, timeout_s: float) -> Ran:
        return self.run_script(machine_id, command, (), timeout_s)

    def run_script(self, machine_id: int, script: str, arguments: Sequence[str], timeout_s: float) -> Ran:
        if machine_id in self.away:
            raise NodeUnreachable(f"node{machine_id}", "no answer after 10 s")
        if script.startswith("hostname "):
            script = f"echo 127.0.1.{machine_id} node{machine_id}"
        script, *words = [self._own(machine_id, each) for each in (script, *arguments)]
        done = subprocess.run(
            ["bash", "-c", script, "node", *words], capture_output=True, timeout=60, check=False,
            env={**ENVIRONMENT, "PXEAPP_RESULT": str(self.root / "result")},
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def start_job(self, machine_id: int, name: str, script: str, arguments: Sequence[str] = ()) -> None:
        at = self.root / f"node{machine_id}" / "jobs" / name
        if at.exists():
            return
        at.mkdir()
        if name in self.killed:
            return
        ran = self.run_script(machine_id, script, arguments, 60)
        (at / "log").write_bytes(ran.out + ran.err)
        (at / "exit").write_text(str(ran.exit_code))
        if (self.root / "result").exists():
            (self.root / "result").rename(at / "result")

    def job(self, machine_id: int, name: str, offset: int) -> Job:
        at = self.root / f"node{machine_id}" / "jobs" / name
        if not at.exists():
            return Job("absent", None, "", offset)
        if not (at / "exit").exists():
            return Job("lost", None, "", offset)
        log = (at / "log").read_text()
        return Job("ended", int((at / "exit").read_text()), log[offset:], len(log))

    def result(self, machine_id: int, name: str) -> str:
        found = self.root / f"node{machine_id}" / "jobs" / name / "result"
        return found.read_text() if found.exists() else ""

    def read_file(self, machine_id: int, path: str, most: int) -> bytes:
        return Path(self._own(machine_id, path)).read_bytes()[:most]

    def write_file(self, machine_id: int, path: str, content: bytes, *, group: str, mode: str) -> None:
        self.written.append((machine_id, Path(path).name))
        own = self._own(machine_id, path)
        done = subprocess.run(
            ["bash", "-c", reach.PUT, "put", own, hashlib.sha256(content).hexdigest(), "root", mode],
            input=content, capture_output=True, timeout=20, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def _own(self, number: int, text: str) -> str:
        at = str(self.root / f"node{number}")
        return text.replace("/etc/swift", f"{at}/etc").replace("/srv/node", f"{at}/srv")

    def later(self, ring: str = "object") -> None:
        """An hour has gone by for Swift."""
        path = self.etc(1) / f"{ring}.builder"
        subprocess.run(["swift-ring-builder", path, "pretend_min_part_hours_passed"], check=True, capture_output=True)

    def hashes(self) -> set[bytes]:
        """Every object ring that some node has."""
        return {path.read_bytes() for path in self.root.glob("node*/etc/object.ring.gz")}


def make_rings(
    nodes: Nodes,
    numbers: Sequence[int],
    *rings: str,
    power: int = 6,
    port: int = 6200,
    rested: bool = True,
    zero: int = 0,
) -> None:
    """Made by the role `object`: 3 copies, each machine a zone. `rested`: an hour ago; `zero`: one without a weight."""
    code = """
import sys
from swift.common.ring import RingBuilder
folder, power, port, rested, zero, numbers, rings = sys.argv[1:]
for ring in rings.split():
    builder = RingBuilder(int(power), 3, 1)
    for number in numbers.split():
        ip = "127.0.1." + number
        builder.add_dev({"region": 1, "zone": int(number), "ip": ip, "port": int(port), "replication_ip": ip,
                         "replication_port": int(port), "device": "d1", "weight": 100.0 * (number != zero), "meta": ""})
    builder.rebalance(seed=1)
    if rested == "True":
        builder.pretend_min_part_hours_passed()
    builder.save("%s/%s.builder" % (folder, ring))
    builder.get_ring().save("%s/%s.ring.gz" % (folder, ring))
"""
    etc = nodes.etc(1)
    words = [str(etc), str(power), str(port), str(rested), str(zero), " ".join(map(str, numbers)), " ".join(rings)]
    subprocess.run([PYTHON, "-c", code, *words], check=True, capture_output=True, timeout=60, env=ENVIRONMENT)
    for number in numbers:
        for path in etc.glob("*.ring.gz"):
            if number != 1:
                shutil.copy(path, nodes.etc(number))


@contextmanager
def servers(nodes: Nodes, numbers: Sequence[int]) -> Iterator[int]:
    """A real object server and rsync for each; gives the port of all of them."""
    port = _free()
    started = []
    try:
        for each in numbers:
            at = nodes.root / f"node{each}"
            words = {"ip": f"127.0.1.{each}", "port": port, "etc": at / "etc", "srv": at / "srv"}
            conf = at / "etc/object-server.conf"
            conf.write_text(SERVER.format(**words))
            with (at / "log").open("w") as log:
                program = ["swift-object-server", str(conf), "-v"]
                started.append(subprocess.Popen(program, stdout=log, stderr=log, env=ENVIRONMENT))
        for each in numbers:
            _wait(f"127.0.1.{each}", port)
        yield port
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(20)


def replicate(nodes: Nodes, number: int) -> None:
    """One round of Swift's own replicator on this node."""
    conf = nodes.etc(number) / "object-server.conf"
    subprocess.run(["swift-object-replicator", str(conf), "--once"], check=True, timeout=120, env=ENVIRONMENT)


def where(nodes: Nodes, paths: Sequence[str]) -> list[tuple[str, int, set[str]]]:
    """Each with its partition and the addresses that the object ring leads to, as Swift itself reads it."""
    code = """
import sys
from swift.common import utils
from swift.common.ring import Ring
utils.set_swift_dir(sys.argv[1])
ring = Ring(sys.argv[1], ring_name="object")
for path in sys.argv[2:]:
    part, found = ring.get_nodes(*path.strip("/").split("/"))
    print(part, *[each["ip"] for each in found])
"""
    words = [PYTHON, "-c", code, str(nodes.etc(2)), *paths]
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60, env=ENVIRONMENT).stdout
    rows = [line.split() for line in said.splitlines()]
    return [(path, int(row[0]), set(row[1:])) for path, row in zip(paths, rows, strict=True)]


def put(address: str, port: int, path: str, content: bytes) -> None:
    """Store an object as a proxy would."""
    headers = {"X-Timestamp": f"{time.time():.5f}", "Content-Type": "text/plain"}
    assert requests.put(f"http://{address}:{port}{path}", content, headers=headers, timeout=20).status_code == 201


def get(address: str, port: int, path: str) -> bytes | None:
    """Its content on this node; None where it is not there."""
    found = requests.get(f"http://{address}:{port}{path}", timeout=20)
    assert found.status_code in (200, 404)
    return found.content if found.ok else None


def _free() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(address: str, port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with closing(socket.socket()) as found:
            if found.connect_ex((address, port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"{address}:{port} does not answer")
