"""A real BMC for the tests: OpenIPMI's ipmi_sim with a chassis made of files, and a gate that loses its packets."""

from __future__ import annotations

import os
import select
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pxeapp.lab import bmc as lab_bmc
from pxeapp.lab.spec import MachineSpec
from tests.ports import free_port

# ipmi_sim calls it as `PROG get power` and `PROG set power 1`, and waits for it: it answers at once.
CHASSIS = """#!/bin/sh
cd "{folder}" || exit 1
[ -e broken ] && exit 1
verb=$1; shift
while [ $# -gt 0 ]; do
    case $verb in
    get) [ "$1" = power ] && echo "power:$(cat power)"; [ "$1" = boot ] && echo "boot:$(cat boot)"; shift ;;
    set) echo "$1 $2" >> log; [ -e lying ] || echo "$2" > "$1"; shift 2 ;;
    esac
done
exit 0
"""
LAN = """name "{name}"
set_working_mc 0x20
startlan 1
 addr 127.0.0.1 {port}
 priv_limit admin
 allowed_auths_callback none md2 md5 straight
 allowed_auths_user none md2 md5 straight
 allowed_auths_operator none md2 md5 straight
 allowed_auths_admin none md2 md5 straight
 guid a123456789abcdefa123456789abcdef
endlan
chassis_control "{chassis}"
{sol}user 2 true "admin" "secret" admin 10 none md2 md5 straight
"""
BMC = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
{sensors}mc_enable 0x20
"""


@dataclass(frozen=True)
class Simulated:
    """One ipmi_sim and its chassis."""

    folder: Path
    port: int

    def commands(self) -> list[str]:
        """What the chassis was told, in order."""
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def power(self, value: str) -> None:
        """Be on ("1") or off ("0"), without a command."""
        (self.folder / "power").write_text(value)

    def mark(self, illness: str) -> None:
        """`broken`: the chassis fails each command. `lying`: it takes them and does nothing."""
        (self.folder / illness).touch()


@contextmanager
def simulated(folder: Path, *, name: str = "sim", sol_port: int = 0, sensors: bool = False) -> Iterator[Simulated]:
    """Start one, wait until it answers, and end it. `sol_port`: where the machine's serial port is, if it has one."""
    folder.mkdir(parents=True)
    state = folder / "state"
    state.mkdir()
    chassis = folder / "chassis"
    chassis.write_text(CHASSIS.format(folder=folder))
    chassis.chmod(chassis.stat().st_mode | stat.S_IXUSR)
    (folder / "power").write_text("0")
    (folder / "boot").write_text("none")
    port = free_port(socket.SOCK_DGRAM)
    sol = f'sol "tcp:127.0.0.1:{sol_port}" 115200\n' if sol_port else ""
    (folder / "lan.conf").write_text(LAN.format(name=name, port=port, chassis=chassis, sol=sol))
    emulation = BMC.format(sensors="")
    if sensors:
        emulation = lab_bmc._emulation(folder)
        (folder / "fru.bin").write_bytes(lab_bmc._fru(MachineSpec("vm1")))
        lab_bmc._compile_sensors(folder, name)
    (folder / "bmc.emu").write_text(emulation)
    process = subprocess.Popen(
        ["ipmi_sim", "-n", "-c", "lan.conf", "-f", "bmc.emu", "-s", str(state)],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, what="ipmi_sim to listen")
        assert process.poll() is None, "ipmi_sim ended"
        yield Simulated(folder, port)
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    """Whether anybody answers RMCP's ping (ASF presence ping, DSP0136) on this port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        probe.connect(("127.0.0.1", port))
        try:
            probe.send(bytes.fromhex("0600ff06000011be80000000"))
            return bool(probe.recv(100))
        except OSError:
            return False


def wait_until(there: Callable[[], bool], *, seconds: float = 20.0, what: str) -> None:
    """Wait for something to come true; fails the test when it does not."""
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.02)


class Gate:
    """A UDP relay in front of a BMC: `lose(packet, to_bmc)` decides which packets vanish, and it counts them."""

    def __init__(self, bmc_port: int) -> None:
        self.lose: Callable[[bytes, bool], bool] = lambda _packet, _to_bmc: False
        self.spoil: Callable[[bytes], bytes] = lambda packet: packet
        self.encrypted_requests = 0
        self._bmc = ("127.0.0.1", bmc_port)
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self.port = int(self._front.getsockname()[1])
        self._backs: dict[tuple[str, int], socket.socket] = {}
        self._stop, self._stopper = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Gate:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stopper, b".")
        self._thread.join(5)
        for sock in (self._front, *self._backs.values()):
            sock.close()
        os.close(self._stop)
        os.close(self._stopper)

    def _run(self) -> None:
        while True:
            clients = {back: client for client, back in self._backs.items()}
            ready, _, _ = select.select([self._front, self._stop, *clients], [], [])
            if self._stop in ready:
                return
            for sock in ready:
                if sock is self._front:
                    packet, client = self._front.recvfrom(4096)
                    self._to_bmc(packet, client)
                else:
                    packet = sock.recv(4096)
                    if not self.lose(packet, False):
                        self._front.sendto(self.spoil(packet), clients[sock])

    def _to_bmc(self, packet: bytes, client: tuple[str, int]) -> None:
        # Byte 5 is the payload type; 0xc0: an authenticated, encrypted IPMI request.
        self.encrypted_requests += len(packet) > 5 and packet[4:6] == b"\x06\xc0"
        if self.lose(packet, True):
            return
        if client not in self._backs:
            back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            back.connect(self._bmc)
            self._backs[client] = back
        self._backs[client].send(packet)
