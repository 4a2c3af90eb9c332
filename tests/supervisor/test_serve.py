"""`pxeapp serve` itself, with a real nginx: its parts are killed, then itself; it comes back, and it goes cleanly."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.supervisor.children import alive, wait_for
from tests.sweep import size

PARTS = ("web", "front", "bmc-worker", "node", "worker", "tftp")
pytestmark = [
    pytest.mark.soak,
    pytest.mark.network,
    pytest.mark.nginx,
    pytest.mark.skipif(shutil.which("nginx", path="/usr/sbin:/usr/bin") is None, reason="nginx is not installed"),
]


class Served:
    """One data directory that is served, again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.http, self.node = free_port(), free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PXEAPP_")}
        self.environment = {
            **kept,
            "PXEAPP_DATA_DIR": str(folder / "data"),
            "PXEAPP_HTTP_LISTEN": f"127.0.0.1:{self.http}",
            "PXEAPP_NODE_LISTEN": f"127.0.0.1:{self.node}",
            "PXEAPP_TFTP_LISTEN": f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}",
            "PXEAPP_MIRROR_UPSTREAMS": "debian=http://127.0.0.1:9/debian",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pxeapp", "serve"], env=self.environment, stdout=log, stderr=log
            )
        return self.process

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def is_ready(self) -> bool:
        return self._gives(f"http://127.0.0.1:{self.http}/readyz") and self._gives(
            f"http://127.0.0.1:{self.node}/healthz"
        )

    def everything(self) -> list[int]:
        """Every process that has this data directory in its environment, and nginx's, which has it in its arguments."""
        mine = str(self.folder / "data").encode()
        return [pid for pid in _all() if mine in _read(pid, "environ") or mine in _read(pid, "cmdline")]

    def parts(self) -> dict[str, set[int]]:
        """The processes of each part that lives: the one that `serve` started, and those that it started in turn."""
        lines = {pid: _read(pid, "cmdline") for pid in self.everything()}
        found = {name: {pid for pid, line in lines.items() if f"pxeapp\0{name}\0".encode() in line} for name in PARTS}
        return {name: pids for name, pids in found.items() if pids}

    @staticmethod
    def _gives(url: str) -> bool:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if alive(int(entry.name))]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _leader(pids: set[int]) -> int:
    """The one that `serve` started; not always the lowest number, for numbers begin anew."""
    return next(pid for pid in pids if os.getpgid(pid) == pid)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    if served.process is not None:
        served.process.kill()
        served.process.wait()
    for pid in served.everything():
        os.kill(pid, signal.SIGKILL)


def test_serve_survives_the_death_of_every_part_and_its_own(served: Served) -> None:
    first = served.start()
    wait_for(served.is_ready)
    before = _all_anew(served, {})
    killed = {name: before[name] for name in PARTS[: size(3, len(PARTS))]}
    for pids in killed.values():  # all at once, workers that hold a port left behind
        os.kill(_leader(pids), signal.SIGKILL)
    now = _all_anew(served, killed)
    assert first.poll() is None

    os.kill(_leader(now["web"]), signal.SIGSTOP)
    os.kill(_leader(now["bmc-worker"]), signal.SIGSTOP)
    first.kill()
    first.wait()
    second = served.start()
    last = _all_anew(served, now)
    assert "ended what an earlier pxeapp serve had left behind" in served.log()

    refused = subprocess.run(
        [sys.executable, "-m", "pxeapp", "serve"], env=served.environment, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert f"as process {second.pid}" in refused.stderr
    assert served.is_ready()

    os.kill(_leader(last["worker"]), signal.SIGSTOP)
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=30) == 0
    assert served.everything() == []


def _all_anew(served: Served, before: dict[str, set[int]]) -> dict[str, set[int]]:
    """All parts, once there are all and none is one of those before."""
    dead = {pid for pids in before.values() for pid in pids}

    def found() -> dict[str, set[int]]:
        time.sleep(0.3)  # looking through all processes costs
        now = served.parts()
        return now if len(now) == len(PARTS) and not any(dead & pids for pids in now.values()) else {}

    wait_for(served.is_ready)
    return wait_for(found)
