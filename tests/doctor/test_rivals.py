"""Who else gives addresses: real dnsmasqs on a cable of their own, and packets that are no offers."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp.boot import runner
from pxeapp.doctor import rivals
from pxeapp.doctor.finding import Patient
from pxeapp.doctor.rivals import discover, judge, offered_by
from tests.boot.netns import REPOSITORY, Namespace, wire
from tests.doctor.cases import sees
from tests.doctor.patients import with_

ASK = """
from pxeapp.doctor import rivals
rivals.LISTEN_S, rivals.SEND_AT_S = 1.5, (0.0, 0.5)
print(*rivals.servers("cli0"))
"""


@pytest.fixture
def cable() -> Iterator[Namespace]:
    with Namespace() as namespace:
        wire(namespace, "10.77.0.1/24")
        yield namespace


@pytest.mark.dnsmasq
@pytest.mark.skipif(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin") is None, reason="dnsmasq is not installed")
def test_a_server_on_the_wire_is_found_and_hands_out_nothing(cable: Namespace, tmp_path: Path) -> None:
    def asked() -> str:
        return cable.run(sys.executable, "-c", ASK, cwd=REPOSITORY).stdout.strip()

    assert asked() == ""
    conf, leases, log = tmp_path / "conf", tmp_path / "leases", tmp_path / "log"
    conf.write_text(
        f"port=0\ninterface=srv0\nbind-interfaces\nno-ping\ndhcp-leasefile={leases}\n"
        "dhcp-range=10.77.0.50,10.77.0.99,255.255.255.0,1h\nlog-dhcp\nlog-facility=-\n"
    )
    with log.open("wb") as out:
        server = cable.popen(runner.find_program("dnsmasq"), "-d", "-C", str(conf), stderr=out)
    try:
        assert asked() == "10.77.0.1"
    finally:
        server.terminate()
        server.wait()
    assert "DHCPDISCOVER(srv0) 02:70:78:65:61:70" in log.read_text()
    assert not leases.exists() or leases.read_text() == ""


@sees("DHCP on the wire", "ok", "warn", by=judge)
def test_in_the_mode_full_nobody_else_and_in_the_mode_proxy_one_other_must_answer() -> None:
    assert judge([], "full", "eno1").status == "ok"
    found = judge(["10.0.0.2"], "full", "eno1")
    assert (found.status, "10.0.0.2" in found.sentence, "proxy" in found.attempt) == ("warn", True, True)
    assert judge(["10.0.0.2"], "proxy", "eno1").status == "ok"
    assert "no addresses" in judge([], "proxy", "eno1").sentence
    assert judge(["10.0.0.2", "10.0.0.3"], "proxy", "eno1").status == "warn"


@sees("DHCP on the wire", "ok", "warn")
def test_nobody_is_asked_where_we_do_no_dhcp_or_have_no_interface(patient: Patient) -> None:
    assert rivals.on_the_wire(patient).status == "ok"
    assert rivals.on_the_wire(with_(patient, dhcp="full", dhcp_interface="nosuch0")).status == "warn"


def test_a_user_who_may_not_ask_is_told_so(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    if subprocess.run(["id", "-u"], capture_output=True, text=True, check=True).stdout.strip() == "0":

        def forbidden(_interface: str) -> set[str]:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(rivals, "servers", forbidden)
    found = rivals.on_the_wire(with_(patient, dhcp="full", dhcp_interface="lo"))
    assert (found.status, "needs root" in found.sentence) == ("ok", True)


def offer(number: int, options: bytes, *, port: int = 68, op: int = 2) -> bytes:
    body = struct.pack("!BBBBI", op, 1, 6, 0, number).ljust(236, b"\0") + rivals.COOKIE + options
    datagram = struct.pack("!HHHH", 67, port, 8 + len(body), 0) + body
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0, b"\0" * 4, b"\xff" * 4)
    return b"\xff" * 6 + b"\0" * 6 + b"\x08\x00" + header + datagram


def test_only_an_offer_to_our_question_counts() -> None:
    good = b"\0\x35\x01\x02\x36\x04" + socket.inet_aton("10.0.0.2") + b"\xff"
    assert offered_by(offer(7, good), 7) == "10.0.0.2"
    for frame in (
        offer(8, good),
        offer(7, good, port=67),
        offer(7, good, op=1),
        offer(7, good.replace(b"\x35\x01\x02", b"\x35\x01\x05")),
        offer(7, b"\x35\x01\x02\x36\xff\x01"),
        offer(7, b"\x35"),
        offer(7, b""),
        discover(7),
        b"",
        offer(7, good)[:60],
        b"\xff" * 400,
    ):
        assert offered_by(frame, 7) is None
