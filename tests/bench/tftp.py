"""TFTP: our process beside dnsmasq, tftpd-hpa and atftpd; each as its package ships it, with room for many clients."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.cpu import Server
from tests.bench.rounds import Contender, Figures, Target, Work

NAME = "snponly.efi"
PACKAGES = {"atftpd": "atftpd", "in.tftpd": "tftpd-hpa"}
UNPACKED = Path(".run/bench/peers")
BINARY = Path(".run/bench/tftp-load")
SOURCE = Path(__file__).parent / "tftp_load" / "load.c"
READY_S = 60.0
SETTLE_S = 0.5  # what a server still does after the last client has all: last acknowledgements, its log, its evidence
PORT = 69  # dnsmasq serves on no other; each peer has an address of its own
MIB = 1024 * 1024
OURS = f"""
import sys
from pxeapp import cli
from pxeapp.boot import loaders
loaders.LOADERS = (loaders.Loader({NAME!r}, "ipxe", (sys.argv.pop(),)),)
cli.main(["tftp"])
"""

NOTES = (
    "Every client has an address of its own and asks at the same moment; each server has served 20 before.",
    "Every block is compared with the content, whose SHA-256 is checked before and after.",
    "CPU is the server's, from before the first request to half a second after the last client has all.",
    "`load CPU` is the generator's own, one thread of C: below the server's it is no bottleneck.",
    "The generator stays on the last CPU; the servers may use all of them.",
    "A client repeats itself as iPXE does, after 250 ms, doubling.",
    "dnsmasq: --tftp-max; atftpd: --maxthread; tftpd-hpa: in.tftpd -L, a process for each client.",
    "Ours is `pxeapp tftp` with its database, its log and its evidence.",
)


@dataclass(frozen=True)
class Crowd:
    """What is fetched by how many."""

    clients: int
    size: int = MIB
    blksize: int = 1468
    windowsize: int = 1
    loss_percent: float = 0.0
    within_s: float = 60.0


def works(*, quick: bool) -> list[Work]:
    """Lock-step, storms, windows, losses."""
    size = 128 * 1024 if quick else MIB
    storm = 64 * 1024 if quick else MIB
    few = 2 if quick else 5
    return [
        _lock_step(Crowd(100, size=size), few),
        _lock_step(Crowd(500, size=size), 1 if quick else 3),
        _storm(Crowd(1200, size=storm, within_s=20.0 if quick else 120.0), 1 if quick else 2),
        _storm(Crowd(3000, size=storm, within_s=20.0 if quick else 180.0), 1),
        _windows(Crowd(100, size=size, windowsize=16), few),
        _losses(Crowd(20, size=100_000, loss_percent=3.0, within_s=90.0), few),
    ]


def _lock_step(crowd: Crowd, rounds: int) -> Work:
    return _work(
        f"tftp-{crowd.clients}",
        f"TFTP, {_size(crowd.size)}, blksize {crowd.blksize}, {crowd.clients} clients at once",
        crowd,
        rounds,
        Target("CPU ms/MB", at_most=1.0, against="dnsmasq", says="server CPU per MB not above dnsmasq's"),
        Target(
            "CPU ms/MB", at_most=1 / 3, against="tftpd-hpa", says="server CPU per MB at most a third of tftpd-hpa's"
        ),
        Target("failed", at_most=0, says="every client finishes"),
    )


def _storm(crowd: Crowd, rounds: int) -> Work:
    return _work(
        f"tftp-{crowd.clients}",
        f"TFTP, {_size(crowd.size)}, {crowd.clients} clients at once, within {crowd.within_s:.0f} s",
        crowd,
        rounds,
        Target("failed", at_most=0, says="every client finishes"),
    )


def _windows(crowd: Crowd, rounds: int) -> Work:
    return _work(
        "tftp-window",
        f"TFTP, {_size(crowd.size)}, windowsize {crowd.windowsize}, {crowd.clients} clients at once",
        crowd,
        rounds,
        Target("MB/s", at_least=3.0, against="atftpd", says="at least 3 x atftpd's MB/s"),
        Target("CPU ms/MB", at_most=0.25, against="atftpd", says="at most a quarter of atftpd's CPU per MB"),
        Target("failed", at_most=0, says="every client finishes"),
    )


def _losses(crowd: Crowd, rounds: int) -> Work:
    return _work(
        "tftp-loss",
        f"TFTP, {_size(crowd.size)}, {crowd.loss_percent:g} % lost each way, {crowd.clients} clients at once",
        crowd,
        rounds,
        Target("p50 s", at_most=1.0, against="*", says="p50 not above the best peer's"),
        Target("failed", at_most=0, says="every client finishes"),
        note="The generator loses packets, by a seed that is the round's: in a round all servers meet the same luck.",
    )


def _work(name: str, title: str, crowd: Crowd, rounds: int, *targets: Target, note: str = "") -> Work:
    bench = Bench(crowd)
    peers: Mapping[str, Serve] = {"pxeapp": ours, "dnsmasq": dnsmasq, "tftpd-hpa": tftpd_hpa, "atftpd": atftpd}
    if crowd.windowsize > 1:
        peers = {"pxeapp": ours, "atftpd": atftpd}  # the others know no windowsize
    return Work(
        name,
        title,
        [Contender(peer, functools.partial(bench.run, peer, serve)) for peer, serve in peers.items()],
        targets,
        rounds=rounds,
        prepared=bench.prepared,
        notes=[*NOTES, note] if note else NOTES,
    )


Serve = Callable[[Path], contextlib.AbstractContextManager[tuple[Server, str, int]]]


class Bench:
    """One crowd, against one server after the other; each server is started anew, so that none suffers from before."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._folder = Path()
        self._rounds: dict[str, int] = {}

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """The generator built, the file written where every user may read it."""
        _build()
        with tempfile.TemporaryDirectory(prefix="pxeapp-bench-tftp-") as name:
            self._folder = Path(name)
            root = self._folder / "root"
            root.mkdir()
            (root / NAME).write_bytes(random.Random(self._crowd.size).randbytes(self._crowd.size))
            for path in (self._folder, root, root / NAME):
                path.chmod(0o755)
            yield

    def run(self, name: str, serve: Serve) -> Figures:
        """One round of one server."""
        number = self._rounds[name] = self._rounds.get(name, 0) + 1
        content = self._folder / "root" / NAME
        digest = hashlib.sha256(content.read_bytes()).hexdigest()
        with serve(self._folder) as (server, host, port):
            # Servers run for months: what is measured is not their first transfer.
            _load(host, port, content, Crowd(20, windowsize=self._crowd.windowsize), seed=0)
            time.sleep(SETTLE_S)
            before = server.cpu_s()
            said = _load(host, port, content, self._crowd, seed=number)
            time.sleep(SETTLE_S)
            spent = server.cpu_s() - before
        assert hashlib.sha256(content.read_bytes()).hexdigest() == digest
        assert not said["wrong"], f"{said['wrong']} clients got other bytes than those of the file"
        megabytes = said["bytes"] / 1e6
        if not said["finished"]:
            raise RuntimeError(f"no client got the file; the first refusal: {said['refusal'] or 'none'}")
        return {
            "CPU ms/MB": spent * 1000 / megabytes,
            "MB/s": megabytes / said["seconds"],
            "p50 s": said["p50_s"],
            "p99 s": said["p99_s"],
            "failed": self._crowd.clients - said["finished"],
            "repeats": said["repeats"],
            "load CPU ms/MB": said["cpu_s"] * 1000 / megabytes,
        }


