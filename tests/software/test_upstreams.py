from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp import config
from pxeapp.errors import ConfigError, NotFound, Unavailable
from pxeapp.software import upstreams
from pxeapp.software.door import Door
from tests.software.conftest import Reply, UpstreamServer


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://m.example/debian", ("http", "m.example", 80, "/debian", "")),
        ("https://m.example:8443", ("https", "m.example", 8443, "", "")),
        ("http://[2001:db8::1]:8080/d", ("http", "2001:db8::1", 8080, "/d", "")),
        ("http+unix:///run/door.sock:/debian", ("unix", "door", 80, "/debian", "/run/door.sock")),
    ],
)
def test_every_spelling_of_an_upstream(url: str, expected: tuple[str, str, int, str, str]) -> None:
    settings = config.load({"PXEAPP_MIRROR_UPSTREAMS": f"debian={url}"})
    found = upstreams.parse("debian", settings.mirror_upstreams["debian"])
    assert (found.scheme, found.host, found.port, found.path, found.socket) == expected
    assert str(found) == url


@pytest.mark.parametrize(
    "value",
    [
        "debian",
        "debian=ftp://m.example",
        "Debian=http://m",
        "a=http://m.example/x;y",
        "a=http+unix://relative:/x",
        "a=http://",
    ],
)
def test_an_upstream_that_could_mean_something_to_nginx_stops_the_start(value: str) -> None:
    with pytest.raises(ConfigError, match="PXEAPP_MIRROR_UPSTREAMS"):
        config.load({"PXEAPP_MIRROR_UPSTREAMS": value})


def test_an_unknown_mirror_is_a_sentence_that_says_what_to_set(settings: config.Settings) -> None:
    with pytest.raises(NotFound, match=r"known: debian.*PXEAPP_MIRROR_UPSTREAMS=ubuntu="):
        upstreams.named(settings, "ubuntu")


@pytest.mark.parametrize("path", ["", "a//b", "../x", "a/%2e%2e/b", "a/./b", "a%0ab", "a b"])
def test_a_path_that_is_not_plain_is_none(path: str) -> None:
    assert upstreams.clean(path) is None


def test_a_plain_path_is_unquoted() -> None:
    assert upstreams.clean("pool/a/a%2bb_1%3a2~3.deb") == "pool/a/a+b_1:2~3.deb"


@pytest.mark.network
def test_a_proxy_is_asked_with_the_whole_address(upstream: UpstreamServer) -> None:
    upstream.replies["http://mirror.example/debian/Release"] = Reply(b"through the proxy")
    proxied = upstreams.parse("debian", "http://mirror.example/debian", proxy=upstream.url)
    with upstreams.request(proxied, "Release") as response:
        assert response.read() == b"through the proxy"
    assert upstream.last_headers["Host"] == "mirror.example"


@pytest.mark.network
def test_a_silent_mirror_is_unavailable() -> None:
    gone = upstreams.parse("debian", "http://127.0.0.1:1/debian")
    with pytest.raises(Unavailable, match="does not answer"), upstreams.request(gone, "Release"):
        pass


@pytest.fixture
def door(upstream: UpstreamServer, tmp_path: Path) -> Iterator[Path]:
    """A door to the upstream's /debian, as `debian`."""
    path = tmp_path / "door.sock"
    running = Door(path, {"debian": upstreams.parse("debian", f"{upstream.url}/debian")})
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield path
    running.shutdown()
    running.server_close()
    thread.join()
    assert not path.exists()


def through(door: Path, path: str, *, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """One request through the door as a client on the other side makes it."""
    connection = http.client.HTTPConnection("door")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(10)
    connection.sock.connect(str(door))
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.network
def test_the_door_relays_reads_of_its_upstreams(door: Path, upstream: UpstreamServer) -> None:
    upstream.replies["/debian/pool/a+b_1%3A2.deb"] = upstream.replies["/debian/pool/a+b_1:2.deb"] = Reply(b"deb")
    assert through(door, "/debian/pool/a+b_1%3a2.deb") == (200, b"deb")
    assert through(door, "/debian/pool/a+b_1%3a2.deb", method="HEAD") == (200, b"")
    assert through(door, "/debian/pool/none.deb")[0] == 404


@pytest.mark.network
def test_the_door_hands_on_conditions_and_nothing_private(door: Path, upstream: UpstreamServer) -> None:
    upstream.replies["/debian/Release"] = Reply(b"x", etag='"1"')
    status, _ = through(door, "/debian/Release", **{"If-None-Match": '"1"', "Cookie": "secret", "Authorization": "b"})
    assert status == 304
    assert not {"Cookie", "Authorization"} & set(upstream.last_headers)


@pytest.mark.network
@pytest.mark.parametrize(
    "path", ["/", "/other/x", "/debian", "/debian/../x", "/debian/%2e%2e/x", "http://evil.example/x"]
)
def test_the_door_leads_nowhere_else(door: Path, upstream: UpstreamServer, path: str) -> None:
    status, said = through(door, path)
    assert (status, b"This door leads to debian only" in said) == (404, True)
    assert not upstream.asked


@pytest.mark.network
def test_the_door_refuses_writes(door: Path) -> None:
    assert through(door, "/debian/x", method="POST")[0] == 501


@pytest.mark.network
def test_the_door_says_when_the_upstream_is_down(tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    with Door(path, {"debian": upstreams.parse("debian", "http://127.0.0.1:1")}) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        status, said = through(path, "/debian/x")
        running.shutdown()
        thread.join()
    assert (status, b"does not answer" in said) == (502, True)


@pytest.mark.network
def test_a_dead_doors_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    Door(path, {}).server_close()
    assert not path.exists()
