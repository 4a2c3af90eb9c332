"""Whatever strangers do, the next honest client gets its loader, and a forged request brings its victim little.

What an honest client may wait here is what a busy test machine may need; `make bench` measures what it does wait.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from netaddr import IPNetwork

from pxeapp.boot.tftp import Data, File, Limits, Reply, Request
from pxeapp.boot.tftp.server import RESOLVERS
from tests.boot.tftp.wire import (
    ACK,
    DATA,
    ERROR,
    WRQ,
    Address,
    Client,
    ack,
    collect,
    honest,
    kind,
    number,
    request,
    serving,
)
from tests.sweep import size

pytestmark = [pytest.mark.network, pytest.mark.soak]
LOADER = os.urandom(70_000)


def loader(_request: Request) -> Reply:
    return Data(LOADER)


def fast(request: Request) -> Reply | None:
    """Loaders are at hand; what depends on a machine is looked up."""
    return None if request.filename.startswith("grub/by-mac/") else Data(LOADER)


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@contextlib.contextmanager
def silent(count: int, server: Address, addresses: int = 20) -> Iterator[list[Client]]:
    """Clients at many addresses that never take leave: to the server they are forged."""
    with contextlib.ExitStack() as stack:
        clients = [Client(server, host=f"127.0.1.{1 + index % addresses}") for index in range(count)]
        for client in clients:
            stack.callback(client.socket.close)
        yield clients


def heard(client: Client, seconds: float = 0.0) -> list[bytes]:
    """All that has come, and comes within so many seconds."""
    packets = []
    deadline = time.monotonic() + seconds
    client.socket.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        while True:
            try:
                packets.append(client.hear())
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise
    return packets


def test_a_flood_of_half_open_transfers_makes_room_for_one_that_is_answered() -> None:
    limits = Limits(sessions=200, sessions_per_client=50)
    with serving(loader, limits=limits) as server, silent(size(1000, 8000), server.address) as flood:
        for client in flood:
            client.ask(request("undionly.kpxe", blksize=1468))
        assert honest(server.address, "undionly.kpxe", blksize=1468) == LOADER
        assert server.running <= 200


def test_transfers_under_way_outlive_a_flood_of_half_open_ones() -> None:
    with (
        serving(loader, limits=Limits(sessions=100, sessions_per_client=50)) as server,
        Client(server.address, host="127.0.0.98") as running,
        silent(size(500, 4000), server.address) as flood,
    ):
        running.ask(request("undionly.kpxe"))
        assert number(running.hear()) == 1
        for client in flood:
            client.ask(request("undionly.kpxe"))
        running.say(ack(1))
        assert LOADER[:512] + collect(running, first=2) == LOADER


@pytest.mark.parametrize("wants", [{}, {"blksize": 65_464, "windowsize": 64}], ids=str)
def test_a_forged_request_is_answered_four_times_at_most_however_often_it_is_repeated(wants: dict[str, int]) -> None:
    # The victim's port is open and silent. Its 15 seconds run out in the long form only.
    forged = request("undionly.kpxe", **wants)
    with serving(loader) as server, silent(1, server.address) as (victim,):
        deadline = time.monotonic() + size(4, 17)
        packets: list[bytes] = []
        while time.monotonic() < deadline:
            victim.ask(forged)
            packets += heard(victim, 0.1)
            if server.running == 0:  # given up; another forged request is worth its own four answers
                break
        assert 2 <= len(packets) <= 4
        assert sum(map(len, packets)) <= 4 * (len(forged) if wants else 516), "no more than that reflects"


def test_what_is_refused_is_answered_once_and_shortly() -> None:
    with serving(loader) as server, Client(server.address) as client:
        for packet in (request("x", opcode=WRQ), request("x", blksize=1), request("a" * 300)):
            client.ask(packet)
            answers = heard(client, 0.3)
            assert [kind(answer) for answer in answers] == [ERROR]
            assert len(answers[0]) <= 40
        assert server.running == 0


def test_a_flood_of_write_requests_holds_nobody_up() -> None:
    count = size(2000, 50_000)
    with serving(loader) as server, Client(server.address) as flooding:
        for _ in range(count):
            flooding.ask(request("pxelinux.0", opcode=WRQ))
        assert honest(server.address, "undionly.kpxe") == LOADER
        assert server.running == 0 or eventually(lambda: server.running == 0)
        answers = heard(flooding)
        assert 0 < len(answers) <= count
        assert {kind(answer) for answer in answers} == {ERROR}


def test_a_flood_from_a_foreign_network_gets_nothing_and_holds_nobody_up() -> None:
    networks = [IPNetwork("127.0.0.99/32")]
    with serving(loader, networks=networks) as server, silent(20, server.address) as foreign:
        for index in range(size(4000, 100_000)):
            packet = (request("undionly.kpxe"), request("x", opcode=WRQ), b"\0\1junk", ack(1))[index % 4]
            foreign[index % 20].ask(packet)
        assert honest(server.address, "undionly.kpxe") == LOADER
        assert [heard(client) for client in foreign] == [[]] * 20


def test_clients_that_are_switched_off_by_the_hundred_hold_nobody_up() -> None:
    with serving(loader) as server, silent(size(300, 2000), server.address) as abandoned:
        for client in abandoned:
            client.ask(request("undionly.kpxe", blksize=1468))
        for client in abandoned:
            client.hear()
            client.say(ack(0))
        for client in abandoned:
            assert number(client.hear()) == 1
        assert server.running == len(abandoned)
        assert honest(server.address, "undionly.kpxe", blksize=1468) == LOADER


def test_clients_whose_port_is_closed_are_forgotten_at_once() -> None:
    told: list[str] = []
    with serving(loader, on_events=lambda events: told.extend(event.outcome for event in events)) as server:
        with silent(100, server.address) as gone:
            for client in gone:
                client.ask(request("undionly.kpxe"))
            for client in gone:
                client.hear()
                client.say(ack(1))
        assert eventually(lambda: server.running == 0), "long before anybody's patience ends"
        assert eventually(lambda: len(told) == 100)
    assert set(told) == {"the client went away"}


def test_a_stranger_who_fires_at_a_transfer_does_not_disturb_it_and_hears_only_that_it_is_wrong() -> None:
    shots = size(400, 20_000)
    with (
        serving(loader) as server,
        Client(server.address, host="127.0.0.98") as client,
        silent(1, server.address) as (stranger,),
    ):
        client.ask(request("undionly.kpxe"))
        assert number(client.hear()) == 1
        client.say(ack(1))
        assert number(client.hear()) == 2
        # The server listens for strangers once it has sent that block: a test that fires at once may be before it.
        assert eventually(lambda: bool(stranger.socket.sendto(ack(2), client.peer) and heard(stranger)))
        for index in range(shots):
            forged = (ack(2), ack(index), b"\0\3\0\2data", b"\0\5\0\0stop\0", request("x"), b"\0\4")[index % 6]
            stranger.socket.sendto(forged, client.peer)
        client.say(ack(2))
        assert LOADER[:1024] + collect(client, first=3) == LOADER
        answers = heard(stranger)
        assert 0 < len(answers) <= shots
        assert {(kind(answer), number(answer)) for answer in answers} == {(ERROR, 5)}


def test_the_clients_own_nonsense_does_not_disturb_its_transfer() -> None:
    with serving(loader) as server, Client(server.address) as client:
        client.ask(request("undionly.kpxe"))
        content, last = b"", 0
        while True:
            packet = client.hear()
            assert (kind(packet), number(packet)) == (DATA, last + 1), "each block once, whatever else was said"
            last += 1
            content += packet[4:]
            for odd in (ack(last - 1), ack(last + 7), b"", b"\0\7\0\0", request("undionly.kpxe"), b"\0\6\0", ack(last)):
                client.say(odd)
            if len(packet) < 516:
                break
        assert content == LOADER


def test_look_ups_that_hang_hold_up_no_transfer_and_no_loader() -> None:
    release = threading.Event()

    def resolve(_request: Request) -> Reply:
        assert release.wait(60)
        return Data(b"late")

    with (
        serving(resolve, resolve_fast=fast) as server,
        Client(server.address, host="127.0.0.98") as running,
        silent(RESOLVERS * 3, server.address) as waiting,
    ):
        running.ask(request("undionly.kpxe"))
        assert number(running.hear()) == 1
        for index, client in enumerate(waiting):
            client.ask(request(f"grub/by-mac/52:54:00:00:00:{index:02x}.cfg"))
        running.say(ack(1))
        assert LOADER[:512] + collect(running, first=2) == LOADER
        assert honest(server.address, "undionly.kpxe") == LOADER
        release.set()
        for client in waiting:
            assert client.hear()[4:] == b"late"


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "read as it is sent"])
def test_block_numbers_roll_over_in_lock_step(tmp_path: Path, packed: bool) -> None:
    blocks = size(65_536 + 20, 3 * 65_536 + 20) if packed else size(500, 65_536 + 20)
    content = os.urandom(8 * blocks - 3)
    path = tmp_path / "many-blocks"
    path.write_bytes(content)
    with serving(lambda _: Data(content) if packed else File(path)) as server:
        assert honest(server.address, "many-blocks", blksize=8, within=size(60, 240)) == content


@pytest.mark.parametrize("lost", [ACK, DATA])
def test_what_is_lost_comes_again_and_the_transfer_arrives_whole(lost: int) -> None:
    # Every seventh packet of the one or the other kind is lost; the server repeats, or the client does.
    with serving(loader) as server, Client(server.address, timeout=5.0) as client:
        client.ask(request("undionly.kpxe", blksize=1468))
        assert kind(client.hear()) == 6
        client.say(ack(0))
        content, last, nth = b"", 0, 0
        while True:
            packet = client.hear()
            nth += 1
            if lost == DATA and nth % 7 == 0:
                continue
            if number(packet) == last + 1:
                last += 1
                content += packet[4:]
            if not (lost == ACK and nth % 7 == 0):
                client.say(ack(last))
                if len(packet) - 4 < 1468:
                    break
        assert content == LOADER


def test_netascii_is_refused_to_a_client_that_asks_for_too_much_of_it_and_served_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"a line\n" * 700_000)
    with serving(lambda asked: File(path) if asked.filename == "lines" else Data(b"one\ntwo\r")) as server:
        with Client(server.address) as client:
            client.ask(request("lines", "netascii"))
            assert kind(client.hear()) == ERROR
        assert honest(server.address, "short", mode="netascii") == b"one\r\ntwo\r\0"
