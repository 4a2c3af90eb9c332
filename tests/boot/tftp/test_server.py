"""The running server, over loopback sockets: who is answered, how much one client may take, what blocks nobody."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from netaddr import IPNetwork

from pxeapp.boot.tftp import Absent, Data, File, Limits, Reply, Request, TftpServer, Transfer
from pxeapp.boot.tftp.blocks import PACK_LIMIT
from pxeapp.errors import ConfigError
from tests.boot.tftp.wire import (
    DATA,
    ERROR,
    LOOPBACK,
    OACK,
    WRQ,
    Client,
    ack,
    collect,
    crowd,
    fetch,
    kind,
    number,
    options,
    request,
    serving,
)

pytestmark = pytest.mark.network
LOADER = os.urandom(70_000)


def loader(_request: Request) -> Reply:
    return Data(LOADER)


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def collect_rest(client: Client, blksize: int) -> bytes:
    """From block 2 on, in lock-step."""
    content = b""
    client.say(ack(1))
    while True:
        packet = client.hear()
        content += packet[4:]
        client.say(ack(number(packet)))
        if len(packet) - 4 < blksize:
            return content


@pytest.mark.parametrize(
    "wants",
    [
        {},
        {"blksize": 8},
        {"blksize": 1468, "tsize": 0},
        {"blksize": 65_464},
        {"blksize": 65_535},
        {"blksize": 1428, "windowsize": 16},
        {"windowsize": 64},
        {"blksize": 1024, "windowsize": 7, "timeout": 2, "tsize": 0},
    ],
    ids=str,
)
def test_a_loader_arrives_whole(wants: dict[str, int]) -> None:
    with serving(loader) as server:
        assert fetch(server.address, "undionly.kpxe", **wants) == LOADER


def test_netascii_turns_line_ends() -> None:
    with serving(lambda _: Data(b"one\ntwo\r")) as server:
        assert fetch(server.address, "grub.cfg", "netascii") == b"one\r\ntwo\r\0"


def test_a_transfer_with_losses_all_over_its_windows_arrives_whole() -> None:
    lost = set(range(0, 140, 7)) | {20, 21, 22}
    with serving(loader) as server, Client(server.address) as client:
        client.ask(request("ipxe.efi", windowsize=8))
        assert collect(client, lose=lambda nth: nth in lost) == LOADER


def test_a_40_mib_file_rolls_its_block_numbers_over(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    with path.open("wb") as sparse:
        sparse.truncate(40 * 1024 * 1024)
        sparse.write(b"begin")
        sparse.seek(-3, os.SEEK_END)
        sparse.write(b"end")
    with serving(lambda _: File(path, tmp_path)) as server:
        got = fetch(server.address, "initrd", windowsize=32)
    assert hashlib.sha256(got).digest() == hashlib.sha256(path.read_bytes()).digest()


def test_who_asks_from_outside_the_networks_gets_no_answer_at_all() -> None:
    with (
        serving(loader, networks=[IPNetwork("127.0.0.2/32")]) as server,
        Client(server.address) as stranger,
        Client(server.address, host="127.0.0.2") as known,
    ):
        for packet in (request("a"), request("a", opcode=WRQ), b"\0\1\0", request("a", blksize=7)):
            stranger.ask(packet)
        known.ask(request("a"))
        assert number(known.hear()) == 1
        assert stranger.silence()


@pytest.mark.parametrize(
    "packet", [b"", b"\0", b"\0\3\0\1x", b"\0\4\0\0", b"\0\5\0\0no\0", b"\0\6a\0b\0", b"\0\7", b"\xff" * 900]
)
def test_what_is_no_request_is_not_answered(packet: bytes) -> None:
    with serving(loader) as server, Client(server.address) as client:
        client.ask(packet)
        assert client.silence()
        assert fetch(server.address, "undionly.kpxe") == LOADER


def test_writing_is_refused_and_absence_is_said_without_the_reason() -> None:
    with serving(lambda _: Absent("the package ipxe is not installed")) as server, Client(server.address) as client:
        client.ask(request("x", opcode=WRQ))
        assert client.hear() == b"\0\5\0\2This server is read-only\0"
        client.ask(request("x"))
        assert client.hear() == b"\0\5\0\1File not found\0"


@pytest.mark.parametrize("gone", ["cut", "removed"])
def test_a_large_file_cut_in_mid_transfer_ends_with_an_error_and_a_removed_one_arrives(
    tmp_path: Path, gone: str
) -> None:
    path = tmp_path / "initrd"
    path.write_bytes(b"i" * (PACK_LIMIT + 1))
    with serving(lambda _: File(path)) as server, Client(server.address) as client:
        client.ask(request("initrd", blksize=65_464))
        assert kind(client.hear()) == OACK
        client.say(ack(0))
        first = client.hear()
        if gone == "removed":
            path.unlink()
            assert first[4:] + collect_rest(client, 65_464) == b"i" * (PACK_LIMIT + 1)
        else:
            os.truncate(path, 70_000)
            client.say(ack(1))
            assert (kind(answer := client.hear()), answer[4:]) == (ERROR, b"it changed while it was sent\0")


def test_a_slow_look_up_does_not_hold_up_others_and_is_not_repeated() -> None:
    release, asked = threading.Event(), []

    def resolve(request: Request) -> Reply:
        asked.append(request.filename)
        assert release.wait(20)
        return Data(b"late")

    def fast(request: Request) -> Reply | None:
        return None if request.filename == "slow" else Data(LOADER)

    with serving(resolve, resolve_fast=fast) as server, Client(server.address) as slow:
        for _ in range(5):
            slow.ask(request("slow"))
        assert fetch(server.address, "quick") == LOADER
        release.set()
        assert slow.hear()[4:] == b"late"
        assert asked == ["slow"]


def test_a_look_up_that_fails_is_an_absent_file_and_nothing_worse(caplog: pytest.LogCaptureFixture) -> None:
    def resolve(request: Request) -> Reply:
        if request.filename == "broken":
            raise RuntimeError("the database is away")
        return Data(LOADER)

    with caplog.at_level(logging.CRITICAL), serving(resolve) as server, Client(server.address) as client:
        client.ask(request("broken"))
        assert number(client.hear()) == 1
        assert fetch(server.address, "fine") == LOADER


def test_a_listener_that_fails_loses_its_event_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Transfer] = []

    def keep(events: Sequence[Transfer]) -> None:
        seen.extend(events)
        raise RuntimeError("the database is away")

    with caplog.at_level(logging.CRITICAL), serving(loader, on_events=keep) as server:
        for _ in range(2):
            assert fetch(server.address, "undionly.kpxe") == LOADER
        assert eventually(lambda: len(seen) == 2)
    assert [(event.client, event.filename, event.size, event.done) for event in seen] == [
        ("127.0.0.1", "undionly.kpxe", 70_000, True)
    ] * 2


def test_what_became_of_a_transfer_is_told() -> None:
    told: list[str] = []
    with serving(loader, on_events=lambda events: told.extend(event.outcome for event in events)) as server:
        with Client(server.address) as client:
            client.ask(request("undionly.kpxe", tsize=0))
            client.hear()
            client.say(b"\0\5\0\0only the size\0")
        assert eventually(lambda: bool(told))
    assert told == ["the client stopped it (0 only the size)"]


def test_a_client_at_its_limit_loses_its_own_oldest_half_open_transfer() -> None:
    limits = Limits(sessions_per_client=3)
    with (
        serving(loader, limits=limits) as server,
        Client(server.address, host="127.0.0.9") as other,
        crowd(10, server.address) as clients,
    ):
        other.ask(request("mine"))
        other.hear()
        for client in clients:
            client.ask(request("a"))
            client.hear()
        assert server.running == 4
        other.say(ack(1))
        assert number(other.hear()) == 2, "another client's transfer goes on"
        clients[-1].say(ack(1))
        assert number(clients[-1].hear()) == 2


def test_a_client_at_its_limit_with_transfers_that_run_has_to_wait() -> None:
    with serving(loader, limits=Limits(sessions_per_client=2)) as server, crowd(2, server.address) as running:
        for client in running:
            client.ask(request("a"))
            client.hear()
            client.say(ack(1))
            assert number(client.hear()) == 2
        with Client(server.address) as third, Client(server.address, host="127.0.0.9") as other:
            third.ask(request("a"))
            assert third.silence()
            other.ask(request("a"))
            assert number(other.hear()) == 1


def test_one_greedy_address_cannot_shut_out_the_others() -> None:
    with serving(loader, limits=Limits(sessions=6)) as server, crowd(6, server.address) as greedy:
        for client in greedy:
            client.ask(request("a"))
            client.hear()
            client.say(ack(1))
            client.hear()
        with Client(server.address, host="127.0.0.9") as honest:
            honest.ask(request("a", blksize=1468))
            assert collect(honest) == LOADER
        assert eventually(lambda: server.running == 5)


def test_look_ups_of_one_client_are_limited_and_the_others_are_still_looked_up() -> None:
    release = threading.Event()

    def resolve(request: Request) -> Reply:
        if request.client[0] == "127.0.0.1":
            assert release.wait(20)
        return Data(b"here")

    with serving(resolve, limits=Limits(waiting_per_client=4)) as server, crowd(40, server.address) as flood:
        for client in flood:
            client.ask(request("grub/by-mac/52:54:00:00:00:01.cfg"))
        with Client(server.address, host="127.0.0.9") as honest:
            honest.ask(request("grub/by-mac/52:54:00:00:00:02.cfg"))
            assert honest.hear()[4:] == b"here"
        release.set()
        answered = [client for client in flood if not client.silence(0.05)]
        assert len(answered) == 4


def test_a_repeated_request_starts_one_transfer_only() -> None:
    with serving(loader) as server, Client(server.address) as client:
        for _ in range(20):
            client.ask(request("undionly.kpxe", tsize=0))
        assert options(client.hear()) == {"tsize": "70000"}
        assert client.silence(0.2)
        assert server.running == 1


def test_firmware_that_starts_anew_from_the_same_port_is_served_at_once() -> None:
    # Many PXE ROMs begin with port 2070 at each reset; the transfer of their former life is still waiting then.
    with serving(loader) as server, Client(server.address) as client:
        client.ask(request("undionly.kpxe", blksize=1456))
        client.hear()
        client.say(ack(0))
        assert number(client.hear()) == 1
        former = client.peer
        client.ask(request("undionly.kpxe", blksize=1456))
        assert kind(client.hear()) == OACK
        assert client.peer != former
        client.socket.sendto(b"\0\5\0\5not mine\0", former)
        client.say(ack(0))
        packet = client.hear()
        assert (kind(packet), number(packet)) == (DATA, 1)
        assert packet[4:] + collect_rest(client, 1456) == LOADER


def test_ended_transfers_leave_nothing_behind() -> None:
    with serving(loader) as server:
        for _ in range(1200):
            with Client(server.address) as client:
                client.ask(request("a", timeout=255))
                client.hear()
                client.say(b"\0\5\0\0no\0")
        assert eventually(lambda: server.running == 0)
        assert not server._asking
        assert not server._of_client
        assert not server._half_open


def test_a_running_transfer_is_finished_before_the_server_stops() -> None:
    server = TftpServer(("127.0.0.1", 0), LOOPBACK, loader)
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    with Client(server.address) as client:
        client.ask(request("a", blksize=1024))
        client.hear()
        client.say(ack(0))
        packet = client.hear()
        stop.set()
        server.wake()
        assert packet[4:] + collect_rest(client, 1024) == LOADER
    thread.join(20)
    assert not thread.is_alive()


def test_a_port_that_is_taken_is_said_in_one_sentence() -> None:
    with serving(loader) as server, pytest.raises(ConfigError, match=r"TFTP cannot listen on 127\.0\.0\.1"):
        TftpServer(server.address, LOOPBACK, loader)
