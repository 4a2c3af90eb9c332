"""The README's steps for an own rack, a role of one's own and a backup, executed as they stand in the pages.

What is changed: ports and addresses become loopback's, nobody else's mirror is asked (the release comes from a folder),
and the BMCs' addresses are ones where nobody answers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.docs import pages
from tests.docs.pages import ROOT

READY_S = 120  # tests run beside each other, and those with virtual machines leave little
COMMAND_S = 280
OWN_RACK = "With your own rack"
pytestmark = pytest.mark.timeout(600)


@dataclass
class Site:
    """A folder as the reader has it, with the appliance running in it."""

    folder: Path
    environment: dict[str, str]
    http_port: str
    token: str = ""

    def api(self, path: str) -> dict[str, Any]:
        """GET below /api/v1 with the reader's token."""
        url = f"http://127.0.0.1:{self.http_port}/api/v1{path}"
        answer = requests.get(url, headers={"Authorization": f"Bearer {self.token}"}, timeout=30)
        assert answer.ok, answer.text
        return dict(answer.json())

    def sh(self, script: str) -> str:
        """Run a block as the reader would; its failure fails the test."""
        for ours, theirs in self._changes():
            script = script.replace(ours, theirs)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _changes(self) -> list[tuple[str, str]]:
        release = f"pxeapp release add-directory debian-13 {self.folder} --kernel linux --initrd initrd.gz"
        return [
            ("localhost:8080", f"127.0.0.1:{self.http_port}"),
            ("10.0.1.", "127.0.1."),
            ("sudo make run\n", ""),
            (
                "pxeapp release add-debian 13",
                f"{release} --family debian --version 13 --install-url '{{node_url}}/mirror/debian'",
            ),
        ]


def _free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _own_rack() -> list[str]:
    found = [block.text for block in pages.blocks(ROOT / "README.md") if block.heading == OWN_RACK]
    assert len(found) == 3, "settings; network, release, machines; looking and deploying"
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`make run`'s appliance with the README's settings, on loopback."""
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("site")
    programs = folder / "bin"
    programs.mkdir()
    (programs / "pxeapp").write_text(f'#!/bin/sh\nexec {sys.executable} -m pxeapp "$@"\n')
    (programs / "pxeapp").chmod(0o755)
    for name in ("linux", "initrd.gz"):
        (folder / name).write_bytes(name.encode())
    http, node = str(_free_port()), str(_free_port())
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PXEAPP_")},
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PXEAPP_HTTP_LISTEN": f"127.0.0.1:{http}",
        "PXEAPP_NODE_LISTEN": f"127.0.0.1:{node}",
        "PXEAPP_NODE_URL": f"http://127.0.0.1:{node}",
        "PXEAPP_TFTP_LISTEN": f"127.0.0.1:{_free_port(socket.SOCK_DGRAM)}",
        "PXEAPP_DHCP": "off",
        "PXEAPP_MIRROR_UPSTREAMS": "debian=http://127.0.0.1:9/debian",
    }
    found = Site(folder, environment, http)
    found.sh(_own_rack()[0])
    with (folder / "log").open("wb") as log:
        served = subprocess.Popen(
            [programs / "pxeapp", "serve"], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _await_ready(f"http://127.0.0.1:{http}/readyz", folder / "log")
        yield found
    finally:
        served.terminate()
        served.wait(40)


def _await_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.2)
    raise AssertionError(f"the appliance did not become ready: {log.read_text()}")


@pytest.fixture(scope="module")
def registered(site: Site) -> Site:
    """The second block: a network, a release, the machines."""
    said = site.sh(f"{_own_rack()[1]}\necho token=$TOKEN")
    said, _, site.token = said.strip().rpartition("token=")
    assert "2 would be created" in said
    assert "2 created" in said
    return site


@pytest.mark.network
def test_first_steps_end_with_machines_in_the_list(registered: Site) -> None:
    machines = registered.api("/machines")["items"]
    assert [(each["name"], each["role"], each["release"]) for each in machines] == [
        ("node1", "compute", "debian-13"),
        ("node2", "storage", "debian-13"),
    ]
    assert (registered.folder / "var" / "secret.key").exists()


@pytest.mark.network
def test_a_machine_is_rendered_examined_deployed_and_explained(registered: Site) -> None:
    said = registered.sh(_own_rack()[2])
    assert "d-i mirror/suite string trixie" in said
    assert "FAIL" not in said
    assert "Deployment 1 of node1 began" in said
    assert "Expected next:" in said
    assert "Aborted" in registered.sh("pxeapp machine abort node1")


@pytest.mark.network
def test_a_role_of_ones_own_with_a_template_of_ones_own(registered: Site) -> None:
    blocks = [block.text for block in pages.blocks(ROOT / "docs" / "add-a-role.md")]
    before = f"TOKEN={registered.token} PXEAPP_DATA_DIR=$PWD/var\n"
    folder, role, machine, small, template = blocks
    assert '"monitor"' in registered.sh(before + folder + role)
    said = registered.sh(before + machine)
    assert re.search(r"d-i pkgsel/include string .*prometheus", said)
    assert "string Europe/Berlin" in said
    assert '- targets: ["node1:9100", "node3:9100"]' in said
    assert "vm.swappiness = 10" in said
    assert 'step "Prometheus" prometheus' in said
    assert '"tmux"' in registered.sh(before + small)
    registered.sh(before + template)
    assert "d-i apt-setup/contrib boolean true" in registered.sh("pxeapp render node2 --kind preseed")


@pytest.mark.network
def test_a_backup_made_while_it_runs_can_be_restored(registered: Site) -> None:
    blocks = [block.text for block in pages.blocks(ROOT / "docs" / "operations.md")]
    file = registered.folder / "backup.tar.gz"
    backup, restore = (
        next(block for block in blocks if words in block).replace("/mnt/backups/pxeapp.tar.gz", str(file))
        for words in ("pxeapp backup --verify", "pxeapp restore /mnt")
    )
    assert "read back" in registered.sh(f"export PXEAPP_DATA_DIR=$PWD/var\n{backup}")
    restore = restore.replace("pxeapp doctor\n", "")  # of this rack it rightly says that no BMC answers
    said = registered.sh(f"export PXEAPP_DATA_DIR=$PWD/restored\n{restore}")
    assert "ready" in said
    machines = json.loads(registered.sh("export PXEAPP_DATA_DIR=$PWD/restored\npxeapp machine list --json"))
    assert [each["name"] for each in machines["items"]] == ["node1", "node2"]
