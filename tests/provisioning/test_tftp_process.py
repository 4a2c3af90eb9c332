"""The real `pxeapp tftp` process: every usual client, a whole rack at once, and whatever strangers send."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tftpy

from pxeapp.boot import loaders
from pxeapp.boot.tftp.packets import BadRequest, parse_request
from tests.boot.tftp.wire import DATA, ERROR, OACK, WRQ, Client, ack, crowd, fetch, kind, number, request
from tests.provisioning.tftp_appliance import LARGE, MAC, SMALL, TftpAppliance, running
from tests.sweep import size

pytestmark = pytest.mark.network
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def tftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TftpAppliance]:
    with running(tmp_path_factory.mktemp("tftp")) as appliance:
        yield appliance


def program(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def test_scripts_and_files_are_what_the_table_of_names_says(tftp: TftpAppliance) -> None:
    assert fetch(tftp.address, "autoexec.ipxe").startswith(b"#!ipxe")
    assert b"by-mac" in fetch(tftp.address, "grub/grub.cfg")
    known = fetch(tftp.address, f"grub/by-mac/{MAC}.cfg")
    assert known == fetch(tftp.address, "grub/by-mac/52:54:00:99:99:99.cfg"), "a guesser learns nothing"
    assert fetch(tftp.address, "pxelinux.cfg/01-52-54-00-00-00-01")
    assert fetch(tftp.address, f"/{tftp.kernel}", blksize=1024) == SMALL


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "..\\..\\etc\\passwd",
        "media/../../pxeapp.db",
        "media/rocky-9/../../pxeapp.db",
        "media/rocky-9/",
        "media/rocky-9",
        "media",
        "grub",
        ".",
        "/",
        "pxeapp.db",
        "media/rocky-9/" + "x" * 200,
        "pxelinux.cfg/01-00-00-00-00-00-00",
        "grub/by-mac/ff:ff:ff:ff:ff:ff.cfg",
        "undionly.kpxe%00.txt",
        "ÿþ",
    ],
)
def test_everything_else_is_not_there(tftp: TftpAppliance, name: str) -> None:
    with Client(tftp.address) as client:
        client.ask(request(name))
        assert client.hear()[:2] == b"\0\5"


def test_a_link_out_of_the_media_is_not_followed(tftp: TftpAppliance) -> None:
    # The kernel's file is turned into a link to one that everybody may read but nobody may fetch.
    kernel = tftp.log.parent / "data" / tftp.kernel
    aside = kernel.with_name("aside")
    kernel.rename(aside)
    kernel.symlink_to("/etc/passwd")
    try:
        with Client(tftp.address) as client:
            client.ask(request(tftp.kernel))
            assert client.hear()[:4] == b"\0\5\0\1"
    finally:
        aside.replace(kernel)
    assert fetch(tftp.address, tftp.kernel, blksize=1468) == SMALL


def test_outside_the_networks_it_does_not_exist(tftp: TftpAppliance) -> None:
    with Client(tftp.address, host="127.0.0.200") as stranger:
        stranger.ask(request("autoexec.ipxe"))
        assert stranger.silence()


@pytest.mark.parametrize("blksize", [512, 1468, 8192])
def test_tftpys_client(tftp: TftpAppliance, tmp_path: Path, blksize: int) -> None:
    got = tmp_path / "got"
    tftpy.TftpClient(*tftp.address, {"blksize": blksize, "tsize": 0}).download(tftp.kernel, str(got))
    assert got.read_bytes() == SMALL


@pytest.mark.parametrize("mode", ["binary", "netascii"])
def test_tftp_hpa(tftp: TftpAppliance, tmp_path: Path, mode: str) -> None:
    host, port = tftp.address
    command = [program("tftp"), "-m", mode, host, str(port), "-c", "get", tftp.kernel, str(tmp_path / "got")]
    subprocess.run(command, check=True, timeout=60)
    assert (tmp_path / "got").read_bytes() == SMALL


@pytest.mark.parametrize("options", [[], ["blksize 1428"], ["blksize 1428", "windowsize 16"], ["tsize 0", "timeout 3"]])
def test_atftp(tftp: TftpAppliance, tmp_path: Path, options: list[str]) -> None:
    host, port = tftp.address
    more = [word for option in options for word in ("--option", option)]
    command = [program("atftp"), *more, "-g", "-r", tftp.initrd, "-l", str(tmp_path / "got"), host, str(port)]
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert (done.returncode, (tmp_path / "got").read_bytes() == LARGE) == (0, True), done.stderr


@pytest.mark.parametrize("more", [[], ["--tftp-blksize", "8"], ["--tftp-blksize", "65464"], ["--tftp-no-options"]])
def test_curl(tftp: TftpAppliance, tmp_path: Path, more: list[str]) -> None:
    url = f"tftp://{tftp.address[0]}:{tftp.address[1]}/{tftp.kernel}"
    done = subprocess.run(
        [program("curl"), "-sS", "--max-time", "60", *more, "-o", str(tmp_path / "got"), url],
        check=False,
        capture_output=True,
        text=True,
    )
    if "not supported" in done.stderr:
        pytest.skip("this curl knows no TFTP")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "got").read_bytes() == SMALL


def rack_switched_on(tftp: TftpAppliance, name: str, count: int, window: int = 1) -> dict[str, int]:
    host, port = tftp.address
    wants = ["--count", str(count), "--windowsize", str(window), "--within", "100"]
    command = [sys.executable, "-m", "tests.boot.tftp.load", host, str(port), name, *wants]
    done = subprocess.run(command, check=True, capture_output=True, timeout=150)
    results: dict[str, int] = json.loads(done.stdout)
    return results


def test_1200_machines_that_are_switched_on_at_once_get_their_loader(tftp: TftpAppliance) -> None:
    loader = loaders.find().get("undionly.kpxe") or pytest.skip("undionly.kpxe is not installed (package ipxe)")
    assert rack_switched_on(tftp, "undionly.kpxe", 1200) == {hashlib.sha256(loader.read_bytes()).hexdigest(): 1200}


def test_500_machines_that_are_looked_up_at_once_get_their_kernel(tftp: TftpAppliance) -> None:
    assert rack_switched_on(tftp, tftp.kernel, 500, window=16) == {hashlib.sha256(SMALL).hexdigest(): 500}


def test_an_honest_client_is_served_while_200_others_abandon_theirs(tftp: TftpAppliance) -> None:
    with crowd(200, tftp.address) as crowded:
        for index, client in enumerate(crowded):
            client.ask(request(tftp.kernel, **({"blksize": 1000 + index} if index % 2 else {})))
            client.hear()
            if index % 4 == 1:
                client.say(ack(0))
                client.hear()
        assert tftp.descriptors() >= 200
        assert fetch(tftp.address, tftp.initrd, blksize=1468, windowsize=16) == LARGE
        for client in crowded:
            client.peer = client.server  # they leave without a word


def killers(kernel: str) -> list[bytes]:
    """What is known to kill or hang TFTP servers, ours among them while it was young."""
    return [
        request("grub"),
        request(".", blksize=512),
        request(kernel) + b"blksize\0abc\0",
        request(b"\xff\xfe\xfd"),
        request(kernel, blksize=65_535),
        request(kernel, blksize=0),
        request(kernel, blksize=8, windowsize=65_535),
        request(kernel, windowsize=0),
        request(kernel, tsize=2**62),
        request(kernel, timeout=255),
        request(kernel, timeout=0),
        request(kernel) + b"blksize\0" + b"9" * 400 + b"\0",
        request(kernel) + "blksize\0٥١٢\0".encode(),
        request(kernel) + b"blksize\0",
        request(kernel) + b"\0" * 300,
        request(kernel, opcode=WRQ),
        request("../" * 80 + "etc/passwd"),
        request("a" * 1400),
        request("\x1b]0;owned\x07"),
        request("%s%n%x"),
        request(kernel, "mail"),
        request(kernel, "x" * 500),
        request("autoexec.ipxe", **{f"o{index}": index for index in range(60)}),
        b"\0\1",
        b"\0\1\0\0",
        b"\0\1" + b"\0" * 500,
        b"\0\1" + b"A" * 1500,
        b"\0\1%d" % 7 * 200,
        b"\0\3\0\1" + b"x" * 512,
        ack(0),
        b"\0\5\0\0\0",
        b"\0\6blksize\x00512\0",
        b"",
        b"\0",
        b"\xff" * 1472,
        struct.pack("!H", 65_535),
    ]


def fuzz(source: random.Random, kernel: str) -> bytes:
    """One packet: noise, a request with one thing wrong, or a request with wild options."""
    choice = source.random()
    if choice < 0.3:
        return source.randbytes(source.randrange(0, 600))
    if choice < 0.45:
        return struct.pack("!H", source.randrange(0, 8)) + source.randbytes(source.randrange(0, 200))
    names = [kernel, "autoexec.ipxe", "grub/grub.cfg", "undionly.kpxe", "pxelinux.cfg/default", "x"]
    words = [source.choice(names), source.choice(["octet", "OCTET", "netascii", "mail", ""])]
    for _ in range(source.randrange(0, 5)):
        words.append(source.choice(["blksize", "windowsize", "timeout", "tsize", "multicast", "\x80"]))
        words.append(str(source.choice([0, 1, 7, 8, 512, 1468, 65_464, 65_535, -1, 2**70, "x", ""])))
    packet = bytearray(b"\0\1" + b"".join(word.encode("latin-1") + b"\0" for word in words))
    if choice < 0.75:
        for _ in range(source.randrange(1, 4)):
            packet[source.randrange(len(packet))] = source.randrange(256)
    if choice < 0.6:
        del packet[source.randrange(2, len(packet)) :]
    return bytes(packet)


@pytest.mark.soak
@pytest.mark.timeout(size(300, 7200))
def test_no_packet_ends_it_or_makes_it_grow(tftp: TftpAppliance) -> None:
    source, teaser = random.Random(20_260_224), random.Random(1)
    assert fetch(tftp.address, tftp.initrd, blksize=1468) == LARGE
    assert fetch(tftp.address, tftp.kernel, blksize=1468) == SMALL
    pid, memory = tftp.process.pid, tftp.rss()
    with Client(tftp.address) as client:
        client.socket.setblocking(False)
        for packet in killers(tftp.kernel):
            client.ask(packet)
            assert tftp.answers(), packet[:80]
        # One of them may ask for 255 seconds between repetitions; it must not get to prove itself below.
        _take_leave(client, until=lambda: tftp.descriptors() <= tftp.idle)
        heard = 0
        for count in range(size(10_000, 300_000)):
            client.ask(impatient(source, tftp.kernel))
            heard += _tease(client, teaser)
            if count % 100 == 99:
                assert tftp.answers(), f"after {count + 1} random packets"
        assert heard > 1000, "otherwise the packets were too odd to prove anything"
        assert tftp.process.pid == pid
        assert tftp.rss() - memory < 50 * MIB
        _take_leave(client, until=lambda: tftp.descriptors() <= tftp.idle)
    assert tftp.descriptors() <= tftp.idle
    assert b"Traceback" not in tftp.log.read_bytes()


def impatient(source: random.Random, kernel: str) -> bytes:
    """A random packet that asks for no more patience than this test has."""
    while True:
        packet = fuzz(source, kernel)
        with contextlib.suppress(BadRequest):
            asked = parse_request(packet, ("127.0.0.1", 1), max_blksize=65_464, max_window=64)
            if (asked.timeout_s or 0) > 8:
                continue
        return packet


def _take_leave(client: Client, until: Callable[[], bool]) -> None:
    """Say goodbye to whatever the server still repeats; what nobody answers it gives up within 15 seconds."""
    deadline = time.monotonic() + 40
    while not until() and time.monotonic() < deadline:
        time.sleep(0.1)
        with contextlib.suppress(BlockingIOError):
            while True:
                if kind(client.hear()) != ERROR:
                    client.say(b"\0\5\0\0bye\0")


def _tease(client: Client, source: random.Random) -> int:
    """Take what came and answer some of it at random: the right thing, the wrong thing, or goodbye."""
    heard = 0
    while heard < 50:
        try:
            packet = client.hear()
        except BlockingIOError:
            break
        heard += 1
        right = ack(number(packet) if kind(packet) == DATA else 0)
        answers = [
            right,
            right,
            ack(source.randrange(65_536)),
            source.randbytes(20),
            b"\0\5\0\0bye\0",
            b"\0\5\0\0bye\0",
        ]
        if kind(packet) in (DATA, OACK):
            client.say(source.choice(answers))
        else:
            assert kind(packet) == ERROR
    return heard
