"""Ports: free and ours to take, held by us, or held by somebody who is named."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pxeapp.config import Listen
from pxeapp.doctor.finding import Patient
from pxeapp.doctor.ports import Wanted, _free, ports, wanted
from tests.doctor.cases import sees
from tests.doctor.patients import with_

pytestmark = pytest.mark.network
HOLDER = """
import socket, sys
kind, port = sys.argv[1:3]
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", int(port)))
if kind == "tcp":
    sock.listen()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(kind: str, port: int, *words: str) -> Iterator[int]:
    """Somebody else has the port."""
    command = [sys.executable, "-c", HOLDER, kind, str(port), *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def test_free_ports_and_those_that_we_hold_are_well(patient: Patient) -> None:
    assert ports(patient).status == "ok"
    with held("tcp", patient.settings.http_listen.port, str(patient.settings.data_dir)):
        assert ports(patient).status == "ok"


@sees("ports", "ok", "fail")
@pytest.mark.parametrize(("kind", "setting"), [("tcp", "node_listen"), ("udp", "tftp_listen")])
def test_who_holds_a_port_of_ours_is_named(patient: Patient, kind: str, setting: str) -> None:
    port = getattr(patient.settings, setting).port
    with held(kind, port) as pid:
        found = ports(patient)
        assert (found.status, f"Port {port}/{kind} is held by python" in found.sentence) == ("fail", True)
        assert f"(process {pid})" in found.sentence
        assert f"PXEAPP_{setting.upper()}" in found.attempt
        everywhere = with_(patient, **{setting: Listen("0.0.0.0", port)})
        assert ports(everywhere).status == "fail"
        elsewhere = with_(patient, **{setting: Listen("127.0.0.2", port)})
        assert ports(elsewhere).status == "ok"


def test_an_address_that_is_not_ours_fails(patient: Patient) -> None:
    found = ports(with_(patient, http_listen=Listen("203.0.113.9", 8080)))
    assert (found.status, "PXEAPP_HTTP_LISTEN" in found.attempt) == ("fail", True)


def test_dhcp_needs_ports_that_it_may_share_with_servers_on_other_interfaces(patient: Patient) -> None:
    full, proxy = (with_(patient, dhcp=mode, dhcp_interface="lo") for mode in ("full", "proxy"))
    assert [str(each) for each in wanted(full.settings)][3:] == ["67/udp"]
    assert [str(each) for each in wanted(proxy.settings)][3:] == ["67/udp", "4011/udp"]
    try:
        with held("udp", 4011):
            found = ports(proxy)
    except PermissionError:
        pytest.skip("somebody holds port 4011 here")
    assert found.status in ("warn", "fail")
    assert "4011/udp is held by python" in found.sentence


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not")
def test_a_port_that_this_user_may_not_take_fails(patient: Patient) -> None:
    code = (
        "import os; from tests.doctor.test_ports import tried; "
        "os.setgid(65534); os.setuid(65534); print(*tried(), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_root())
    if done.stdout.startswith("free"):
        pytest.skip("anybody may take port 69 here")
    assert done.stdout.startswith("fail\nThis user may not listen on port 1/udp.")


def tried() -> tuple[str, str]:
    """In the process of somebody without rights: what is said of port 1, which nobody holds."""
    found = _free(Wanted("udp", "127.0.0.1", 1, "PXEAPP_TFTP_LISTEN"))
    return (found[0].status, found[0].sentence) if found else ("free", "")


def _root() -> Path:
    return Path(__file__).parent.parent.parent


def test_ipv6_listeners_are_seen(patient: Patient) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("there is no IPv6 here")
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            pytest.skip("there is no ::1 here")
        sock.listen()
        found = ports(with_(patient, http_listen=Listen("::1", sock.getsockname()[1])))
    assert (found.status, f"(process {os.getpid()})" in found.sentence) == ("fail", True)