def _build() -> None:
    if shutil.which("cc") is None:
        raise RuntimeError("The load generator needs a C compiler: apt-get install gcc libc6-dev.")
    BINARY.parent.mkdir(parents=True, exist_ok=True)
    if not BINARY.exists() or BINARY.stat().st_mtime < SOURCE.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-Wall", "-o", BINARY, SOURCE], check=True)


def _load(host: str, port: int, content: Path, crowd: Crowd, *, seed: int) -> dict[str, Any]:
    options = {
        "--count": crowd.clients,
        "--blksize": crowd.blksize,
        "--windowsize": crowd.windowsize,
        "--loss": crowd.loss_percent,
        "--seed": seed,
        "--within": crowd.within_s,
        "--cpu": max(os.sched_getaffinity(0)),
    }
    words = [str(word) for pair in options.items() for word in pair]
    done = subprocess.run(
        [BINARY, host, str(port), NAME, content, *words], check=True, capture_output=True, timeout=crowd.within_s + 30
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@contextlib.contextmanager
def ours(folder: Path) -> Iterator[tuple[Server, str, int]]:
    """The real process, but for where it finds this one loader."""
    host, log = "127.79.0.1", folder / "pxeapp.log"
    env = os.environ | {
        "PXEAPP_DATA_DIR": str(folder / "data"),
        "PXEAPP_NODE_URL": "http://127.0.0.1:8081",
        "PXEAPP_TFTP_LISTEN": f"{host}:{PORT}",
        "PXEAPP_TFTP_NETWORKS": "127.0.0.0/8",
    }
    subprocess.run([sys.executable, "-m", "pxeapp", "db", "upgrade"], env=env, check=True, capture_output=True)
    _nobody_listens(host)
    with Server([sys.executable, "-c", OURS, str(folder / "root" / NAME)], env=env, output=log) as server:
        _until(lambda: _listens(host), server, log)
        yield server, host, PORT


def _peer(program: str, host: str, *options: str) -> Callable[[Path], contextlib.AbstractContextManager[Any]]:
    """A peer in the foreground, with as many descriptors as it may want."""

    @contextlib.contextmanager
    def serve(folder: Path) -> Iterator[tuple[Server, str, int]]:
        found = _program(program)
        words = [option.replace("ROOT", str(folder / "root")) for option in options]
        log = folder / f"{program}.log"
        _nobody_listens(host)
        with Server(["prlimit", f"--nofile={_descriptors()}", found, *words], output=log) as server:
            _until(lambda: _listens(host), server, log)
            yield server, host, PORT

    return serve


def _program(name: str) -> Path:
    """Where it is; of packages that exclude each other, one has to be unpacked here."""
    unpacked = UNPACKED / "usr" / "sbin" / name
    if (found := shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")) is not None:
        return Path(found)
    if not unpacked.exists() and name in PACKAGES:
        UNPACKED.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "-qq", "download", PACKAGES[name]], cwd=UNPACKED, check=True, capture_output=True)
        for package in UNPACKED.glob(f"{PACKAGES[name]}_*.deb"):
            subprocess.run(["dpkg", "-x", package, UNPACKED], check=True)
    if not unpacked.exists():
        raise RuntimeError(f"{name} is not installed: packaging/setup.sh bench")
    return unpacked


