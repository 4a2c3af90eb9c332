"""The cache with a real apt, and an upstream that changes, lags, lies and dies."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp.db import now
from pxeapp.software.repositories import openpgp
from tests.software.cache.conftest import Site
from tests.software.front.running import until
from tests.software.mirrors.upstream import SUITE
from tests.software.repositories.built import deb
from tests.software.repositories.served import Apt

pytestmark = [
    pytest.mark.nginx,
    pytest.mark.network,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt-get is not installed"),
]
HEAD = f"/mirror/debian/dists/{SUITE}/InRelease"
PACKAGES = f"/mirror/debian/dists/{SUITE}/main/binary-amd64/Packages.xz"


class Clock:
    """Releases are dated a minute apart, as they would be if somebody waited for them."""

    moment = now() - dt.timedelta(hours=12)

    @classmethod
    def next(cls) -> dt.datetime:
        cls.moment += dt.timedelta(minutes=1)
        return cls.moment


@pytest.fixture(scope="module", autouse=True)
def first(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The archive has alpha, and each index is asked for anew when a client wants it."""
    site.archive.add(deb(tmp_path_factory.mktemp("first"), "alpha"))
    site.archive.publish(now=Clock.next())
    site.front.change("debian", freshness_s=0, aliases=["deb.example.org/debian"])
    until(lambda: site.front.get("http://deb.example.org/debian/none").status == 404, "the alias is known")
    return


@pytest.fixture
def apt(site: Site, tmp_path: Path) -> Apt:
    return Apt(tmp_path / "apt", f"{site.front.settings.node_url}/mirror/debian", SUITE, site.keyring)


def publish(site: Site, folder: Path, name: str, version: str = "1.0") -> None:
    site.archive.add(deb(folder, name, version, content=f"{name} {version}"))
    site.archive.publish(now=Clock.next())


def test_apt_installs_through_the_cache_and_the_second_time_nothing_is_fetched(site: Site, apt: Apt) -> None:
    assert apt.run("update").returncode == 0, apt.run("update").stderr
    assert apt.run("-y", "install", "alpha").returncode == 0
    assert apt.installed("alpha") == "1.0"
    before = site.server.packages_asked()
    assert site.front.get("/mirror/debian/pool/main/a/alpha_1.0_all.deb").headers["X-Cache"] == "HIT"
    assert site.server.packages_asked() == before


def test_apt_takes_us_for_its_proxy(site: Site, tmp_path: Path) -> None:
    apt = Apt(tmp_path / "apt", "http://deb.example.org/debian", SUITE, site.keyring)
    conf = tmp_path / "apt/apt.conf"
    conf.write_text(conf.read_text().replace('"DIRECT"', f'"{site.front.settings.node_url}"'))
    ran = apt.run("update")
    assert ran.returncode == 0, ran.stderr
    assert apt.run("-y", "install", "alpha").returncode == 0
    assert apt.installed("alpha") == "1.0"
    elsewhere = Apt(tmp_path / "other", "http://elsewhere.example.org/debian", SUITE, site.keyring)
    conf = tmp_path / "other/apt.conf"
    conf.write_text(conf.read_text().replace('"DIRECT"', f'"{site.front.settings.node_url}"'))
    assert "403" in elsewhere.run("update").stderr


def test_an_installer_is_given_a_components_own_release_file_and_never_a_stale_one(site: Site) -> None:
    """debian-installer asks for it before anything else. Nobody signs it, but its suite's Release names it."""
    path = f"dists/{SUITE}/main/binary-amd64/Release"
    own = site.archive.root / path
    whole = own.read_bytes()
    own.write_bytes(b"Archive: of the last point release\n")  # as a cache before the upstream may hold it
    try:
        answer = site.front.get(f"/mirror/debian/{path}")
    finally:
        own.write_bytes(whole)
    assert (answer.status, answer.body) == (200, whole)
    assert site.front.get(f"/mirror/debian/dists/{SUITE}/main/Release").status == 404


