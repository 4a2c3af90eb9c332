"""Seeding with a real worker, front and apt: afterwards the upstream can be gone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pxeapp.db import now
from pxeapp.errors import Conflict, NotFound
from pxeapp.software import kinds
from pxeapp.software.cache import configured, seeding
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.runner import Runner
from tests.software.cache.conftest import Site
from tests.software.front.running import until
from tests.software.mirrors.upstream import SUITE, deb
from tests.software.repositories.served import Apt

pytestmark = [
    pytest.mark.nginx,
    pytest.mark.network,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt-get is not installed"),
]
SOURCES = [{"upstream": "debian", "suite": SUITE, "components": ["main"]}]
BETA = "pool/main/b/beta_1.0_all.deb"


@pytest.fixture(scope="module", autouse=True)
def _archive(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("packages")
    for path in (
        deb(folder, "alpha", Depends="beta (>= 1.0), gamma | delta"),
        *(deb(folder, name) for name in ("beta", "gamma", "delta", "other")),
        deb(folder, "large", filler=17 * 1024**2),
    ):
        site.archive.add(path)
    site.archive.publish()


def order(site: Site, *packages: str, **more: Any) -> int:
    """A seed of packages with what they need; the task's number."""
    given = {"sources": SOURCES, "packages": list(packages), **more}
    front = site.front
    with front.database.write() as session:
        known = configured.effective(session, front.settings)
        return seeding.order(session, known, "debian", given, actor="user:tester", now=now()).id


def done(site: Site, number: int) -> dict[str, Any]:
    """What became of it, when a worker has come by."""
    assert Runner(site.front.settings, kinds.loaders()).look()
    with site.front.database.read() as session:
        return tasks.wire(tasks.get(session, number))


def test_a_package_that_comes_wrong_is_said_and_not_kept(site: Site) -> None:
    path = site.archive.root / BETA
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"beta 1.0", b"beta 6.6"))
    failed = done(site, order(site, "alpha"))
    assert failed["state"] == "failed"
    assert "1 of 3 packages could not be had; the others are in the cache." in failed["problem"]
    assert f"{BETA}: it is not what the index names" in failed["problem"]
    path.write_bytes(whole)
    again = done(site, order(site, "alpha"))
    assert (again["problem"], again["result"]["packages"]) == ("", 3)
    assert (again["result"]["fetched"], again["result"]["present"]) == (1, 2)


def test_what_was_seeded_is_installed_with_the_upstream_gone(site: Site, tmp_path: Path) -> None:
    ended = done(site, order(site, "alpha"))
    assert (ended["state"], ended["result"]["fetched"], ended["result"]["unsatisfied"]) == ("done", 0, [])
    assert ended["result"]["indexes"] >= 2
    site.front.change("debian", offline=True)
    until(lambda: site.front.get("/mirror/debian/pool/none.deb").status == 504, "it is offline")
    until(lambda: site.front.taken_over, "with all of it")
    asked = site.asked
    apt = Apt(tmp_path / "apt", f"{site.front.settings.node_url}/mirror/debian", SUITE, site.keyring)
    ran = apt.run("update")
    assert ran.returncode == 0, ran.stderr
    ran = apt.run("-y", "install", "alpha")
    assert ran.returncode == 0, ran.stderr
    assert (apt.folder / "usr/share/gamma/about").read_text() == "gamma 1.0\n"
    assert apt.run("-y", "install", "other").returncode != 0, "that was not seeded"
    assert site.asked == asked
    with pytest.raises(Conflict, match="debian is offline here"):
        order(site, "other")
    site.front.change("debian", offline=False)


def test_what_would_not_fit_is_refused_before_anything_is_fetched(site: Site) -> None:
    site.front.change("debian", max_bytes=16 * 1024**2)
    asked = site.server.packages_asked()
    failed = done(site, order(site, "large"))
    assert "come to 17 MiB, and its cache is limited to 16 MiB" in failed["problem"]
    assert site.server.packages_asked() == asked
    site.front.change("debian", max_bytes=configured.MAX_BYTES)


def test_a_seed_is_of_upstreams_that_are_configured_and_kept(site: Site) -> None:
    with pytest.raises(NotFound, match=r"no upstream 'http://elsewhere\.example\.org'"):
        order(site, "alpha", sources=[{**SOURCES[0], "upstream": "http://elsewhere.example.org"}])
    site.front.change("debian", keep_packages=False)
    with pytest.raises(Conflict, match="keeps no packages"):
        order(site, "alpha")
    site.front.change("debian", keep_packages=True)