dnsmasq = _peer(
    "dnsmasq", "127.79.1.1",
    "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--bind-interfaces", "--listen-address=127.79.1.1",
    "--enable-tftp", "--tftp-root=ROOT", "--tftp-max=10000", "--pid-file=", "--log-facility=-", "--quiet-tftp",
)  # fmt: skip
tftpd_hpa = _peer("in.tftpd", "127.79.2.1", "-L", "--address", f"127.79.2.1:{PORT}", "--secure", "ROOT")
atftpd = _peer(
    "atftpd", "127.79.3.1",
    "--daemon", "--no-fork", "--bind-address", "127.79.3.1", "--port", str(PORT), "--maxthread", "10000",
    "--no-multicast", "--verbose=3", "--logfile", "-", "ROOT",
)  # fmt: skip


def _descriptors() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _listens(host: str) -> bool:
    """Whether anything at all holds the port; asking would leave a transfer behind."""
    wanted = f"{int.from_bytes(bytes(map(int, host.split('.'))), 'little'):08X}:{PORT:04X}"
    return wanted in Path("/proc/net/udp").read_text()


def _nobody_listens(host: str) -> None:
    if _listens(host):
        raise RuntimeError(f"something else holds {host}:{PORT}, perhaps of a run that was killed: ss -lunp")


def _until(ready: Callable[[], bool], server: Server, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while not ready():
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"it did not start: {log.read_text()[-600:]}")
        time.sleep(0.05)


def _size(size: int) -> str:
    return f"{size // MIB} MiB" if size % MIB == 0 else f"{size / 1000:g} kB"
