from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import pytest
from netaddr import IPNetwork

from pxeapp.errors import Invalid, Unavailable
from pxeapp.software import fetch
from pxeapp.software.content.store import Store
from tests.software.conftest import Reply, UpstreamServer

LOOPBACK = (IPNetwork("127.0.0.0/8"),)
BODY = b"kernel" * 1000
SHA = hashlib.sha256(BODY).hexdigest()

pytestmark = pytest.mark.network


def test_a_file_appears_when_its_checksum_is_right(upstream: UpstreamServer, tmp_path: Path) -> None:
    upstream.replies["/linux"] = Reply(BODY)
    size = fetch.fetch(f"{upstream.url}/linux", tmp_path / "linux", sha256=SHA, networks=LOOPBACK)
    assert (size, (tmp_path / "linux").read_bytes()) == (len(BODY), BODY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["linux"]


def test_a_wrong_checksum_leaves_nothing_behind(upstream: UpstreamServer, tmp_path: Path) -> None:
    upstream.replies["/linux"] = Reply(BODY + b"!")
    with pytest.raises(Invalid, match="has SHA-256"):
        fetch.fetch(f"{upstream.url}/linux", tmp_path / "linux", sha256=SHA, networks=LOOPBACK)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_checksum_is_refused_before_anything_is_asked(upstream: UpstreamServer, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="SHA-256 checksum is required"):
        fetch.fetch(f"{upstream.url}/linux", tmp_path / "linux", sha256="", networks=LOOPBACK)
    assert not upstream.asked


def test_too_large_a_file_is_refused_by_its_announced_and_by_its_real_size(
    upstream: UpstreamServer, tmp_path: Path
) -> None:
    limits = fetch.Limits(max_bytes=100)
    upstream.replies["/big"] = Reply(BODY)
    with pytest.raises(Invalid, match="larger than 100 bytes"):
        fetch.fetch(f"{upstream.url}/big", tmp_path / "f", sha256=SHA, networks=LOOPBACK, limits=limits)
    upstream.replies["/lie"] = Reply(BODY, headers={"Content-Length": "", "Transfer-Encoding": "identity"})
    with pytest.raises(Invalid, match="larger than 100 bytes"):
        fetch.fetch(f"{upstream.url}/lie", tmp_path / "f", sha256=SHA, networks=LOOPBACK, limits=limits)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_breaks_off_is_not_kept(upstream: UpstreamServer, tmp_path: Path) -> None:
    upstream.replies["/short"] = Reply(BODY, headers={"Content-Length": str(len(BODY) + 10)})
    with pytest.raises(Unavailable):
        fetch.fetch(f"{upstream.url}/short", tmp_path / "f", sha256=SHA, networks=LOOPBACK)
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_on_the_same_host_is_followed(upstream: UpstreamServer, tmp_path: Path) -> None:
    upstream.replies["/old"] = Reply(status=302, headers={"Location": "/linux"})
    upstream.replies["/linux"] = Reply(BODY)
    fetch.fetch(f"{upstream.url}/old", tmp_path / "f", sha256=SHA, networks=LOOPBACK)
    assert (tmp_path / "f").exists()


@pytest.mark.parametrize("target", ["http://127.0.0.2/x", "http://metadata.example/x", "file:///etc/passwd"])
def test_a_redirect_elsewhere_is_refused(upstream: UpstreamServer, tmp_path: Path, target: str) -> None:
    upstream.replies["/old"] = Reply(status=302, headers={"Location": target})
    with pytest.raises(Invalid):
        fetch.fetch(f"{upstream.url}/old", tmp_path / "f", sha256=SHA, networks=LOOPBACK)


def test_an_endless_redirect_ends(upstream: UpstreamServer, tmp_path: Path) -> None:
    upstream.replies["/loop"] = Reply(status=302, headers={"Location": "/loop"})
    with pytest.raises(Invalid, match="redirects more than"):
        fetch.fetch(f"{upstream.url}/loop", tmp_path / "f", sha256=SHA, networks=LOOPBACK)
    assert upstream.asked["/loop"] == fetch.MAX_REDIRECTS + 1


def test_this_host_is_never_contacted_without_being_allowed(upstream: UpstreamServer, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="may not contact"):
        fetch.fetch(f"{upstream.url}/linux", tmp_path / "f", sha256=SHA)
    assert not upstream.asked


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example/x", "file:///etc/passwd", "http:///x", "http://u:p@a.example/", "http://a.example/\nx", "x"],
)
def test_only_plain_http_urls_are_accepted(url: str) -> None:
    with pytest.raises(Invalid):
        fetch.check_url(url)


@pytest.mark.parametrize("label", ["a" * 64, "a..b"])
def test_a_name_that_no_dns_takes_is_a_sentence(label: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot be resolved.*Check its spelling and the DNS\."):
        fetch.fetch(f"http://{label}.example/x", tmp_path / "f", sha256=SHA)


@pytest.mark.parametrize("target", ["http://[", "http://[::1", "//127.0.0.1:99999999/x"])
def test_a_redirect_to_what_is_no_url_is_a_sentence(upstream: UpstreamServer, tmp_path: Path, target: str) -> None:
    upstream.replies["/old"] = Reply(status=302, headers={"Location": target})
    with pytest.raises((Invalid, Unavailable)):
        fetch.fetch(f"{upstream.url}/old", tmp_path / "f", sha256=SHA, networks=LOOPBACK)


def test_an_unreachable_server_is_a_sentence_that_may_be_retried(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        fetch.fetch("http://127.0.0.1:1/x", tmp_path / "f", sha256=SHA, networks=LOOPBACK)
    assert caught.value.retryable


def rest(upstream: UpstreamServer, store: Store, content: bytes, *, before: bytes, sha256: str = "") -> str:
    """What is in the store after a download under a key that has brought in `before` already."""
    with contextlib.suppress(InterruptedError), store.receiving(key="x") as broken:
        broken.write(before)
        raise InterruptedError
    expected = sha256 or hashlib.sha256(content).hexdigest()
    with store.receiving(sha256=expected, key="x") as incoming:
        fetch.resume(f"{upstream.url}/f", incoming, networks=LOOPBACK)
    return incoming.blob.sha256


def test_a_download_goes_on_behind_what_has_come_in(upstream: UpstreamServer, tmp_path: Path) -> None:
    store, content = Store(tmp_path), b"0123456789"
    upstream.replies["/f"] = Reply(content[4:], 206, headers={"Content-Range": "bytes 4-9/10"})
    assert store.read(rest(upstream, store, content, before=content[:4])) == content
    assert upstream.last_headers["Range"] == "bytes=4-"


def test_a_server_that_cannot_go_on_is_asked_for_all_of_it(upstream: UpstreamServer, tmp_path: Path) -> None:
    store, content = Store(tmp_path), b"0123456789"
    upstream.replies["/f"] = Reply(content)
    assert store.read(rest(upstream, store, content, before=b"of another file")) == content


def test_what_is_here_already_is_not_fetched_and_is_still_compared(upstream: UpstreamServer, tmp_path: Path) -> None:
    store, content = Store(tmp_path), b"0123456789"
    upstream.replies["/f"] = Reply(status=416)
    assert store.read(rest(upstream, store, content, before=content)) == content
    with pytest.raises(Invalid, match="has SHA-256"):
        rest(upstream, store, content, before=content, sha256="0" * 64)
    assert store.partial("x") == 0
