"""One transfer, packet by packet, with time passed in: what is sent when, and what is not."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pytest

from pxeapp.boot.tftp import packets
from pxeapp.boot.tftp.blocks import Packed, Unreadable
from pxeapp.boot.tftp.patience import GIVEN_UP_AFTER_S, LEAST_WAIT_S
from pxeapp.boot.tftp.session import REPEAT_GAP_S, Session
from tests.boot.tftp.wire import DATA, ERROR, OACK, Client, ack, kind, number, options, request

SO_NO_CHECK = 11  # asm-generic/socket.h


@dataclass
class Pair:
    """A session and its client, joined over loopback."""

    session: Session
    client: Client

    def all(self) -> list[bytes]:
        """Everything that has been sent to the client by now."""
        found = []
        self.client.socket.setblocking(False)
        try:
            while True:
                found.append(self.client.hear())
        except BlockingIOError:
            return found

    def blocks(self) -> list[int]:
        """The numbers of the DATA packets that have been sent by now."""
        sent = self.all()
        assert all(kind(packet) == DATA for packet in sent)
        return [number(packet) for packet in sent]

    def acknowledge(self, block: int, now: float = 0.0) -> None:
        self.client.say(ack(block))
        self.session.receive(now)


class Make(Protocol):
    """Builds a session for this content, asked for with these options."""

    def __call__(self, content: bytes = b"", *, gso: bool = False, known: bool = True, **wants: object) -> Pair: ...


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Pair] = []

    def build(content: bytes = b"", *, gso: bool = False, known: bool = True, **wants: object) -> Pair:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.bind(("127.0.0.1", 0))
        client = Client(sock.getsockname())
        sock.connect(("127.0.0.1", client.port))
        asked = packets.parse_request(
            request("loader", **wants), ("127.0.0.1", client.port), max_blksize=65_464, max_window=64
        )
        pair = Pair(Session(sock, asked, Packed(content, asked.blksize), gso=gso, known=lambda _: known), client)
        made.append(pair)
        return pair

    yield build
    for pair in made:
        pair.session.close()
        pair.client.socket.close()


def test_lock_step_sends_one_block_per_acknowledgement_and_ends_with_a_short_one(make: Make) -> None:
    pair = make(b"x" * 1024)
    pair.session.start(0.0)
    assert pair.blocks() == [1]
    pair.acknowledge(1)
    assert pair.blocks() == [2]
    pair.acknowledge(2)
    (last,) = pair.all()
    assert last == b"\0\3\0\3", "1,024 is two whole blocks: an empty third one says that this was all"
    pair.acknowledge(3)
    assert pair.session.outcome == "done"


def test_options_wait_for_their_acknowledgement(make: Make) -> None:
    pair = make(b"x" * 3000, blksize=1468, tsize=0)
    pair.session.start(0.0)
    (oack,) = pair.all()
    assert (kind(oack), options(oack)) == (OACK, {"blksize": "1468", "tsize": "3000"})
    assert not pair.session.proven
    pair.acknowledge(1)
    assert pair.all() == [], "nothing was sent yet that this could acknowledge"
    pair.acknowledge(0)
    assert pair.blocks() == [1]
    assert pair.session.proven


def test_duplicate_acknowledgements_send_nothing_twice(make: Make) -> None:
    pair = make(b"x" * 5000, tsize=0)
    pair.session.start(0.0)
    for block in range(4):
        for _ in range(3):
            pair.acknowledge(block)
    # The sorcerer's apprentice would have sent each block three times.
    assert [number(packet) for packet in pair.all() if kind(packet) == DATA] == [1, 2, 3, 4]


def test_stale_and_future_acknowledgements_are_ignored(make: Make) -> None:
    pair = make(b"x" * 5000)
    pair.session.start(0.0)
    pair.acknowledge(1)
    pair.acknowledge(2)
    pair.all()
    for odd in (0, 1, 4, 9, 65_535, 32_768):
        pair.acknowledge(odd)
    assert pair.all() == []
    assert pair.session.outcome == ""


def run_out(session: Session, now: float) -> list[float]:
    """Let time pass until the session has ended; when it did something."""
    acted = [now]
    while not session.outcome:
        acted.append(session.due)
        session.overdue(acted[-1])
    return acted


def test_an_unanswered_request_is_answered_again_after_1_2_and_4_seconds_and_then_given_up(make: Make) -> None:
    pair = make(b"x" * 5000)
    pair.session.start(100.0)
    assert run_out(pair.session, 100.0) == [100, 101, 103, 107, 115]
    assert pair.session.outcome == "abandoned"
    assert pair.blocks() == [1, 1, 1, 1], "what a forged request can make us send to a stranger"


def test_a_request_that_is_repeated_is_answered_sooner_but_not_more_often(make: Make) -> None:
    pair = make(b"x" * 5000, tsize=0)
    pair.session.start(0.0)
    pair.session.asked_again(0.01)
    assert len(pair.all()) == 1, "it crossed our answer"
    for now in (0.25, 0.75, 1.75, 3.75, 7.75):
        pair.session.asked_again(now)
    assert len(pair.all()) == 3
    run_out(pair.session, 7.75)
    assert pair.all() == [], "a request gets four answers, however they are asked for"


def test_a_quick_client_is_not_kept_waiting_for_what_was_lost(make: Make) -> None:
    pair = make(b"x" * 50_000)
    pair.session.start(0.0)
    pair.acknowledge(1, 0.001)
    assert pair.session.due == pytest.approx(0.001 + LEAST_WAIT_S)


def test_a_slow_client_is_waited_for_as_long_as_it_takes(make: Make) -> None:
    pair = make(b"x" * 50_000, tsize=0)
    pair.session.start(0.0)
    for block in range(20):
        pair.acknowledge(block, block * 0.5 + 0.5)
        pair.session.measure_next()
    assert 0.5 < pair.session.due - 10.0 < 1.0


def test_an_answer_to_what_was_sent_twice_measures_nothing_and_the_longer_wait_stays(make: Make) -> None:
    # Karn's rule: a client that takes two seconds for a block would else be sent each one twice, for ever.
    pair = make(b"x" * 50_000)
    pair.session.start(0.0)
    pair.session.overdue(1.0)
    pair.acknowledge(1, 2.0)
    assert pair.session.due == 4.0
    pair.acknowledge(2, 4.0)
    assert pair.session.due > 6.0
    assert pair.blocks() == [1, 1, 2, 3]


def test_progress_starts_the_patience_anew(make: Make) -> None:
    pair = make(b"x" * 5000)
    pair.session.start(0.0)
    pair.session.overdue(1.0)
    pair.session.overdue(3.0)
    pair.acknowledge(1, 4.0)
    acted = run_out(pair.session, 4.0)
    assert acted[-1] - acted[0] == GIVEN_UP_AFTER_S


def test_a_quick_client_that_is_gone_is_given_up_as_late_as_any_other(make: Make) -> None:
    pair = make(b"x" * 5000)
    pair.session.start(0.0)
    pair.acknowledge(1, 0.001)
    pair.all()
    acted = run_out(pair.session, 0.001)
    assert acted[-1] - acted[0] == pytest.approx(GIVEN_UP_AFTER_S)
    waits = [later - earlier for earlier, later in itertools.pairwise(acted)]
    assert waits[:7] == pytest.approx([LEAST_WAIT_S * 2**power for power in range(7)])
    assert len(pair.all()) == len(acted) - 2, "one packet each time but the last"


def test_the_timeout_option_counts_only_once_the_client_has_answered(make: Make) -> None:
    pair = make(b"x" * 5000, timeout=200)
    pair.session.start(0.0)
    assert options(pair.all()[0]) == {"timeout": "200"}
    assert pair.session.due == 1.0, "a forged request must not hold a place for a quarter of an hour"
    pair.acknowledge(0, 1.0)
    assert pair.session.due == 201.0
    assert run_out(pair.session, 1.0) == [1, 201, 401, 601, 801]


@pytest.mark.parametrize("gso", [True, False])
def test_a_window_is_sent_at_once_with_and_without_segmentation_offload(make: Make, gso: bool) -> None:
    content = bytes(range(256)) * 40
    pair = make(content, gso=gso, windowsize=16, blksize=512)
    pair.session.start(0.0)
    pair.acknowledge(0)
    sent = pair.all()[1:]
    assert [number(packet) for packet in sent] == list(range(1, 17))
    assert all(len(packet) == 516 for packet in sent)
    pair.acknowledge(16)
    sent += pair.all()
    assert b"".join(packet[4:] for packet in sent) == content
    assert [len(packet) for packet in sent[16:]] == [516, 516, 516, 516, 4]


def test_where_segmentation_is_refused_each_packet_goes_by_itself(make: Make) -> None:
    # Without checksums the kernel takes no UDP_SEGMENT, as with some drivers and older kernels.
    pair = make(bytes(90_000), gso=True, windowsize=4, blksize=20_000)
    pair.session._socket.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    pair.session.start(0.0)
    pair.acknowledge(0)
    assert [number(packet) for packet in pair.all()[1:]] == [1, 2, 3, 4]
    assert pair.session._gso is False


def test_a_loss_within_a_window_goes_back_to_what_arrived(make: Make) -> None:
    pair = make(bytes(512 * 20), windowsize=8)
    pair.session.start(0.0)
    pair.acknowledge(0)
    assert len(pair.all()) == 9
    pair.acknowledge(5)  # RFC 7440: 6 was lost, 7 and 8 were thrown away
    assert pair.blocks() == [6, 7, 8, 9, 10, 11, 12, 13]


def test_a_lost_first_block_of_a_window_is_told_by_a_repeated_acknowledgement(make: Make) -> None:
    pair = make(bytes(512 * 40), windowsize=4)
    pair.session.start(0.0)
    pair.acknowledge(0, 0.0)
    pair.acknowledge(4, 0.0)
    pair.all()
    for _ in range(5):  # one for each packet behind the lost one, in one burst
        pair.acknowledge(4, 1.0)
    assert pair.blocks() == [5, 6, 7, 8], "once for a burst"
    pair.acknowledge(4, 1.0 + 2 * REPEAT_GAP_S)
    assert pair.blocks() == [5, 6, 7, 8]


def test_a_client_that_only_repeats_itself_is_given_up(make: Make) -> None:
    pair = make(bytes(512 * 40), windowsize=4)
    pair.session.start(0.0)
    pair.acknowledge(0, 0.0)
    now = 0.0
    while not pair.session.outcome and now < 60:
        now += 0.1
        pair.acknowledge(0, now)
        if now >= pair.session.due:
            pair.session.overdue(now)
    assert pair.session.outcome == "abandoned"
    assert now < 20


def test_block_numbers_roll_over(make: Make) -> None:
    blocks = 65_536 + 6
    pair = make(bytes(8 * (blocks - 1)), blksize=8, windowsize=64)
    pair.session.start(0.0)
    for block in range(0, 65_536, 64):
        pair.all()
        pair.acknowledge(block)
    assert pair.blocks()[-3:] == [65_534, 65_535, 0]
    pair.acknowledge(65_536)
    assert pair.blocks() == [1, 2, 3, 4, 5, 6]
    pair.acknowledge(blocks)
    assert pair.session.outcome == "done"


def test_a_stranger_is_told_that_its_transfer_is_unknown_and_the_transfer_goes_on(make: Make) -> None:
    pair = make(b"x" * 5000)
    pair.session.start(0.0)
    assert pair.session.strangers() >= 0
    pair.all()
    with Client(pair.client.server) as stranger:
        for forged in (ack(1), b"\0\5\0\0stop\0", b"\0\3\0\1data", b"", b"\0"):
            stranger.ask(forged)
            assert not pair.session.stranger(0.0)
        assert not pair.session.receive(0.0), "nothing of it got to the transfer's own socket"
        answers = [stranger.hear() for _ in range(4)]
        assert {(kind(answer), number(answer)) for answer in answers} == {(ERROR, packets.UNKNOWN_TID)}
        assert stranger.silence(0.1), "an ERROR is not answered: two servers would go on for ever"
    assert pair.all() == []
    assert pair.session.outcome == ""
    pair.acknowledge(1)
    assert pair.blocks() == [2]


def test_a_transfers_port_is_nobody_elses(make: Make) -> None:
    pair = make(b"x" * 5000)
    pair.session.strangers()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            thief.bind(pair.client.server)


def test_a_stranger_outside_our_networks_hears_nothing(make: Make) -> None:
    pair = make(b"x" * 5000, known=False)
    pair.session.start(0.0)
    pair.session.strangers()
    with Client(pair.client.server) as stranger:
        stranger.ask(ack(1))
        pair.session.stranger(0.0)
        assert stranger.silence(0.1)


def test_a_client_whose_host_says_that_it_is_gone_is_believed(make: Make) -> None:
    pair = make(b"x" * 5000)
    pair.client.socket.close()
    pair.session.start(0.0)
    assert pair.session.receive(0.0)
    assert pair.session.outcome == "the client went away"


def test_a_client_may_stop_with_its_own_words(make: Make) -> None:
    pair = make(b"x" * 5000, tsize=0)
    pair.session.start(0.0)
    pair.all()
    pair.client.say(b"\0\5\0\0only the\nsize\x1b[0m, thanks\0")
    pair.session.receive(0.0)
    assert pair.session.outcome == "the client stopped it (0 only the?size?[0m, thanks)"


@pytest.mark.parametrize(
    "odd", [b"", b"\0", b"\0\4", b"\0\4\0", b"\xff" * 600, request("again"), b"\0\6blksize\x008\0"]
)
def test_odd_packets_from_the_client_change_nothing(make: Make, odd: bytes) -> None:
    pair = make(b"x" * 5000)
    pair.session.start(0.0)
    pair.all()
    pair.client.say(odd)
    pair.session.receive(0.0)
    assert (pair.session.outcome, pair.all()) == ("", [])


def test_a_flood_from_one_client_is_taken_in_turns(make: Make) -> None:
    pair = make(b"x" * 5000)
    pair.session.start(0.0)
    pair.client.say(b"\0\7")
    pair.client.say(ack(1))
    pair.session.receive(0.0)
    assert pair.blocks() == [1], "the others have their turn first"
    pair.session.receive(0.0)
    assert pair.blocks() == [2]


@pytest.mark.parametrize("odd", [ack(3), ack(1), b"\0\4", request("again"), b""])
def test_whatever_comes_between_two_acknowledgements_of_a_quick_client_changes_nothing(make: Make, odd: bytes) -> None:
    pair = make(b"x" * 5000)
    pair.session.start(0.0)
    pair.acknowledge(1)
    assert pair.blocks() == [1, 2]
    pair.client.say(odd)
    pair.session.receive(0.0)
    assert (pair.session.outcome, pair.all()) == ("", [])
    pair.client.say(ack(2) + b"padding")  # which some firmware adds
    pair.session.receive(0.0)
    assert pair.blocks() == [3]


def test_content_that_cannot_be_read_any_more_ends_with_an_error_that_the_client_hears(make: Make) -> None:
    class Gone(Packed):
        def packets(self, first: int, count: int) -> list[bytes]:
            if first > 1:
                raise Unreadable("it changed while it was sent")
            return super().packets(first, count)

    pair = make(b"x" * 5000)
    pair.session._content = Gone(b"x" * 5000, 512)
    pair.session.start(0.0)
    pair.all()
    pair.acknowledge(1)
    (error,) = pair.all()
    assert (kind(error), error[4:]) == (ERROR, b"it changed while it was sent\0")
    assert pair.session.outcome == "it changed while it was sent"
