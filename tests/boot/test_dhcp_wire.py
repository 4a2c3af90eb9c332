"""Real DHCP servers on a cable of their own, asked by packets as firmware sends them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pxeapp.boot import firmware, runner, snippets
from pxeapp.boot.dhcp import Observation
from pxeapp.boot.dnsmasq import render
from pxeapp.errors import ConfigError
from pxeapp.templates import Templates
from tests.boot import dhcpclient
from tests.boot.netns import Namespace, wire
from tests.boot.samples import MAC, NODE_URL, plan

pytestmark = pytest.mark.dnsmasq
TEMPLATES = Templates()
STRANGER = "52:54:00:99:99:99"
SECURE = "52:54:00:00:00:02"
ASKS_FOR = "0103060f2b36423c43af"  # mask, router, dns, domain, vendor options, server, 66, 60, 67, iPXE's own


@pytest.fixture
def cable() -> Iterator[Namespace]:
    with Namespace() as namespace:
        wire(namespace, "10.77.0.1/24")
        yield namespace


def packet(kind: str = "discover", *, mac: str = MAC, arch: int | None = None, **more: Any) -> dict[str, Any]:
    """A packet as PXE, HTTP Boot or iPXE clients send it."""
    options = {"55": ASKS_FOR}
    if arch is not None:
        client = "HTTPClient" if arch >= 15 else "PXEClient"
        options |= {"60": f"{client}:Arch:{arch:05}:UNDI:003016".encode().hex(), "93": f"{arch:04x}", "94": "010300"}
        options["97"] = "00" + "22" * 16
    if more.pop("ipxe", False):
        options["77"] = b"iPXE".hex()
    return {"type": kind, "mac": mac, "options": options | more.pop("options", {}), "patience": 4.0, **more}


def ask(namespace: Namespace, *packets: dict[str, Any]) -> list[dict[str, Any] | None]:
    """The first reply to each packet, None where there is none."""
    result = namespace.run(sys.executable, dhcpclient.__file__, "cli0", input=json.dumps(packets))
    return [replies[0] if replies else None for replies in json.loads(result.stdout)]


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Fail when the condition does not become true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def serve(cable: Namespace, tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Start dnsmasq with a whole configuration; its log is returned."""
    started: list[subprocess.Popen[bytes]] = []

    def start(text: str) -> Path:
        conf, log = tmp_path / "dnsmasq.conf", tmp_path / "dnsmasq.log"
        conf.write_text(text + "no-ping\n")  # its three seconds per address are not what is tested
        with log.open("wb") as out:
            started.append(cable.popen(runner.find_program("dnsmasq"), "-d", "-C", str(conf), stderr=out))
        wait_until(lambda: "sockets bound" in log.read_text())
        return log

    yield start
    for process in started:
        process.terminate()
        process.wait()


def test_full_mode_offers_each_client_its_program(
    cable: Namespace, serve: Callable[[str], Path], tmp_path: Path
) -> None:
    serve(render(plan("full", "srv0", str(tmp_path / "leases")), TEMPLATES))
    asked = [client.architectures[0] for client in firmware.CLIENTS]
    replies = ask(cable, *(packet(arch=number) for number in asked), packet(arch=9), packet(mac=SECURE, arch=7))
    for number, reply in zip([*asked, 9], replies[:-1], strict=True):
        client = firmware.of_architecture(number)
        assert client is not None
        assert reply is not None, number
        assert reply["file"] == (firmware.boot_file(client, NODE_URL) or ""), number
        assert reply["address"] == "10.77.0.11"
        assert ("60" in reply["options"]) == (number == 16), number
    assert replies[-1] is not None
    assert replies[-1]["file"] == "shimx64.efi"


def test_full_mode_sends_ipxe_to_its_script_on_any_firmware(
    cable: Namespace, serve: Callable[[str], Path], tmp_path: Path
) -> None:
    serve(render(plan("full", "srv0", str(tmp_path / "leases")), TEMPLATES))
    for reply in ask(
        cable, packet(arch=0, ipxe=True), packet(arch=7, ipxe=True), packet(mac=SECURE, arch=7, ipxe=True)
    ):
        assert reply is not None
        assert reply["file"] == firmware.ipxe_url(NODE_URL)
        assert reply["options"]["175"].startswith("b00101")  # no-pxedhcp


