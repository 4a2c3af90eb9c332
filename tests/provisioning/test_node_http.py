"""HTTP for machines: routes, limits and refusals, each reply whole; what a framework said before is what we say."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client

from pxeapp.errors import Invalid, NotFound
from pxeapp.provisioning.node_http import Answer, Application, Request, Route, file, text
from pxeapp.storage.faults import DatabaseUnavailable

LIMIT = 10
TOKEN = "T" * 43
PLAIN = ("Content-Type", "text/plain; charset=utf-8")
NO_STORE = ("Cache-Control", "no-store")


def _parts(_request: Request, *parts: str) -> Answer:
    return text("|".join(parts))


def _body(request: Request, _token: str) -> Answer:
    return text(f"{len(request.body(LIMIT))}")


def _query(request: Request) -> Answer:
    return text(repr(dict(request.args)))


def _fails(_request: Request, how: str) -> Answer:
    raise {
        "notfound": NotFound("It is secret what."),
        "invalid": Invalid("That is wrong.", hint="Mend it."),
        "busy": DatabaseUnavailable("The disk is full."),
        "bug": RuntimeError("a bug"),
    }[how]


def _address(request: Request) -> Answer:
    return text(request.address)


@pytest.fixture
def client(tmp_path: Path) -> Client:
    (tmp_path / "file").write_bytes(b"0123456789")
    routes = [
        Route("GET", "/here", _query),
        Route("GET", "/here/boot.cfg", _parts),
        Route("GET", "/a/<token>/<kind>", _parts),
        Route("POST", "/c/<token>/events", _body),
        Route("PUT POST", "/c/<token>/logs/<name>", _parts),
        Route("GET", "/media/<release>/<file...>", _parts),
        Route("GET", "/fails/<how>", _fails),
        Route("GET", "/address", _address),
        Route("GET", "/file", lambda request: file(tmp_path / "file", request, "application/octet-stream")),
    ]
    return Client(Application(routes, behind_front=False, too_large="Too large.\n"))


def reply(client: Client, method: str, path: str, **more: object) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All of it."""
    with client.open(path, method=method, **more) as found:  # type: ignore[arg-type]
        return found.status_code, found.data, sorted(found.headers)


def plain(status: int, body: str) -> tuple[int, bytes, list[tuple[str, str]]]:
    """A reply in words."""
    content = body.encode()
    return status, content, sorted([PLAIN, NO_STORE, ("Content-Length", str(len(content)))])


# Everything of a reply that a machine, or a guesser, could compare.
REPLIES = [
    ("GET", "/here", 200, "{}"),
    ("GET", "/here/", 404, "Not Found\n"),
    ("GET", "/HERE", 404, "Not Found\n"),
    ("GET", "/", 404, "Not Found\n"),
    ("GET", f"/a//{TOKEN}///kickstart", 200, f"{TOKEN}|kickstart"),
    ("GET", "/here/bootXcfg", 404, "Not Found\n"),
    ("GET", "/here%00", 404, "Not Found\n"),
    ("GET", "/here?a=1&a=2&b&c=%ff&d=a+b%20c;e", 200, "{'d': 'a b c;e', 'c': '�', 'b': '', 'a': '1'}"),
    ("POST", "/here", 405, "Method Not Allowed\n"),
    ("DELETE", "/here", 405, "Method Not Allowed\n"),
    ("OPTIONS", "/here", 405, "Method Not Allowed\n"),
    ("GET", f"/a/{TOKEN}/kickstart", 200, f"{TOKEN}|kickstart"),
    ("GET", f"/a/{TOKEN}/", 404, "Not Found\n"),
    ("GET", "/a//kickstart", 404, "Not Found\n"),
    ("GET", f"/a/{TOKEN}/kick/start", 404, "Not Found\n"),
    ("GET", "/a/x%2fy/kickstart", 404, "Not Found\n"),
    ("GET", f"/a/{TOKEN}/%0a", 200, f"{TOKEN}|\n"),
    ("GET", "/a/%c3%a9/%ff", 200, "é|�"),
    ("GET", f"/c/{TOKEN}/events", 405, "Method Not Allowed\n"),
    ("PUT", f"/c/{TOKEN}/events", 405, "Method Not Allowed\n"),
    ("PUT", f"/c/{TOKEN}/logs/x", 200, f"{TOKEN}|x"),
    ("POST", f"/c/{TOKEN}/logs/x", 200, f"{TOKEN}|x"),
    ("GET", "/media/r/a/b/c", 200, "r|a/b/c"),
    ("GET", "/media/r/", 404, "Not Found\n"),
    ("GET", "/media/r//etc/passwd", 200, "r|etc/passwd"),
    ("GET", "/fails/notfound", 404, "There is nothing here.\n"),
    ("GET", "/fails/invalid", 422, "That is wrong. Mend it.\n"),
]


@pytest.mark.parametrize(("method", "path", "status", "body"), REPLIES)
def test_a_reply_is_this_one_whole(client: Client, method: str, path: str, status: int, body: str) -> None:
    assert reply(client, method, path) == plain(status, body)


