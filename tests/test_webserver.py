"""gunicorn's worker: a request gets a thread only when all of it is here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.webserver import BODY_LIMIT, Arrived, arrived

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /c/x/events HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"PUT /c/x/logs/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
EMPTY = b"PUT /c/x/logs/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


@pytest.mark.parametrize("request_", [GET, POST, CHUNKED, EMPTY])
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


@given(st.binary(max_size=300))
def test_any_bytes_are_more_to_come_or_a_length_within_them(noise: bytes) -> None:
    for gathered in (noise, b"POST / HTTP/1.1\r\nContent-Length: " + noise, noise + b"\r\n\r\n"):
        found = arrived(bytearray(gathered))
        assert found is None or 0 < found.length <= len(gathered)
