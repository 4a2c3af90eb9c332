"""The driver that a rehearsal node runs nova with: the same node after each restart, as nova tells nodes apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pxeapp.answers.roles import work
from tests.answers.roles.cluster import node
from tests.answers.samples import TEMPLATES

DRIVER = "/usr/local/libexec/pxeapp-rehearsal-driver.py"
# As much of nova as it stands on: nova's own fake driver is another node in each process.
FAKE = """
import uuid
class FakeDriver:
    def __init__(self, virtapi): self.me = str(uuid.uuid4())
    def get_available_nodes(self, refresh=False): return ["cmp1"]
    def get_available_resource(self, nodename): return {"uuid": self.me, "vcpus": 8} if nodename == "cmp1" else {}
    def get_nodenames_by_uuid(self, refresh=False): return {self.me: "cmp1"}
"""
NODE = """
import pathlib, uuid
def get_local_node_uuid():
    kept = pathlib.Path(__file__).with_name("compute_id")
    if not kept.exists(): kept.write_text(str(uuid.uuid4()))
    return kept.read_text()
"""
STARTED = """
from nova.virt.pxeapp_rehearsal import RehearsalDriver
driver = RehearsalDriver(None)
(known,) = driver.get_nodenames_by_uuid()
found = driver.get_available_resource("cmp1")
assert driver.get_available_resource("another") == {}
assert found["vcpus"] == 8
assert found["uuid"] == known
print(known)
"""


def text(family: str, version: str) -> str:
    found = work.of(node(family, version, "compute", compute_driver="fake"), TEMPLATES)
    return next(file.text for file in found.files if file.path == DRIVER)


def started(place: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", STARTED], cwd=place, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("knows_nodes", [True, False])
def test_it_is_the_same_node_after_a_restart(tmp_path: Path, knows_nodes: bool) -> None:
    virt = tmp_path / "nova" / "virt"
    virt.mkdir(parents=True)
    for name, content in {"../__init__.py": "", "__init__.py": "", "fake.py": FAKE}.items():
        (virt / name).write_text(content)
    if knows_nodes:
        (virt / "node.py").write_text(NODE)
    (virt / "pxeapp_rehearsal.py").write_text(text("debian", "13"))
    assert (started(tmp_path) == started(tmp_path)) is knows_nodes


@pytest.mark.parametrize(("family", "version"), [("debian", "13"), ("ubuntu", "24.04"), ("centos", "9")])
def test_it_is_put_where_nova_looks_for_drivers(family: str, version: str) -> None:
    script = work.of(node(family, version, "compute", compute_driver="fake"), TEMPLATES).install
    assert "compute_driver = pxeapp_rehearsal.RehearsalDriver" in script
    assert script.count("fake.FakeDriver") == 1  # what it is made from
    assert f'install -m 644 {DRIVER} "$nova/virt/pxeapp_rehearsal.py"' in script
