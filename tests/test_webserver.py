"""gunicorn's worker: a request gets a thread only when all of it is here."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.webserver import BODY_LIMIT, TRAILERS_LIMIT, Arrived, arrived
from tests.ports import free_port

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /c/x/events HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"PUT /c/x/logs/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
EMPTY = b"PUT /c/x/logs/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
HEAD = b"PUT /c/x/logs/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
TRAILERS = HEAD + b"5\r\nhello\r\n0\r\nX: y\r\nDigest: none\r\n\r\n"
ODD_END = HEAD + b"7\r\nhello\r\n\r\n000 ;a=b\r\nX: y\r\n\r\n"


@pytest.mark.parametrize("request_", [GET, POST, CHUNKED, EMPTY, TRAILERS, ODD_END, HEAD + b"0\r\nX: y\r\n\r\n"])
def test_a_request_is_here_with_its_last_byte_and_not_before(request_: bytes) -> None:
    for cut in range(len(request_)):
        assert arrived(bytearray(request_[:cut])) is None
    found = arrived(bytearray(request_))
    assert found is not None
    assert found.length == len(request_)


@pytest.mark.parametrize("request_", [GET, POST])
def test_what_follows_is_not_of_this_request(request_: bytes) -> None:
    assert arrived(bytearray(request_ + b"GET /next")) == Arrived(len(request_), certain=True)


def test_a_body_too_long_to_gather_is_left_to_the_thread_at_once() -> None:
    head = b"PUT / HTTP/1.1\r\ncontent-length:%d\r\n\r\n" % (BODY_LIMIT + 1)
    assert arrived(bytearray(head)) == Arrived(len(head), certain=False)
    endless = b"PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + bytes(BODY_LIMIT + 1)
    assert arrived(bytearray(endless)) == Arrived(len(endless), certain=False)


def test_trailers_are_bounded_and_what_only_looks_like_them_ends_nothing() -> None:
    fits = HEAD + b"0\r\nX: " + b"y" * (TRAILERS_LIMIT - 100) + b"\r\n\r\n"
    assert arrived(bytearray(fits)) == Arrived(len(fits), certain=False)
    for body in (
        b"0\r\nX: " + b"y" * TRAILERS_LIMIT + b"\r\n\r\n",
        b"10\r\nX: y\r\n\r\n",
        b"ff\r\n0\r\nX: y\r\n\r\nit goes on\r\n\r\n",
        b"ff\r\n" + b"y" * TRAILERS_LIMIT + b"0" * 10 + b"\r\n\r\n",
    ):
        assert arrived(bytearray(HEAD + body)) is None, body


SERVER = """
import sys
from pxeapp import webserver

webserver.ARRIVES_WITHIN_S = 1.0

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

webserver.run(lambda: app, bind=f"127.0.0.1:{sys.argv[1]}", workers=1, threads=2)
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where a server answers every request with its own body; a request has one second to come whole."""
    number = free_port()
    with subprocess.Popen([sys.executable, "-c", SERVER, str(number)]) as server:
        try:
            deadline = time.monotonic() + 60
            while said(number, GET) == b"" and time.monotonic() < deadline:
                time.sleep(0.1)
            yield number
        finally:
            server.terminate()


def said(port: int, request_: bytes) -> bytes:
    """Everything that is answered until the server hangs up, or nothing where it is not there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
            sock.sendall(request_)
            answer = b""
            while piece := sock.recv(4096):
                answer += piece
            return answer
    except OSError:
        return b""


@pytest.mark.network
@pytest.mark.parametrize("request_", [CHUNKED, TRAILERS])
def test_a_body_in_chunks_is_answered_with_and_without_trailers(port: int, request_: bytes) -> None:
    answer = said(port, request_)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert answer.endswith(b"\r\n\r\nhello")


@pytest.mark.network
@pytest.mark.parametrize("begun", [GET[:-2], POST[:-1], CHUNKED[:-1], HEAD + b"0\r\nX: y" + b"y" * 9000 + b"\r\n\r\n"])
def test_who_does_not_come_whole_in_time_is_told_so(port: int, begun: bytes) -> None:
    answer = said(port, begun)
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert body.endswith(b" s.\n")


@pytest.mark.network
def test_who_never_began_to_ask_is_told_nothing(port: int) -> None:
    assert said(port, b"") == b""


@given(st.binary(max_size=300))
def test_any_bytes_are_more_to_come_or_a_length_within_them(noise: bytes) -> None:
    for gathered in (noise, b"POST / HTTP/1.1\r\nContent-Length: " + noise, noise + b"\r\n\r\n"):
        found = arrived(bytearray(gathered))
        assert found is None or 0 < found.length <= len(gathered)