@pytest.mark.parametrize("path", [path for method, path, *_ in REPLIES if method == "GET"])
def test_head_says_of_everything_what_get_would_and_no_more(client: Client, path: str) -> None:
    status, _body, headers = reply(client, "GET", path)
    expected = [pair for pair in headers if status != 405]
    found = reply(client, "HEAD", path)
    assert found[1] == b""
    assert found == (status, b"", expected or headers)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "identity, gzip", ""])
def test_compressed_bodies_are_refused_before_anything_else(client: Client, encoding: str) -> None:
    expected = plain(422, "Compressed bodies are not taken. Send it without Content-Encoding.\n")
    for method, path in (("GET", "/here"), ("GET", "/nowhere"), ("POST", f"/c/{TOKEN}/events")):
        assert reply(client, method, path, headers={"Content-Encoding": encoding}) == expected
    assert reply(client, "GET", "/here", headers={"Content-Encoding": "identity"}) == plain(200, "{}")


def events(client: Client, body: bytes, **environ: object) -> tuple[int, bytes]:
    return reply(client, "POST", f"/c/{TOKEN}/events", data=body, environ_overrides=environ)[:2]


def test_a_body_has_a_limit_whether_it_says_its_length_or_not(client: Client) -> None:
    assert events(client, b"x" * LIMIT) == (200, b"10")
    assert events(client, b"x" * (LIMIT + 1)) == (413, b"Too large.\n")
    assert events(client, b"") == (200, b"0")
    for number, expected in ((LIMIT, (200, b"10")), (LIMIT + 1, (413, b"Too large.\n")), (0, (200, b"0"))):
        for more in ({}, {"CONTENT_LENGTH": "3"}):
            chunks = {"wsgi.input": io.BytesIO(b"x" * number), "wsgi.input_terminated": True}
            assert events(client, b"", HTTP_TRANSFER_ENCODING="chunked", **chunks, **more) == expected


def test_a_body_that_is_too_long_is_not_even_read(client: Client) -> None:
    unread = io.BytesIO(b"x" * 100)
    assert events(client, b"", CONTENT_LENGTH="100", **{"wsgi.input": unread})[0] == 413
    assert unread.tell() == 0


@pytest.mark.parametrize("length", ["-1", "+5", "5.0", "five", "٥", "5 5"])
def test_a_length_that_is_none_is_refused(client: Client, length: str) -> None:
    assert events(client, b"hello", CONTENT_LENGTH=length) == (400, b"Bad Request\n")


def test_a_body_that_breaks_off_is_refused(client: Client) -> None:
    assert events(client, b"", CONTENT_LENGTH="5", **{"wsgi.input": io.BytesIO(b"hel")}) == (400, b"Bad Request\n")


def test_a_fault_of_the_appliance_is_said_in_the_log_and_machines_are_told_to_come_again(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    status, body, headers = reply(client, "GET", "/fails/busy")
    assert (status, ("Retry-After", "5") in headers) == (503, True)
    assert body == b"The appliance cannot record that right now; nothing was changed. Try again in a moment.\n"
    assert "The disk is full" in caplog.text


def test_a_bug_is_logged_without_the_path_which_may_hold_a_token(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert reply(client, "GET", "/fails/bug") == plain(500, "Internal Server Error\n")
    assert "RuntimeError: a bug" in caplog.text
    assert "/fails/bug" not in caplog.text


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("", 200, b"0123456789"),
        ("bytes=0-3", 206, b"0123"),
        ("bytes=7-", 206, b"789"),
        ("bytes=10-", 416, b"Requested Range Not Satisfiable\n"),
        ("nonsense", 416, b"Requested Range Not Satisfiable\n"),
    ],
)
def test_a_part_of_a_file_may_be_asked_for(client: Client, asked: str, status: int, body: bytes) -> None:
    headers = {"Range": asked} if asked else {}
    assert reply(client, "GET", "/file", headers=headers)[:2] == (status, body)


@pytest.mark.parametrize(("behind_front", "expected"), [(True, "10.0.0.5"), (False, "10.0.0.9")])
def test_whose_word_counts_for_an_address(behind_front: bool, expected: str) -> None:
    client = Client(Application([Route("GET", "/address", _address)], behind_front=behind_front, too_large=""))
    more = {"headers": {"X-Real-IP": "10.0.0.5"}, "environ_overrides": {"REMOTE_ADDR": "10.0.0.9"}}
    assert reply(client, "GET", "/address", **more)[1] == expected.encode()


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "TRACE"]) | st.text("ABCxyz-", min_size=1),
    path=st.lists(st.sampled_from(["/", "//", "a", "c", "here", "media", "..", "%00", "é", "\n", "events", "x"])),
    query=st.text(st.characters(codec="latin-1"), max_size=40),
)
def test_any_request_gets_one_of_our_replies(method: str, path: list[str], query: str) -> None:
    routes = [Route("GET", "/here", _query), Route("GET", "/media/<release>/<file...>", _parts)]
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": "".join(path).encode().decode("latin-1"),
        "QUERY_STRING": query,
        "wsgi.input": io.BytesIO(),
    }
    said: list[str] = []
    body = b"".join(
        Application(routes, behind_front=False, too_large="")(environ, lambda status, _headers: said.append(status))
    )
    assert said[0][:3] in ("200", "404", "405")
    assert (method == "HEAD") <= (body == b"")