def test_a_client_in_the_middle_of_an_update_gets_the_indexes_that_its_release_names(
    site: Site, tmp_path: Path
) -> None:
    site.front.get(HEAD, address="127.0.0.2")
    old = site.front.get(PACKAGES, address="127.0.0.2").body
    publish(site, tmp_path, "beta")
    site.front.get(HEAD, address="127.0.0.3")
    new = site.front.get(PACKAGES, address="127.0.0.3").body
    assert new != old
    assert site.front.get(PACKAGES, address="127.0.0.2").body == old
    assert site.front.get(PACKAGES, address="127.0.0.4").body == new


def test_what_is_half_synced_is_not_given_out_and_the_problem_stands_with_the_upstream(
    site: Site, apt: Apt, tmp_path: Path
) -> None:
    assert apt.run("update").returncode == 0
    index = site.archive.root / "dists" / SUITE / "main/binary-amd64/Packages.xz"
    head, stale = site.front.get(HEAD).body, index.read_bytes()
    publish(site, tmp_path, "gamma")
    whole = index.read_bytes()
    index.write_bytes(stale)  # the new Release is there, the index that it names is not yet
    assert site.front.get(HEAD).body == head
    assert apt.run("update").returncode == 0
    until(lambda: "in the middle of an update, or lies" in site.front.problem("debian"), "the problem is written down")
    index.write_bytes(whole)
    until(lambda: site.front.get(HEAD).body != head, "the new set is taken as soon as it is whole")
    assert apt.run("update").returncode == 0
    assert apt.run("-y", "install", "gamma").returncode == 0
    until(lambda: not site.front.problem("debian"), "the problem is gone")


def test_an_index_of_a_server_that_lags_behind_is_not_gone_back_to(site: Site, tmp_path: Path) -> None:
    folder = site.archive.root / "dists"
    shutil.copytree(folder, tmp_path / "old")
    publish(site, tmp_path, "delta")
    newest = until(lambda: site.front.get(HEAD).body, "the newest")
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "old", folder)
    assert site.front.get(HEAD).body == newest
    until(lambda: "older than the one" in site.front.problem("debian"), "the problem is written down")
    site.archive.publish(now=Clock.next())
    until(lambda: site.front.get(HEAD).body != newest, "one that is newer is taken")


def test_a_release_that_has_expired_does_not_replace_one_that_has_not(site: Site) -> None:
    newest = site.front.get(HEAD).body
    site.archive.valid_until = now() - dt.timedelta(minutes=1)
    site.archive.publish(now=Clock.next())
    assert site.front.get(HEAD).body == newest
    until(lambda: "was valid until" in site.front.problem("debian"), "the problem is written down")
    site.archive.valid_until = None
    site.archive.publish(now=Clock.next())
    until(lambda: site.front.get(HEAD).body != newest, "one that is of this time is taken")


def test_a_package_that_comes_with_other_bytes_is_refused_by_apt_and_an_index_by_us(
    site: Site, apt: Apt, tmp_path: Path
) -> None:
    publish(site, tmp_path, "epsilon")
    path = site.archive.root / "pool/main/e/epsilon_1.0_all.deb"
    assert apt.run("update").returncode == 0
    path.write_bytes(path.read_bytes().replace(b"epsilon 1.0", b"epsilon 6.6"))
    ran = apt.run("-y", "install", "epsilon")
    assert ran.returncode != 0
    assert "Hash Sum mismatch" in ran.stderr
    other = f"/mirror/debian/dists/{SUITE}/main/debian-installer/binary-amd64/Packages.gz"
    lying = site.archive.root / other.removeprefix("/mirror/debian/")
    whole = lying.read_bytes()
    lying.write_bytes(whole[:-1] + b"x")
    refused = site.front.get(other)
    assert (refused.status, "lies" in refused.text) == (502, True)
    lying.write_bytes(whole)
    assert site.front.get(other).status == 200


def test_while_the_upstream_is_down_what_is_here_is_served_and_the_rest_is_said_to_be_missing(
    site: Site, apt: Apt, tmp_path: Path
) -> None:
    assert apt.run("update").returncode == 0
    with site.killed():
        assert apt.run("update").returncode == 0
        assert apt.run("-y", "install", "alpha").returncode == 0
        gone = site.front.get("/mirror/debian/pool/main/b/beta_1.0_all.deb")
        assert (gone.status, "does not answer" in gone.text) == (502, True)
        until(lambda: "does not answer" in site.front.problem("debian"), "the problem is written down")
    site.archive.publish(now=Clock.next())
    until(lambda: site.front.get(HEAD) and not site.front.problem("debian"), "it is asked again")


