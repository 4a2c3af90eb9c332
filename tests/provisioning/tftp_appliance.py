"""A real `pxeapp tftp` process with a machine, a release and its files, and a look at how it is doing."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pxeapp import config
from pxeapp.db import now
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.software import adding, releases
from pxeapp.software.releases import Description
from pxeapp.wiring import create_provisioner
from tests.boot.tftp.wire import Address, Client, fetch, number, request
from tests.migrated import migrate

MAC = "52:54:00:00:00:01"
SMALL = b"kernel!\r\n" * 10_000  # kept packed
LARGE = os.urandom(1_000_000) * 9 + b"end"  # read window by window


@dataclass
class TftpAppliance:
    """The process, and the names below which its release's files are."""

    process: subprocess.Popen[bytes]
    address: Address
    kernel: str
    initrd: str
    log: Path
    idle: int = 0  # descriptors that it holds with nothing to do

    def answers(self) -> bool:
        """Whether the same process still serves a new client; asks as patiently as firmware does."""
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        with Client(self.address, timeout=1.0) as client:
            for _ in range(8):
                client.ask(request("autoexec.ipxe"))
                with contextlib.suppress(TimeoutError):
                    return number(client.hear()) == 1
        return False

    def rss(self) -> int:
        """Bytes of memory that it takes now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def descriptors(self) -> int:
        """Sockets and files that it holds open; the database's, of which each thread has its own, are not counted."""
        found = []
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(str(link.readlink()))
        return sum(".db" not in name for name in found)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[TftpAppliance]:
    """Start `pxeapp tftp` over a data directory in this folder."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {
        "PXEAPP_DATA_DIR": str(folder / "data"),
        "PXEAPP_NODE_URL": "http://10.77.0.1:8081",
        "PXEAPP_TFTP_LISTEN": f"127.0.0.1:{port}",
        "PXEAPP_TFTP_NETWORKS": "127.0.0.0/30",
    }
    kernel, initrd = _prepare(folder, environ)
    log = folder / "tftp.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pxeapp", "tftp"], env={**os.environ, **environ}, stdout=output, stderr=output
        )
    appliance = TftpAppliance(process, ("127.0.0.1", port), kernel, initrd, log)
    try:
        deadline = time.monotonic() + 60
        while not appliance.answers() and time.monotonic() < deadline:
            pass
        assert fetch(appliance.address, "autoexec.ipxe")
        time.sleep(1.0)  # for it to see the last acknowledgement
        appliance.idle = appliance.descriptors()
        yield appliance
    finally:
        process.terminate()
        ended = process.wait(30)
    assert ended == 0


def _prepare(folder: Path, environ: dict[str, str]) -> tuple[str, str]:
    provisioner = create_provisioner(config.load(environ))
    migrate(provisioner.database)
    files = folder / "files"
    files.mkdir()
    (files / "vmlinuz").write_bytes(SMALL)
    (files / "initrd.img").write_bytes(LARGE)
    with provisioner.database.write() as session:
        session.add(Machine(name="node1", mac=MAC, state=State.ENROLLED, created_at=now(), updated_at=now()))
    adding.from_directory(
        provisioner.database,
        provisioner.settings,
        Description(name="rocky-9", family="rocky", version="9", installer="kickstart", install_url="{node_url}/repo"),
        files,
        kernel="vmlinuz",
        initrd="initrd.img",
        actor="user:ada",
        now=now(),
    )
    with provisioner.database.read() as session:
        row = releases.get(session, "rocky-9")
        names = f"media/rocky-9/{row.kernel}", f"media/rocky-9/{row.initrd}"
    provisioner.database.dispose()
    return names
