"""`pxeapp serve` from the wheel, in an environment of its own, far from the checkout."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tftpy import TftpClient

from pxeapp.boot import loaders
from tests.packaging.conftest import ROOT, Built, Installed, install

READY_WITHIN_S = 90  # it takes seven on a quiet machine
STOP_WITHIN_S = 40
NOBODY = 65534


@dataclass
class Appliance:
    """A running `pxeapp serve`."""

    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    http: int
    node: int
    tftp: int
    log: Path

    def get(self, port: int, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as reply:
            body: bytes = reply.read()
        return body

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError):
                self.get(self.http, "/readyz")
                self.get(self.node, "/boot/ipxe?mac=52:54:00:00:00:01")
                return
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.2)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_WITHIN_S)


@contextlib.contextmanager
def serve(argv: Sequence[str | Path], folder: Path) -> Iterator[Appliance]:
    """Start the appliance in this folder on free ports, wait until it is ready, and end it whatever happens."""
    http, node, tftp = _free_ports()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PXEAPP_DATA_DIR": str(folder / "data"),
        "PXEAPP_HTTP_LISTEN": f"127.0.0.1:{http}",
        "PXEAPP_NODE_LISTEN": f"127.0.0.1:{node}",
        "PXEAPP_TFTP_LISTEN": f"127.0.0.1:{tftp}",
    }
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
    appliance = Appliance(process, environment, http, node, tftp, log)
    try:
        appliance.wait_until_ready()
        yield appliance
    finally:
        if process.poll() is None:
            appliance.stop()


@pytest.mark.network
def test_the_wheel_serves_pages_boot_scripts_and_loaders_outside_the_checkout(
    installed: Installed, tmp_path: Path
) -> None:
    where = subprocess.run(
        [installed.python, "-c", "import pxeapp; print(pxeapp.__file__)"], cwd=tmp_path, capture_output=True, text=True
    ).stdout
    assert where.startswith(str(installed.packages))
    with serve([installed.pxeapp, "serve"], tmp_path) as appliance:
        page = appliance.get(appliance.http, "/login").decode()
        assets = re.findall(r'(?:href|src)="(/[^"]+\.(?:css|js)[^"]*)"', page)
        assert any(".css" in path for path in assets)
        assert all(len(appliance.get(appliance.http, path)) > 100 for path in assets)

        script = appliance.get(appliance.node, "/boot/ipxe?mac=52:54:00:00:00:01")
        assert script.startswith(b"#!ipxe")

        healthy = _healthcheck(installed, appliance.environment, tmp_path)
        assert (healthy.returncode, '"ok"' in healthy.stdout) == (0, True)

        loader = loaders.find().get("undionly.kpxe")
        if loader is not None:
            TftpClient("127.0.0.1", appliance.tftp).download("undionly.kpxe", str(tmp_path / "got"), timeout=10)
            assert (tmp_path / "got").read_bytes() == loader.read_bytes()

        assert appliance.stop() == 0
        unhealthy = _healthcheck(installed, appliance.environment, tmp_path)
        assert unhealthy.returncode == 1
        assert unhealthy.stderr.startswith(f"No answer from 127.0.0.1:{appliance.http}")


@pytest.mark.network
def test_the_appliance_runs_as_an_unprivileged_user_without_any_capability(built: Built, open_folder: Path) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("changing to another user takes root and util-linux's setpriv")
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    # setpriv's own exec still has root's rights, so that it would start a program the user may not; env's has not.
    drop += ["--bounding-set=-all", "--inh-caps=-all", "env"]
    python = _python_for_anybody(drop)
    there = install(built.wheel, open_folder / "venv", python)
    if subprocess.run([*drop, there.python, "-c", "import flask"], capture_output=True).returncode != 0:
        pytest.skip("the packages of this checkout's environment are not readable by another user")
    work = open_folder / "work"
    work.mkdir()
    os.chown(work, NOBODY, NOBODY)
    with serve([*drop, there.pxeapp, "serve"], work) as appliance:
        assert appliance.get(appliance.http, "/login")
        status = Path(f"/proc/{appliance.process.pid}/status").read_text()
        assert re.search(rf"^Uid:\t{NOBODY}\t", status, re.MULTILINE)
        assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
        assert appliance.stop() == 0


def _healthcheck(installed: Installed, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """The container's health check, against an appliance with these settings."""
    script = ROOT / "packaging" / "healthcheck.py"
    return subprocess.run(
        [installed.python, script], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


def _python_for_anybody(drop: Sequence[str]) -> str:
    """A Python of our version that the other user may start too; pyenv's lies in somebody's home."""
    wanted = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]!r})"
    for candidate in (str(Path(sys.executable).resolve()), "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            if subprocess.run([*drop, candidate, "-c", wanted], capture_output=True).returncode == 0:
                return candidate
        except OSError:
            continue
    pytest.skip("there is no Python of this version that another user may start")


def _free_ports() -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports: list[int] = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
