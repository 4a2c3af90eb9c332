"""The front as it runs: what changes while it does, and what nginx or the address policy refuses."""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp.db import now
from pxeapp.software.cache import moving, service
from pxeapp.software.front import process
from tests.software.front.running import Running, until
from tests.software.front.test_tls import certificate
from tests.software.mirrors.upstream import Server

pytestmark = [
    pytest.mark.nginx,
    pytest.mark.network,
    pytest.mark.skipif(process.program() is None, reason="nginx is not installed"),
]
MIB = 1024**2
OLD = "one file that was cached before"


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("upstream")
    for name in ("debian", "more"):
        (folder / name / "pool").mkdir(parents=True)
        (folder / name / "pool/a.deb").write_text(f"a of {name}")
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def front(upstream: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    named = f"debian={upstream.url}/debian,long=http+unix:///{'a' * 120}:/x"  # longer than a socket's path may be
    running = Running(tmp_path_factory.mktemp("front") / "data", named)
    yield running
    running.close()


@pytest.fixture(scope="module", autouse=True)
def _filled(front: Running, upstream: Server) -> None:
    """More than a limit allows; nginx takes up to ten seconds to look, and other tests use them."""
    front.change("small", url=f"{upstream.url}/more", max_bytes=16 * MIB)
    until(lambda: front.get("/mirror/small/pool/a.deb").status == 200, "it is served")
    for number in range(4):
        path = upstream.root / f"more/pool/{number}.deb"
        path.write_bytes(bytes(8 * MIB))
        assert len(front.get(f"/mirror/small/pool/{number}.deb").body) == 8 * MIB


def test_an_upstream_is_added_and_taken_away_while_it_runs(front: Running, upstream: Server) -> None:
    front.change("more", url=f"{upstream.url}/more")
    until(lambda: front.get("/mirror/more/pool/a.deb").body == b"a of more", "it is served")
    front.change("more", keep_packages=False)
    until(lambda: "X-Cache" not in front.get("/mirror/more/pool/a.deb").headers, "packages are passed through")

    def asked_again() -> bool:
        before = upstream.asked["more/pool/a.deb"]
        front.get("/mirror/more/pool/a.deb")
        return upstream.asked["more/pool/a.deb"] == before + 1

    until(asked_again, "the upstream is asked each time")  # a worker of before may still take a connection
    kept = front.settings.data_dir / "cache/packages/more"
    assert kept.is_dir()
    with front.database.write() as session:
        service.delete(session, front.settings, "more", actor="user:tester", now=now())
    until(lambda: front.get("/mirror/more/pool/a.deb").status == 404, "it is served no more")
    until(lambda: not kept.exists(), "and its packages are gone")


def test_what_nginx_refuses_leaves_the_rest_running_and_the_problem_with_the_upstream(front: Running) -> None:
    until(lambda: "nginx refuses it" in front.problem("long"), "the problem is written down")
    assert front.get("/mirror/long/x.deb").status == 404
    assert front.get("/mirror/debian/pool/a.deb").body == b"a of debian"
    assert not front.problem("debian")


def test_packages_that_cannot_be_kept_are_a_problem_of_their_upstream_alone(front: Running, upstream: Server) -> None:
    place = front.settings.data_dir / "cache/packages/wrong"
    place.write_text("a file where a folder should be")
    front.change("wrong", url=f"{upstream.url}/more")
    front.change("right", url=f"{upstream.url}/more")
    until(lambda: front.get("/mirror/right/pool/a.deb").status == 200, "another change is taken")
    assert front.get("/mirror/wrong/pool/a.deb").status == 404
    until(lambda: "cannot be kept in" in front.problem("wrong"), "the problem is written down")
    place.unlink()
    front.change("wrong", freshness_s=10)
    until(lambda: front.get("/mirror/wrong/pool/a.deb").status == 200, "it is taken now")
    until(lambda: not front.problem("wrong"), "the problem is gone")


def test_an_upstream_that_may_not_be_contacted_or_has_no_address_is_said(front: Running) -> None:
    front.change("nowhere", url="http://mirror.invalid/x")
    until(lambda: front.get("/mirror/nowhere/x.deb").status == 502, "it is known")
    assert "cannot be resolved or may not be contacted" in front.get("/mirror/nowhere/x.deb").text
    until(lambda: "cannot be resolved" in front.problem("nowhere"), "the problem is written down")


def test_an_upstream_whose_certificate_nobody_vouches_for_is_not_believed(
    front: Running, upstream: Server, tmp_path: Path
) -> None:
    made = certificate(tmp_path)
    server = Server(upstream.root)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    front.change("tls", url=f"https://localhost:{server.server_port}/debian")
    until(lambda: front.get("/mirror/tls/pool/a.deb").status == 502, "it is known")
    refused = front.get("/mirror/tls/dists/trixie/InRelease")
    assert (refused.status, "CERTIFICATE_VERIFY_FAILED" in refused.text) == (502, True)
    assert not server.asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("http://elsewhere.example.org/x", 403),
        ("http://127.0.0.1:1/debian/pool/a.deb", 403),
        ("https://mirror.example.org/debian/pool/a.deb", 403),
        ("http://169.254.169.254/latest/meta-data", 403),
        ("http://elsewhere.example.org/_indexes/debian/objects/x", 404),
        ("http://elsewhere.example.org/mirror/debian/pool/a.deb", 403),
        ("http://user@127.0.0.1/x", 400),
    ],
)
def test_the_proxy_leads_to_its_upstreams_and_nowhere_else(front: Running, asked: str, status: int) -> None:
    assert front.get(asked).status in (status, 503), "503: the node application, which does not run here"


def test_the_proxy_answers_for_upstreams_and_for_ourselves(front: Running, upstream: Server) -> None:
    assert front.get(f"{upstream.url}/debian/pool/a.deb").body == b"a of debian"
    assert front.get(f"{front.settings.node_url}/mirror/debian/pool/a.deb").body == b"a of debian"
    assert front.get(f"{upstream.url}/other/pool/a.deb").status == 403
    told = front.get("elsewhere.example.org:443", method="CONNECT")
    assert (told.status, "makes no tunnels" in told.text) in ((400, True), (405, True))
    assert front.get(f"{upstream.url}/debian/pool/a.deb", method="PUT").status == 405


def test_a_limit_is_kept(front: Running) -> None:
    place = front.settings.data_dir / "cache/packages/small"

    def size() -> int:
        return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())

    until(lambda: size() <= 17 * MIB, "what was not asked for the longest has gone", seconds=30)
    assert front.get("/mirror/small/pool/3.deb").headers["X-Cache"] == "HIT", "the last one stays"


def test_what_an_older_version_cached_for_all_goes_to_its_upstream(tmp_path: Path) -> None:
    digest = hashlib.md5(OLD.encode(), usedforsecurity=False).hexdigest()
    kept = tmp_path / "f" / "ab" / digest
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"\x05\0\0\nKEY: debian deb.example.org/debian/pool/a.deb\nHTTP/1.1 200 OK\r\n\r\na")
    (kept.parent / "rubbish").write_text("x")
    (tmp_path / "debian").mkdir()
    assert moving.adopt(tmp_path) == 1
    assert (tmp_path / "debian/f/ab" / digest).exists()
    assert not (tmp_path / "f").exists()
    assert moving.adopt(tmp_path) == 0
