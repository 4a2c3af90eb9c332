"""Purging with a real front: what came wrong goes, and the next request fetches it anew, a set as a whole."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.audit.models import AuditRow
from pxeapp.db import now
from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.software.cache import purging
from pxeapp.software.cache.indexes.heads import File
from pxeapp.software.cache.indexes.shelf import Generation, Head, Record, Shelf
from tests.software.cache.conftest import Site
from tests.software.conftest import Reply, UpstreamServer
from tests.software.front.running import Running, until
from tests.software.mirrors.upstream import SUITE
from tests.software.repositories.built import deb

pytestmark = [pytest.mark.nginx, pytest.mark.network]
ROOT = f"dists/{SUITE}"
HEAD, INDEX = f"{ROOT}/InRelease", f"{ROOT}/main/binary-amd64/Packages.xz"
ALPHA, BETA = "pool/main/a/alpha_1.0_all.deb", "pool/main/b/beta_1.0_all.deb"
NOTHING = {"files": 0, "bytes": 0, "sets": []}


@pytest.fixture(scope="module", autouse=True)
def _archive(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("alpha", "beta"):
        site.archive.add(deb(tmp_path_factory.mktemp("packages"), name))
    site.archive.publish(now=now() - dt.timedelta(hours=2))


def get(site: Site, path: str) -> tuple[str, bytes]:
    """Whether it came from the cache, and what came."""
    reply = site.front.get(f"/mirror/debian/{path}")
    assert reply.status == 200, reply.text
    return reply.headers.get("X-Cache", ""), reply.body


def purge(site: Site, path: str) -> dict[str, Any]:
    front = site.front
    found = purging.purge(front.database, front.settings, "debian", path, actor="user:ops", now=now())
    return {key: value for key, value in found.items() if key not in ("name", "path")}


def rows(site: Site) -> list[dict[str, Any]]:
    with site.front.database.read() as session:
        return [row.details for row in session.scalars(select(AuditRow).where(AuditRow.action == "upstream.purge"))]


def test_one_package_goes_and_comes_anew_and_its_set_stays(site: Site) -> None:
    wrong = site.archive.root / ALPHA
    right = wrong.read_bytes()
    wrong.write_bytes(b"not what the index names")
    head = get(site, HEAD)[1]
    get(site, ALPHA)
    get(site, BETA)
    wrong.write_bytes(right)
    assert get(site, ALPHA) == ("HIT", b"not what the index names")
    went = purge(site, ALPHA)
    assert (went["files"], went["sets"]) == (1, [])
    assert went["bytes"] >= len(b"not what the index names")
    assert purge(site, f"/{ALPHA}") == NOTHING
    assert rows(site) == [{"path": ALPHA, **went}]  # and nothing of the second time
    asked = site.server.asked[f"debian/{HEAD}"]
    assert get(site, ALPHA) == ("MISS", right)
    assert get(site, BETA)[0] == "HIT"
    assert get(site, HEAD)[1] == head
    assert site.server.asked[f"debian/{HEAD}"] == asked


def test_a_folder_of_packages_goes_and_what_only_begins_alike_stays(site: Site) -> None:
    for path in (ALPHA, BETA):
        get(site, path)
    assert purge(site, "pool/main/b")["files"] == 0  # that would be a file
    assert purge(site, "pool/main/b/")["files"] == 1
    assert (get(site, ALPHA)[0], get(site, BETA)[0]) == ("HIT", "MISS")
    assert purge(site, "pool/")["files"] == 2
    assert (get(site, ALPHA)[0], get(site, BETA)[0]) == ("MISS", "MISS")


@pytest.mark.parametrize("said", [INDEX, HEAD, f"{ROOT}/main/", f"{ROOT}/main/binary-amd64/by-hash/SHA256/{'0' * 64}"])
def test_one_index_goes_with_its_whole_set_and_the_new_one_is_whole(site: Site, tmp_path: Path, said: str) -> None:
    old_head, old_index = get(site, HEAD)[1], get(site, INDEX)[1]
    get(site, ALPHA)
    site.archive.add(deb(tmp_path, "extra", version=f"1.{len(said)}"))
    site.archive.publish(now=now() - dt.timedelta(hours=3))  # older: it is not taken by itself
    assert get(site, HEAD)[1] == old_head
    went = purge(site, said)
    assert went["sets"] == [ROOT]
    assert went["files"] >= 2
    index = get(site, INDEX)[1]  # before any head was asked for
    assert index != old_index
    assert index == (site.archive.root / INDEX).read_bytes()
    assert get(site, HEAD)[1] == (site.archive.root / HEAD).read_bytes() != old_head
    assert get(site, ALPHA)[0] == "HIT"


def test_everything_goes_and_the_page_knows_it_and_a_new_front_too(site: Site) -> None:
    get(site, HEAD)
    get(site, ALPHA)
    until(lambda: site.front.state("debian") and site.front.state("debian").sets, "the set is written down")
    went = purge(site, "/")
    assert went["sets"] == [ROOT]
    assert went["files"] >= 2
    assert purge(site, "/") == NOTHING
    until(lambda: site.front.state("debian").sets == [], "the set is written off")
    site.front.end()
    site.front.begin()
    assert get(site, HEAD)[1] == (site.archive.root / HEAD).read_bytes()
    assert get(site, ALPHA)[0] == "MISS"


def test_nothing_is_purged_of_what_could_not_come_anew_and_no_path_leads_elsewhere(site: Site) -> None:
    get(site, ALPHA)
    site.front.change("debian", offline=True)
    with pytest.raises(Conflict, match="debian is offline here"):
        purge(site, ALPHA)
    site.front.change("debian", offline=False)
    for said in ("", "  ", "../other/x", "pool//x", "a/%2e%2e/b", "pool/\na", "http://x/y", "pool/main//"):
        with pytest.raises(Invalid) as caught:
            purge(site, said)
        assert [each.field for each in caught.value.problems] == ["path"]
    with pytest.raises(NotFound):
        purging.purge(site.front.database, site.front.settings, "../x", "/", actor="user:ops", now=now())
    until(lambda: get(site, ALPHA)[0] == "HIT", "it is there as it was")


def test_behind_a_proxy_a_package_goes_and_none_is_taken_for_one_of_another_address(
    upstream: UpstreamServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apt.conf").write_text(f'Acquire::http::Proxy "{upstream.url}";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    for host in ("one", "two"):
        upstream.replies[f"http://{host}.example.org/debian/{ALPHA}"] = Reply(host.encode())
    front = Running(tmp_path / "data", "debian=http://one.example.org/debian")
    site = Site(front, None, None, tmp_path)  # type: ignore[arg-type]
    try:
        assert [get(site, ALPHA) for _ in range(2)] == [("MISS", b"one"), ("HIT", b"one")]
        assert purge(site, ALPHA)["files"] == 1
        assert [get(site, ALPHA)[0] for _ in range(2)] == ["MISS", "HIT"]
        assert purge(site, "pool/")["files"] == 1
        assert get(site, ALPHA) == ("MISS", b"one")
        front.change("debian", url="http://two.example.org/debian")
        until(lambda: get(site, ALPHA)[1] == b"two", "the other address is asked")
        assert purge(site, "/")["files"] == 2  # and what came from the former address
    finally:
        front.close()


def test_a_look_that_ends_after_the_purge_brings_the_set_not_back(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shared, own = (shelf.add(content, modified=0.0) for content in (b"shared", b"own"))

    def record(root: str, **files: File) -> Record:
        return Record("apt", root, [Generation({"InRelease": shared}, Head({}), 0.0, "http://x", files)])

    going, other = record("dists/a", Packages=own), record("dists/b")
    assert shelf.save(going)
    assert shelf.save(other)
    before = shelf.purged()
    assert Shelf.purge(tmp_path, lambda path: path == "dists/a/none") == ([], [])
    assert shelf.purged() == before
    assert Shelf.purge(tmp_path, lambda path: path == "dists/a/Packages") == (["dists/a"], [3])
    assert shelf.purged() != before
    assert (shelf.has(shared), shelf.has(own)) == (True, False)  # the other set has the one
    assert not shelf.save(going)
    assert (shelf.keeps(going), shelf.keeps(other)) == (False, True)
    assert shelf.save(record("dists/a"))  # that is another one, which was fetched anew
