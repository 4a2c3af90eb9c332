"""Streams without a thread each: what is sent arrives, in order; who is gone, slow or one too many is told apart."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from pxeapp import streams
from pxeapp.streams import HANDOVER, Carrier, HandedOver, Stream, TooManyStreams, answer

pytestmark = pytest.mark.network
WITHIN_S = 8.0


@pytest.fixture
def carrier() -> Iterator[Carrier]:
    """One that ends with the test."""
    made = Carrier()
    yield made
    made.stop()
    made.join()
    made.close()


def carried(carrier: Carrier, *, chunked: bool = True, **more: object) -> tuple[Stream, socket.socket]:
    """A stream, and its client's end of the connection."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(WITHIN_S)
    stream = Stream(owner="user:eve", carrier=carrier, **more)  # type: ignore[arg-type]
    carrier.take(ours, stream, chunked=chunked)
    return stream, theirs


def all_of(client: socket.socket) -> bytes:
    """Everything until the other side hangs up."""
    found = b""
    with client:
        while piece := client.recv(65536):
            found += piece
    return found


def test_what_is_sent_arrives_in_order_and_ends_as_http_ends(carrier: Carrier) -> None:
    stream, client = carried(carrier)
    for number in range(100):
        assert stream.send(b"%d;" % number)
    stream.close()
    raw, plain = all_of(client), b""
    while raw:
        length, _, raw = raw.partition(b"\r\n")
        size = int(length, 16)
        plain, raw = plain + raw[:size], raw[size + 2 :]
        if size == 0:
            break
    assert plain == b"".join(b"%d;" % number for number in range(100))
    assert raw == b""
    assert not stream.send(b"too late")


def test_an_old_client_gets_it_without_frames(carrier: Carrier) -> None:
    stream, client = carried(carrier, chunked=False)
    stream.send(b"as it is")
    stream.close()
    assert all_of(client) == b"as it is"


def test_a_client_that_hangs_up_closes_its_stream_and_no_other(carrier: Carrier) -> None:
    closed = threading.Event()
    gone, client = carried(carrier, on_close=closed.set)
    kept, other = carried(carrier)
    client.close()
    assert closed.wait(WITHIN_S)
    assert gone.closed
    assert not gone.send(b"x")
    kept.send(b"still")
    assert b"still" in other.recv(100)
    other.close()


def test_a_client_that_reads_nothing_is_dropped_before_it_fills_the_memory(carrier: Carrier) -> None:
    stream, client = carried(carrier)
    deadline = time.monotonic() + WITHIN_S
    while stream.send(b"x" * 50_000):
        assert stream.pending <= streams.LIMIT
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert stream.closed
    client.close()


def test_an_account_has_a_limit_and_gets_its_place_back(carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PER_OWNER", 2)
    first, second = Stream(owner="user:eve", carrier=carrier), Stream(owner="user:eve", carrier=carrier)
    with pytest.raises(TooManyStreams, match="Too many streams"):
        Stream(owner="user:eve", carrier=carrier)
    Stream(owner="user:adam", carrier=carrier).close()
    first.close()
    first.close()
    Stream(owner="user:eve", carrier=carrier).close()
    second.close()
    assert len(carrier) == 0


def test_at_the_end_of_the_process_every_client_is_told(carrier: Carrier) -> None:
    clients = [carried(carrier)[1] for _ in range(20)]
    carrier.stop()
    carrier.join()
    assert [all_of(client)[-5:] for client in clients] == [b"0\r\n\r\n"] * 20
    with pytest.raises(TooManyStreams):
        Stream(owner="user:eve", carrier=carrier)


def test_who_is_handed_over_behind_the_goodbye_is_told_as_well(carrier: Carrier) -> None:
    first, other = carried(carrier)
    late, (ours, client) = Stream(owner="user:eve", carrier=carrier), socket.socketpair()
    client.settimeout(WITHIN_S)
    carrier.stop()
    carrier.join()
    assert (first.closed, all_of(other)[-5:]) == (True, b"0\r\n\r\n")
    carrier.take(ours, late, chunked=True)
    assert all_of(client) == b"0\r\n\r\n"
    assert late.closed
    assert len(carrier) == 0


def test_under_a_server_that_takes_sockets_the_first_chunk_is_followed_by_the_handover(carrier: Carrier) -> None:
    stream = Stream(owner="user:eve", carrier=carrier)
    stream.send(b"data: first\n\n")
    body = iter(answer(stream, {HANDOVER: True, "SERVER_PROTOCOL": "HTTP/1.1"}).response)
    assert next(body) == b"data: first\n\n"
    with pytest.raises(HandedOver) as over:
        next(body)
    assert (over.value.stream, over.value.chunked) == (stream, True)
    body.close()  # type: ignore[attr-defined]
    assert not stream.closed, "it lives on where it was handed to"
    stream.close()


def test_elsewhere_the_response_iterates_and_closes_its_stream(carrier: Carrier) -> None:
    stream = Stream(owner="user:eve", carrier=carrier)
    stream.send(b"one")
    body = iter(answer(stream, {}).response)
    assert next(body) == b"one"
    stream.send(b"two")
    assert next(body) == b"two"
    stream.close()
    assert list(body) == []
    other = Stream(owner="user:eve", carrier=carrier)
    answer(other, {}).close()
    assert other.closed


def test_head_gets_a_head(carrier: Carrier) -> None:
    stream = Stream(owner="user:eve", carrier=carrier)
    response = answer(stream, {"REQUEST_METHOD": "HEAD"})
    assert response.mimetype == "text/event-stream"
    assert stream.closed
