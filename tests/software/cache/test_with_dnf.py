"""The cache with a real dnf: metadata that changes mid-way, the proxy, and offline."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pxeapp.software.repositories import openpgp
from pxeapp.software.repositories.openpgp import KeyPair
from tests.software.cache.conftest import Site
from tests.software.front.running import until
from tests.software.repositories import built
from tests.software.repositories.served import Dnf, missing

NEEDED = ("dnf", "rpm", "rpmbuild", "createrepo_c")
pytestmark = [
    pytest.mark.nginx,
    pytest.mark.network,
    pytest.mark.skipif(
        os.geteuid() != 0 or bool(missing(NEEDED)), reason=f"needs root and {' '.join(NEEDED)} (apt install dnf ...)"
    ),
]
REPOMD = "/mirror/el/9/repodata/repomd.xml"


class Repository:
    """A yum repository on the upstream, with a signed repomd.xml."""

    def __init__(self, folder: Path, key: KeyPair) -> None:
        self.folder, self.key = folder, key
        (folder / "Packages").mkdir(parents=True)

    def publish(self, *rpms: Path) -> None:
        for path in rpms:
            shutil.copy(path, self.folder / "Packages")
        shutil.rmtree(self.folder / "repodata", ignore_errors=True)
        command = ["createrepo_c", "-q", "--no-database", str(self.folder)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        head = self.folder / "repodata/repomd.xml"
        head.with_name("repomd.xml.asc").write_bytes(openpgp.sign_detached(head.read_bytes(), [self.key.private]))


@pytest.fixture(scope="module")
def repository(site: Site, key: KeyPair, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = Repository(site.server.root / "el/9", key)
    folder = tmp_path_factory.mktemp("rpms")
    made.publish(built.rpm(folder, "alpha"), built.rpm(folder, "beta"))
    site.front.change("el", url=f"{site.server.url}/el", kind="yum", freshness_s=0, aliases=["el.example.org/el"])
    until(lambda: site.front.get(REPOMD).status == 200, "the upstream is there")
    return made


@pytest.fixture
def public(key: KeyPair, tmp_path: Path) -> str:
    path = tmp_path / "key.asc"
    path.write_text(key.public)
    return f"file://{path}"


def primary(site: Site) -> str:
    """The path of the package list that the present set names."""
    text = site.front.get(REPOMD).text
    return next(word for word in text.split('"') if "primary.xml" in word)


def test_dnf_installs_through_the_cache_and_as_its_proxy(
    site: Site, repository: Repository, public: str, tmp_path: Path
) -> None:
    dnf = Dnf(tmp_path / "dnf", f"{site.front.settings.node_url}/mirror/el/9", public)
    ran = dnf.run("install", "alpha")
    assert (ran.returncode, dnf.installed("alpha")) == (0, "1.0"), ran.stderr
    through = Dnf(tmp_path / "proxied", "http://el.example.org/el/9", public)
    ran = through.run(f"--setopt=proxy={site.front.settings.node_url}", "install", "alpha")
    assert (ran.returncode, through.installed("alpha")) == (0, "1.0"), ran.stderr


def test_metadata_of_a_set_that_was_replaced_is_still_found_and_half_a_set_is_not_given_out(
    site: Site, repository: Repository, public: str, tmp_path: Path
) -> None:
    before, old = site.front.get(REPOMD).body, primary(site)
    content = site.front.get(f"/mirror/el/9/{old}").body
    dnf = Dnf(tmp_path / "dnf", f"{site.front.settings.node_url}/mirror/el/9", public)
    assert dnf.run("makecache").returncode == 0
    repository.publish(built.rpm(tmp_path, "alpha", "1.1"))
    folder = repository.folder / "repodata"
    new = next(folder.glob("*primary.xml*"))
    new.rename(tmp_path / new.name)
    assert site.front.get(REPOMD).body == before, "the new one names a list that is not there yet"
    until(lambda: "primary" in site.front.problem("el"), "the problem is written down")
    (tmp_path / new.name).rename(new)
    until(lambda: site.front.get(REPOMD).body != before, "the new set is whole")
    assert site.front.get(f"/mirror/el/9/{old}").body == content
    ran = dnf.run("install", "alpha")
    assert (ran.returncode, dnf.installed("alpha")) == (0, "1.1"), ran.stderr


def test_offline_dnf_installs_what_was_fetched_before(
    site: Site, repository: Repository, public: str, tmp_path: Path
) -> None:
    site.front.change("el", offline=True)
    until(lambda: site.front.get("/mirror/el/9/Packages/none.rpm").status == 504, "it is offline")
    until(lambda: site.front.taken_over, "with all of it")
    asked = site.asked
    dnf = Dnf(tmp_path / "dnf", f"{site.front.settings.node_url}/mirror/el/9", public)
    ran = dnf.run("install", "alpha")
    assert (ran.returncode, dnf.installed("alpha")) == (0, "1.1"), ran.stderr
    ran = dnf.run("install", "beta")
    assert ran.returncode != 0
    assert "beta-1.0-1.noarch: Cannot download" in ran.stderr
    assert site.asked == asked