def test_full_mode_gives_the_networks_settings(cable: Namespace, serve: Callable[[str], Path], tmp_path: Path) -> None:
    serve(render(plan("full", "srv0", str(tmp_path / "leases")), TEMPLATES))
    known, stranger, other = ask(
        cable,
        packet("request", options={"50": "0a4d000b", "54": "0a4d0001"}),
        packet(mac=STRANGER, arch=0),
        packet("request", arch=0, options={"50": "0a4d000b", "54": "0a4d00fe"}),
    )
    assert known is not None
    assert known["type"] == "ack"
    assert known["address"] == "10.77.0.11"
    assert known["options"]["3"] == "0a4d00fe"
    assert known["options"]["6"] == "0a4d00020a4d0003"
    assert bytes.fromhex(known["options"]["15"]) == b"rack.example.org"
    assert stranger is not None
    assert 100 <= int(stranger["address"].rsplit(".", 1)[1]) <= 200
    assert stranger["file"] == "undionly.kpxe"
    assert other is not None
    assert other["type"] == "nak"


def test_a_machine_keeps_its_address_through_firmware_ipxe_and_installer(
    cable: Namespace, serve: Callable[[str], Path], tmp_path: Path
) -> None:
    serve(render(plan("full", "srv0", str(tmp_path / "leases")), TEMPLATES))
    first = ask(cable, packet(mac=STRANGER, arch=7, options={"61": "00" + "22" * 16}))[0]
    assert first is not None
    wanted = {"50": bytes(map(int, first["address"].split("."))).hex(), "54": "0a4d0001"}
    taken, ipxe, installer = ask(
        cable,
        packet("request", mac=STRANGER, arch=7, options={"61": "00" + "22" * 16, **wanted}),
        packet(mac=STRANGER, arch=7, ipxe=True, options={"61": "01525400999999"}),
        packet(mac=STRANGER, options={"61": "ff" + "33" * 12}),
    )
    assert taken is not None
    assert taken["type"] == "ack"
    assert ipxe is not None
    assert installer is not None
    assert first["address"] == ipxe["address"] == installer["address"]


def test_proxy_mode_adds_the_program_and_no_address(
    cable: Namespace, serve: Callable[[str], Path], tmp_path: Path
) -> None:
    serve(render(plan("proxy", "srv0", str(tmp_path / "leases")), TEMPLATES))
    # Having its address from the other server, UEFI asks again on port 4011; nobody here answers ARP for it.
    cable.run("ip", "neigh", "add", "10.77.0.50", "lladdr", MAC, "dev", "srv0")
    cable.run("ip", "neigh", "add", "10.77.0.51", "lladdr", SECURE, "dev", "srv0")
    second = {"address": "10.77.0.50", "to": "10.77.0.1", "port": 4011}
    bios, uefi, secure, http, ipxe, plain = ask(
        cable,
        packet(arch=0),
        packet("request", arch=7, **second),
        packet("request", mac=SECURE, arch=7, **second | {"address": "10.77.0.51"}),
        packet(arch=16),
        packet(arch=0, ipxe=True),
        packet(once=True, patience=0.5),
    )
    assert bios is not None
    assert bios["file"] == "undionly.kpxe"
    assert bios["next_server"] == "10.77.0.1"
    assert uefi is not None
    assert uefi["file"] == "snponly.efi"
    assert secure is not None
    assert secure["file"] == "shimx64.efi"
    assert http is not None
    assert http["file"] == f"{NODE_URL}/boot/loaders/ipxe.efi"
    assert bytes.fromhex(http["options"]["60"]) == b"HTTPClient"
    assert ipxe is not None
    assert ipxe["file"] == firmware.ipxe_url(NODE_URL, identity=False)
    assert ipxe["next_server"] == "10.77.0.1"
    assert plain is None
    assert {reply["address"] for reply in (bios, uefi, secure, http, ipxe)} == {"0.0.0.0"}


SNIPPET_SERVERS = {
    "isc": ("dhcpd", ["-4", "-f", "-d", "-cf", "CONF", "-lf", "LEASES", "-pf", "PID", "srv0"]),
    "kea": ("kea-dhcp4", ["-c", "CONF"]),
}


def _whole(server: str, snippet: str) -> str:
    if server == "isc":
        return snippet + "\nsubnet 10.77.0.0 netmask 255.255.255.0 { range 10.77.0.100 10.77.0.120; }\n"
    subnet = {"id": 1, "subnet": "10.77.0.0/24", "pools": [{"pool": "10.77.0.100 - 10.77.0.120"}]}
    settings = {
        "interfaces-config": {"interfaces": ["srv0"]},
        "lease-database": {"type": "memfile", "persist": False},
        "subnet4": [subnet],
        **json.loads(snippet),
    }
    return json.dumps({"Dhcp4": settings})


