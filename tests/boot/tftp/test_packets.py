"""Requests from strangers: parsed strictly, and whatever comes, nothing but our own error is raised."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.boot.tftp import packets
from pxeapp.boot.tftp.packets import BadRequest, Request
from tests.boot.tftp.wire import OACK, RRQ, WRQ, kind, options, request

CLIENT = ("10.0.0.7", 2070)


def parse(datagram: bytes) -> Request:
    return packets.parse_request(datagram, CLIENT, max_blksize=65_464, max_window=64)


@given(st.one_of(st.binary(max_size=1200), st.binary(max_size=1100).map(lambda rest: b"\0\1" + rest + b"\0")))
def test_any_bytes_are_a_request_within_bounds_or_a_bad_request(datagram: bytes) -> None:
    try:
        found = parse(datagram)
    except BadRequest:
        return
    assert 0 < len(found.filename) <= 255
    assert found.filename.isprintable()
    assert found.mode in ("octet", "netascii")
    assert 8 <= found.blksize <= 65_464
    assert 1 <= found.windowsize <= 64
    assert found.timeout_s is None or 1 <= found.timeout_s <= 255


WORD = st.text(st.characters(min_codepoint=1, max_codepoint=0x17F), min_size=1, max_size=12)
OPTION = st.sampled_from(["blksize", "BLKSIZE", "windowsize", "timeout", "tsize", "multicast", "x"])
VALUE = st.one_of(st.integers(-5, 2**40).map(str), WORD)


@given(st.lists(st.tuples(OPTION, VALUE), max_size=8), st.sampled_from(["octet", "OCTET", "netascii", "mail"]))
def test_any_options_are_taken_within_bounds_or_refused(pairs: list[tuple[str, str]], mode: str) -> None:
    words = ["name", mode, *(word for pair in pairs for word in pair)]
    datagram = b"\0\1" + b"".join(word.encode() + b"\0" for word in words)
    try:
        found = parse(datagram)
    except BadRequest:
        return
    reply = packets.oack(found, 1234)
    if reply:
        said = options(reply)
        assert set(said) <= {"blksize", "windowsize", "timeout", "tsize"}
        assert set(said) <= {name.lower() for name, _ in pairs}
        # RFC 2348, RFC 7440: what is answered is never more than what was asked for.
        for name in {"blksize", "windowsize"} & set(said):
            assert int(said[name]) <= int(found.wants[name])


@pytest.mark.parametrize(
    ("asked", "answered"),
    [("8", 8), ("512", 512), ("1468", 1468), ("65464", 65_464), ("65535", 65_464), ("2147483648", 65_464)],
)
def test_a_block_size_is_taken_as_asked_up_to_the_largest_that_exists(asked: str, answered: int) -> None:
    found = parse(request("a", blksize=int(asked)))
    assert found.blksize == answered
    assert options(packets.oack(found, 0)) == {"blksize": str(answered)}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("blksize", value) for value in ("7", "0", "-1", "abc", "5e2", "0x200", "٥١٢", "1" * 21, " 512")),
        *(("windowsize", value) for value in ("0", "65536", "-1", "many")),
        *(("timeout", value) for value in ("0", "256", "1.5", "-3")),
        *(("tsize", value) for value in ("-1", "x", "9" * 20)),
    ],
)
def test_an_option_that_cannot_be_met_is_refused_as_such(option: str, value: str) -> None:
    datagram = b"\0\1a\0octet\0" + option.encode() + b"\0" + value.encode() + b"\0"
    with pytest.raises(BadRequest) as caught:
        parse(datagram)
    assert caught.value.code in (packets.BAD_OPTIONS, packets.ILLEGAL)


@pytest.mark.parametrize(
    "name", ["", "a" * 256, "a\nb", "a\x1bb", "a\x7fb", "a\u202eb", "a\u0085b"], ids=lambda name: repr(name[:8])
)
def test_a_name_that_would_spoil_a_log_or_a_screen_is_refused(name: str) -> None:
    with pytest.raises(BadRequest):
        parse(request(name.encode()))


def test_a_name_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        parse(request(b"\xff\xfe\x80"))
    assert caught.value.code in (packets.ACCESS_VIOLATION, packets.ILLEGAL)


def test_a_write_request_is_told_that_this_server_only_reads() -> None:
    with pytest.raises(BadRequest) as caught:
        parse(request("a", opcode=WRQ))
    assert (caught.value.code, caught.value.message) == (packets.ACCESS_VIOLATION, "This server is read-only")


def test_firmware_that_pads_its_request_with_zeroes_is_understood() -> None:
    padded = request("undionly.kpxe", tsize=0, blksize=1456).ljust(512, b"\0")
    found = parse(padded)
    assert (found.filename, found.blksize, list(found.wants)) == ("undionly.kpxe", 1456, ["tsize", "blksize"])


@pytest.mark.parametrize(
    "datagram",
    [
        struct.pack("!H", RRQ),
        b"\0\1\0",
        b"\0\1a\0",
        b"\0\1a\0octet",
        b"\0\1a\0octet\0blksize\0",
        b"\0\1a\0octet\0\0\0x\0",
        b"\0\1" + b"a" * 2000 + b"\0octet\0",
    ],
)
def test_a_truncated_or_overlong_request_is_refused(datagram: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(datagram)


def test_option_names_are_found_in_any_case_and_answered_in_the_order_of_the_request() -> None:
    found = parse(b"\0\1a\0OCTET\0TSize\x000\0BlkSize\x001024\0unheard-of\x001\0WindowSize\x00200\0timeout\x003\0")
    reply = packets.oack(found, 77)
    assert kind(reply) == OACK
    assert list(options(reply).items()) == [
        ("tsize", "77"),
        ("blksize", "1024"),
        ("windowsize", "64"),
        ("timeout", "3"),
    ]


def test_without_an_option_that_we_know_there_is_no_oack() -> None:
    assert packets.oack(parse(request("a")), 5) == b""
    assert packets.oack(parse(request("a", multicast=1)), 5) == b""
