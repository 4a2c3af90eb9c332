"""Packages as apt and dnf fetch them, from a local repository and from the cache, beside a bare nginx."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pxeapp.software.front import process as front
from tests.bench.rounds import Contender, Figures, Target, Work, quantile, timed
from tests.bench.serving import load, plain
from tests.bench.serving.appliance import ADDRESS, Appliance, Processes
from tests.bench.serving.plain import Plain

CLIENTS = 32
PACKAGE_KB = 100
NAMES = 50


def works(*, quick: bool) -> list[Work]:
    """One work: the same packages from three places."""
    found = _Packages(fetches=200 if quick else 4000)
    return [
        Work(
            name="packages",
            title=f"A package of {PACKAGE_KB} kB by HTTP, from a local repository and from the cache",
            contenders=[
                Contender("local repository", found.repository),
                Contender("cache", found.cached),
                Contender("nginx", found.plain),
            ],
            targets=[
                Target("CPU ms", at_most=1.2, against="nginx", says="a local repository's CPU within 1.2 x nginx"),
                Target("MB/s", at_least=0.8, against="nginx", says="a local repository's MB/s at least 0.8 x nginx"),
                Target("CPU ms", at_most=1.2, against="nginx", of="cache", says="the cache's CPU within 1.2 x nginx"),
            ],
            rounds=3 if quick else 7,
            prepared=found.prepared,
            notes=[
                f"{found.fetches} fetches of {NAMES} packages, {CLIENTS} at a time, each on a connection of its own.",
                "Every SHA-256 is compared afterwards.",
                "The cache has each of them already; all three write an access log.",
            ],
        )
    ]


class _Packages:
    def __init__(self, *, fetches: int) -> None:
        self.fetches = fetches
        self._digests: dict[str, str] = {}
        self._appliance: Appliance
        self._processes: Processes
        self._nginx: Plain

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """The upstream of the cache is the nginx that ours is compared with; the repository has the same files."""
        with ExitStack() as stack:
            root = Path(tempfile.mkdtemp(prefix="pxeapp-bench-packages-"))
            stack.callback(shutil.rmtree, root, ignore_errors=True)
            root.chmod(0o755)
            for number in range(NAMES):
                content = os.urandom(PACKAGE_KB * 1000)
                path = root / f"pool/bench_{number}_all.deb"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
                self._digests[f"/{path.relative_to(root)}"] = hashlib.sha256(content).hexdigest()
            first = next(iter(self._digests))
            self._nginx = stack.enter_context(plain.nginx(root, ready=first, workers=front.WORKERS))
            self._appliance = Appliance(
                machines=1, mirror_upstreams=f"bench={self._nginx.url}", fetch_networks="127.0.0.0/8"
            )
            stack.callback(self._appliance.close)
            shutil.copytree(root, self._appliance.settings.data_dir / "repo/bench", dirs_exist_ok=True)
            self._processes = stack.enter_context(self._appliance.node())
            self._fetch(self._appliance.node_port, "/mirror/bench", self._processes.cpu_s)
            yield

    def repository(self) -> Figures:
        """What this appliance has published."""
        return self._fetch(self._appliance.node_port, "/repo/bench", self._processes.cpu_s)

    def cached(self) -> Figures:
        """What it has fetched before."""
        return self._fetch(self._appliance.node_port, "/mirror/bench", self._processes.cpu_s)

    def plain(self) -> Figures:
        """A bare nginx on the same files."""
        return self._fetch(self._nginx.port, "", self._nginx.server.cpu_s)

    def _fetch(self, port: int, below: str, cpu_s: Callable[[], float]) -> Figures:
        paths = [path for path, _ in zip(_endlessly(self._digests), range(self.fetches), strict=False)]
        before = cpu_s()
        with timed() as wall:
            replies = load.storm((ADDRESS, port), [load.get(below + path) for path in paths], clients=CLIENTS)
        used = cpu_s() - before
        for path, reply in zip(paths, replies, strict=True):
            assert reply.status == 200, f"{below}{path}: {reply.status}"
            assert hashlib.sha256(reply.body).hexdigest() == self._digests[path], f"{below}{path} is something else"
        return {
            "CPU ms": used / len(replies) * 1000,
            "MB/s": len(replies) * PACKAGE_KB / 1000 / wall[0],
            "p99 ms": quantile([reply.seconds for reply in replies], 0.99) * 1000,
        }


def _endlessly(paths: dict[str, str]) -> Iterator[str]:
    while True:
        yield from paths