@pytest.mark.parametrize("server", SNIPPET_SERVERS)
def test_the_snippet_makes_another_server_offer_the_same(cable: Namespace, tmp_path: Path, server: str) -> None:
    name, arguments = SNIPPET_SERVERS[server]
    program = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip(f"{name} is not installed")
    (tmp_path / "leases").touch()
    conf = tmp_path / "conf"
    conf.write_text(_whole(server, snippets.render(server, node_url=NODE_URL, tftp_address="10.77.0.1")))
    paths = {"CONF": str(conf), "LEASES": str(tmp_path / "leases"), "PID": str(tmp_path / "pid")}
    environment = dict(os.environ, KEA_PIDFILE_DIR=str(tmp_path), KEA_LOCKFILE_DIR=str(tmp_path))
    with (tmp_path / "log").open("wb") as log:
        process = cable.popen(
            program, *(paths.get(word, word) for word in arguments), stdout=log, stderr=log, env=environment
        )
    try:
        # The client repeats its packet three times, four seconds apart: long enough for the server to come up.
        for number, expected in ((0, "undionly.kpxe"), (7, "snponly.efi"), (16, f"{NODE_URL}/boot/loaders/ipxe.efi")):
            reply = ask(cable, packet(arch=number))[0]
            assert reply is not None, (tmp_path / "log").read_text()
            assert reply["file"] == expected
            assert reply["next_server"] == "10.77.0.1"
        reply = ask(cable, packet(arch=7, ipxe=True))[0]
        assert reply is not None
        assert reply["file"] == firmware.ipxe_url(NODE_URL, identity=False)
    finally:
        process.terminate()
        process.wait()


class _Running:
    """A runner in a thread, inside the namespace by way of a wrapper program."""

    def __init__(self, namespace: Namespace, folder: Path) -> None:
        self.seen: list[Observation] = []
        self.lines: list[str] = []
        program = folder / "dnsmasq-inside"
        program.write_text(f'#!/bin/sh\nexec {" ".join(namespace.command([runner.find_program("dnsmasq")]))} "$@"\n')
        program.chmod(0o755)
        self.conf = folder / "run" / "dnsmasq.conf"
        self.runner = runner.DnsmasqRunner(self.conf, self._observe, on_log=self.lines.append, program=str(program))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.runner.run, args=(self._stop,))

    def _observe(self, observation: Observation) -> None:
        self.seen.append(observation)
        if len(self.seen) == 1:
            raise RuntimeError("the database is away")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(15)
        assert not self._thread.is_alive()

    def ready(self, times: int) -> None:
        wait_until(lambda: sum("sockets bound" in line for line in self.lines) >= times)


@pytest.fixture
def running(cable: Namespace, tmp_path: Path) -> Iterator[_Running]:
    run = _Running(cable, tmp_path)
    yield run
    if run._thread.ident is not None:
        run.stop()


def test_the_runner_reports_survives_and_restarts(cable: Namespace, running: _Running, tmp_path: Path) -> None:
    first = plan("full", "srv0", str(tmp_path / "leases"))
    assert running.runner.apply(render(first, TEMPLATES))
    assert not running.runner.apply(render(first, TEMPLATES))
    running.start()
    running.ready(1)

    ask(cable, packet(arch=0), packet("request", arch=0, options={"50": "0a4d000b", "54": "0a4d0001"}))
    wait_until(lambda: any(each.what == "ack" for each in running.seen))
    assert [each.what for each in running.seen] == ["offer", "ack"]
    assert running.seen[1].address == "10.77.0.11"

    killed = running.runner.pid
    assert killed is not None
    os.kill(killed, 9)
    running.ready(2)
    assert running.runner.pid not in (None, killed)

    with pytest.raises(ConfigError):
        running.runner.apply("dhcp-range=nonsense\n")
    moved = replace(first, reservations=(replace(first.reservations[1], address="10.77.0.99"),))
    assert running.runner.apply(render(moved, TEMPLATES))
    running.ready(3)
    reply = ask(cable, packet(arch=0))[0]
    assert reply is not None
    assert reply["address"] == "10.77.0.99"

    running.stop()
    assert running.runner.pid is None
    assert not running.conf.with_suffix(".pid").exists()


def test_why_dnsmasq_ended_is_said_in_its_own_words(
    running: _Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running.runner.apply(render(plan("full", "nothere0", str(tmp_path / "leases")), TEMPLATES))
    running.start()
    wait_until(lambda: "unknown interface nothere0" in caplog.text)
    assert "started again in 0.5 s" in caplog.text


def test_a_runner_ends_the_dnsmasq_that_a_killed_one_left_behind(
    cable: Namespace, running: _Running, tmp_path: Path
) -> None:
    running.runner.apply(render(plan("full", "srv0", str(tmp_path / "leases")), TEMPLATES))
    left = cable.popen(runner.find_program("dnsmasq"), "-d", f"--conf-file={running.conf}", stderr=subprocess.DEVNULL)
    running.conf.with_suffix(".pid").write_text(str(left.pid))
    threading.Thread(target=left.wait).start()  # a real orphan would be reaped by init
    running.start()
    running.ready(1)
    assert left.poll() is not None
