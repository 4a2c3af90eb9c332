"""The stand-in installer on real (emulated) hardware: it runs our own rendered kickstart, then boots from its disk."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pxeapp.answers import kickstart
from pxeapp.answers.releases import DIALECTS
from pxeapp.answers.spec import AnswerSpec, Card, ReleaseSpec
from pxeapp.lab.images.build import StandIn
from pxeapp.lab.images.guest.installer import Options, parse_cmdline
from pxeapp.lab.kvm import TCG
from pxeapp.templates import Templates

MAC = "52:54:00:77:00:01"


def test_command_line_is_read_as_anaconda_reads_it() -> None:
    options = parse_cmdline(
        "BOOT_IMAGE=x inst.ks=http://old/ inst.ks=http://new/ks inst.ks.sendmac inst.repo=http://r/os "
        "BOOTIF=01-52-54-00-77-00-01 inst.cmdline ip=dhcp standin.version=RHEL10 quiet"
    )
    assert options == Options(
        ks="http://new/ks",
        repo="http://r/os",
        bootif="01-52-54-00-77-00-01",
        sendmac=True,
        version="RHEL10",
        unknown=["inst.cmdline"],
    )


def test_without_inst_the_old_names_are_not_read() -> None:
    assert parse_cmdline("ks=http://old/ repo=http://r/").ks == "", "EL9 and later read only inst.ks"


class Appliance(ThreadingHTTPServer):
    """Serves a kickstart and records what is reported."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.headers: dict[str, str] = {}
        self.kickstart = ""
        super().__init__(("127.0.0.1", 0), _Handler)

    def saw(self, event: str, process: subprocess.Popen[bytes], console: Path, timeout: float = 240) -> str:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for name, message in self.events:
                if name == event:
                    return message
            if process.poll() is not None:
                break
            time.sleep(0.2)
        raise AssertionError(f"no {event}; the console ends: {console.read_text(errors='replace')[-3000:]}")


class _Handler(BaseHTTPRequestHandler):
    server: Appliance

    def do_GET(self) -> None:
        self.server.headers = dict(self.headers)
        self._answer(self.server.kickstart.encode())

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(b"kept\n")

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.events.append((said["event"], said["message"]))
        self._answer(b"recorded\n")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def appliance() -> Iterator[Appliance]:
    server = Appliance()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def rendered(port: int) -> AnswerSpec:
    return AnswerSpec(
        hostname="node1",
        domain="rack.example",
        boot=Card(MAC),
        release=ReleaseSpec("rocky-9", "rocky", "9", "kickstart", f"http://10.0.2.2:{port}/repo/BaseOS/x86_64/os"),
        role="base",
        packages=("curl",),
        services=(),
        answer_url=f"http://10.0.2.2:{port}/a/config-token-of-this-test",
        callback_url=f"http://10.0.2.2:{port}/c/callback-token-of-this-test",
    )


def qemu(disk: Path, console: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            "qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "pc,graphics=off", *TCG, "-m", "768",
            "-serial", f"file:{console}", "-netdev", "user,id=net0",
            "-device", f"virtio-net-pci,netdev=net0,mac={MAC},romfile=",
            "-drive", f"if=none,id=disk0,file={disk},format=raw", "-device", "virtio-blk-pci,drive=disk0",
            "-device", "virtio-rng-pci", "-smbios", "type=1,serial=S-1", *more,
        ],
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.qemu
@pytest.mark.timeout(600)
def test_the_rendered_kickstart_installs_and_the_system_calls_in_from_its_own_disk(
    appliance: Appliance, standin: StandIn, tmp_path: Path
) -> None:
    spec = rendered(appliance.server_port)
    assert ("rocky", "9", "kickstart") in DIALECTS
    appliance.kickstart = kickstart.render(spec, Templates())
    disk, console = tmp_path / "disk", tmp_path / "console"
    with disk.open("wb") as file:
        file.truncate(1 << 30)
    args = f"{kickstart.kernel_args(spec)} mitigations=off console=ttyS0"
    install = qemu(
        disk, console, "-no-reboot", "-kernel", str(standin.kernel), "-initrd", str(standin.initrd), "-append", args
    )
    try:
        assert "Anaconda started" in appliance.saw("started", install, console)
        assert "installed rocky-9 as base" in appliance.saw("installed", install, console)
        install.wait(60)
    finally:
        install.kill()
        install.wait()
    assert appliance.headers["X-RHN-Provisioning-MAC-0"].endswith(MAC)
    assert appliance.headers["X-System-Serial-Number"] == "S-1"
    assert "this is not Anaconda" in console.read_text(errors="replace")
    own = tmp_path / "own-console"
    system = qemu(disk, own)
    try:
        assert "Kernel " in appliance.saw("first_boot", system, own)
    finally:
        system.kill()
        system.wait()