def test_an_index_that_is_signed_by_somebody_else_or_nobody_replaces_none(site: Site) -> None:
    folder = site.front.settings.data_dir / "keyrings"
    folder.mkdir()
    shutil.copy(site.keyring, folder / "site.gpg")
    site.front.change("debian", keyring=str(folder / "site.gpg"))
    before, ours = site.front.get(HEAD).body, site.archive.key
    site.archive.publish(now=Clock.next())
    newest = until(lambda: (found := site.front.get(HEAD).body) != before and found, "ours is taken")
    site.archive.key = openpgp.make("Somebody else", algorithm="rsa2048")
    site.archive.publish(now=Clock.next())
    until(lambda: site.front.get(HEAD) and "sign" in site.front.problem("debian"), "the problem is written down")
    assert site.front.get(HEAD).body == newest
    site.archive.signed = False
    site.archive.publish(now=Clock.next())
    until(lambda: site.front.get(HEAD) and "is not signed" in site.front.problem("debian"), "and of none at all")
    assert site.front.get(HEAD).body == newest
    site.archive.key, site.archive.signed = ours, True
    site.archive.publish(now=Clock.next())
    until(lambda: site.front.get(HEAD).body != newest, "ours is taken again")


def test_offline_serves_what_it_has_and_writes_down_what_it_has_not(site: Site, apt: Apt, tmp_path: Path) -> None:
    publish(site, tmp_path, "wanted")
    assert apt.run("update").returncode == 0
    assert site.front.get("/mirror/debian/pool/main/a/alpha_1.0_all.deb").status == 200
    site.front.change("debian", offline=True)
    missing = "/mirror/debian/pool/main/w/wanted_1.0_all.deb"
    until(lambda: site.front.get("/mirror/debian/pool/none.deb").status == 504, "it is offline")
    until(lambda: site.front.taken_over, "with all of it")
    asked = site.asked
    assert "is switched off here, and the file is not in our cache" in site.front.get(missing).text
    assert apt.run("update").returncode == 0
    assert apt.run("-y", "install", "alpha").returncode == 0
    unknown = site.front.get("/mirror/debian/dists/sid/InRelease")
    assert (unknown.status, "offline here" in unknown.text) == (504, True)
    assert site.asked == asked
    site.front.change("debian", offline=False)
    until(lambda: site.front.get(missing).status == 200, "it is online again")
    found = until(
        lambda: [each for each in site.front.statistics("debian")["missing"] if each["why"] == "offline"], "missing"
    )
    assert "pool/main/w/wanted_1.0_all.deb" in [each["path"] for each in found]


def test_statistics_say_what_the_upstream_was_spared(site: Site) -> None:
    path = "/mirror/debian/pool/main/g/gamma_1.0_all.deb"
    size = len(site.front.get(path).body)
    until(lambda: site.front.log.count("gamma_1.0_all.deb") and _settled(site), "all is counted")
    before = site.front.statistics("debian")
    for _ in range(3):
        site.front.get(path)
    site.front.get("/mirror/debian/pool/none.deb")
    until(lambda: site.front.statistics("debian")["requests"] == before["requests"] + 4, "all is counted")
    after = site.front.statistics("debian")
    assert {key: after[key] - before[key] for key in ("hits", "misses", "absent", "bytes_from_cache")} == {
        "hits": 3, "misses": 0, "absent": 1, "bytes_from_cache": 3 * size,
    }  # fmt: skip


def _settled(site: Site) -> bool:
    lines = [line for line in site.front.log.splitlines() if '"mirror":"debian"' in line]
    return bool(site.front.statistics("debian")["requests"] == len(lines))


def test_a_restart_keeps_everything(site: Site, apt: Apt) -> None:
    site.front.change("debian", freshness_s=3600)
    counted = site.front.statistics("debian")["requests"]
    site.front.end()
    site.front.begin()
    asked = site.asked
    assert apt.run("update").returncode == 0
    assert apt.run("-y", "install", "alpha").returncode == 0
    assert site.asked == asked, "neither an index nor a package was fetched again"
    assert site.front.statistics("debian")["requests"] >= counted
