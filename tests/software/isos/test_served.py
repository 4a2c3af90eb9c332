"""Media as machines see them: a real nginx serves the tree and the image, a real dnf installs from the DVD."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp.software.front import process
from tests.software.front.running import Running
from tests.software.isos import making
from tests.software.isos.conftest import Importer

pytestmark = [
    making.needs_programs,
    pytest.mark.network,
    pytest.mark.skipif(process.program() is None, reason="nginx is not installed"),
]


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "data", "nothing=http://127.0.0.1:9/nothing")
    (running.settings.data_dir / "incoming").mkdir()
    yield running
    running.close()


def test_a_tree_and_an_image_are_served_and_dnf_installs_from_the_tree(
    front: Running, dvd: Path, tmp_path: Path
) -> None:
    importing = Importer(front.settings, front.database)
    live = making.iso(making.ubuntu_live(tmp_path / "live"), tmp_path / "ubuntu-24.04.iso", "Ubuntu")
    assert importing(dvd, make_release=False)["state"] == "done"
    assert importing(live, make_release=False)["state"] == "done"
    assert "Rocky Linux" in front.get("/repo/media/rocky-9.4/.treeinfo").text
    assert front.get("/repo/media/rocky-9.4/images/pxeboot/vmlinuz").body == making.KERNEL
    image = "/repo/media/ubuntu-24.04.1/ubuntu-24.04.iso"
    assert hashlib.sha256(front.get(image).body).digest() == hashlib.sha256(live.read_bytes()).digest()
    part = front.get(image, Range="bytes=32769-32773")
    assert (part.status, part.body) == (206, b"CD001")
    assert front.get("/repo/media/.rows.lock").body == b""
    assert front.get("/repo/media/", method="PUT").status == 405
    if shutil.which("dnf") is not None:
        url = f"http://127.0.0.1:{front.port}/repo/media/rocky-9.4"
        assert "bash-1.0-1.noarch" in _dnf(tmp_path / "dnf", f"{url}/BaseOS", f"{url}/AppStream")


def _dnf(folder: Path, *urls: str) -> str:
    """What is installed in a folder of its own, after dnf has put bash and nginx there."""
    for name in ("repos", "log"):
        (folder / name).mkdir(parents=True)
    (folder / "root/var/lib/rpm").mkdir(parents=True)
    for number, url in enumerate(urls):
        text = f"[m{number}]\nname=m{number}\nbaseurl={url}\nenabled=1\ngpgcheck=0\n"
        (folder / f"repos/m{number}.repo").write_text(text)
    done = subprocess.run(
        ["dnf", "-y", f"--setopt=reposdir={folder}/repos", f"--setopt=cachedir={folder}/cache",
         f"--setopt=logdir={folder}/log", f"--setopt=persistdir={folder}/persist", "--releasever=9",
         f"--installroot={folder}/root", "--setopt=pluginpath=/nonexistent", "install", "bash", "nginx"],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "LC_ALL": "C", "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    listed = ["rpm", "--root", str(folder / "root"), "--dbpath", "/var/lib/rpm", "-qa"]
    return done.stdout + subprocess.run(listed, capture_output=True, text=True, timeout=60, check=False).stdout
