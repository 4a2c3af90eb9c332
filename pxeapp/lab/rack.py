"""A rack that runs: its network, and for each machine a chassis and a BMC. Up, down, status; safe after any crash."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pxeapp.errors import Conflict, NotFound, Unavailable
from pxeapp.lab import bmc, door, kvm, machine, namespace
from pxeapp.lab.machine import Places
from pxeapp.lab.namespace import Namespace
from pxeapp.lab.spec import MachineSpec, RackSpec, build

STATE = "rack.json"
FIRST_SOL_PORT = 40_001
READY_S = 20.0
GONE_S = 10.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the rack's, with its start time: a number alone may have been given to somebody else since."""

    name: str
    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether it is still this very process."""
        return namespace.alive(self.pid) and _started(self.pid) == self.started


class Rack:
    """A running rack, as its state file describes it."""

    def __init__(self, folder: Path, state: dict[str, Any]) -> None:
        self.folder = folder
        self.spec = _spec(state["spec"])
        self.sockets = Path(state["sockets"])
        self.acceleration: list[str] = state["acceleration"]
        self._namespace = Namespace(**state["namespace"])
        self._processes = [Process(**said) for said in state["processes"]]

    @classmethod
    def up(cls, spec: RackSpec, folder: Path) -> Rack:
        """Build and start the rack; raises Conflict when one runs in this folder already."""
        folder = folder.absolute()
        if (folder / STATE).exists():
            if any(process.alive for process in cls.open(folder)._processes):
                raise Conflict(f"A rack runs in {folder} already.", hint="Take it down first: pxeapp rack down")
            cls.open(folder).down()
        folder.mkdir(parents=True, exist_ok=True)
        sockets = Path(tempfile.mkdtemp(prefix="pxr-"))  # short: a unix socket's path has 107 characters
        space = namespace.create()
        acceleration = list(kvm.acceleration(folder / "kvm"))
        state: dict[str, Any] = {
            "spec": dataclasses.asdict(spec),
            "sockets": str(sockets),
            "acceleration": acceleration,
            "namespace": dataclasses.asdict(space),
            "processes": [dataclasses.asdict(_process("network", space.holder))],
        }
        rack = cls(folder, state)
        rack._save()  # from here on `down` finds whatever was started
        try:
            taps = [rack.places(each).tap for each in spec.machines]
            namespace.wire(space, spec.appliance, spec.prefix, [each.bmc_address for each in spec.machines], taps)
            for number, each in enumerate(spec.machines):
                rack._start_machine(each, FIRST_SOL_PORT + number)
            rack._await_bmcs()
        except BaseException:
            rack.down()
            raise
        return rack

    @classmethod
    def open(cls, folder: Path) -> Rack:
        """The rack whose state lies in this folder; raises NotFound."""
        path = folder.absolute() / STATE
        if not path.exists():
            raise NotFound(f"No rack is up in {folder}.", hint="Start one: pxeapp rack up")
        return cls(folder.absolute(), json.loads(path.read_text()))

    def down(self) -> None:
        """End every process of this rack and remove its disks; nothing else is touched. Safe to repeat."""
        for process in reversed(self._processes):
            _end(process)
        for each in self.spec.machines:
            shutil.rmtree(self.places(each).folder, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)
        (self.folder / STATE).unlink(missing_ok=True)

    def stop(self, process: Process) -> None:
        """End one of this rack's processes before the others."""
        _end(process)
        self._processes.remove(process)
        self._save()

    def status(self) -> list[dict[str, Any]]:
        """Each machine with its power, its BMC and whether its simulator lives."""
        alive = {process.name for process in self._processes if process.alive}
        return [
            {
                "name": each.name,
                "firmware": each.firmware,
                "mac": each.mac,
                "address": each.address,
                "bmc": f"{each.bmc_address}:{bmc.PORT}",
                "power": self._power(each) if f"chassis {each.name}" in alive else "unknown",
                "bmc_alive": f"bmc {each.name}" in alive,
                "console_log": str(self.places(each).console_log),
            }
            for each in self.spec.machines
        ]

    def places(self, spec: MachineSpec) -> Places:
        """Where a machine's files lie."""
        number = self.spec.names.index(spec.name)
        return Places(self.folder / spec.name, self.sockets / str(number), f"tap{number}")

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in the rack's network."""
        return self._namespace.argv(command)

    def start(self, name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> Process:
        """Start a command in the rack's network as a process of the rack: `down` ends it too."""
        with log.open("ab") as output:
            started = self._namespace.start(
                command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        return self._keep(name, started)

    def start_outside(self, name: str, command: Sequence[str], *, log: Path) -> Process:
        """The same in this host's own network: a door between the two."""
        with log.open("ab") as output:
            started = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        return self._keep(name, started)

    def forward(self, port: int) -> int:
        """Make a port of the appliance's address reachable on the host's loopback; returns the host's port."""
        path = self.sockets / f"door-{port}"
        inside = door.inside_argv(path, self.spec.appliance, port)
        self.start(f"door {port} inside", inside, log=self.folder / "door.log")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            host_port = int(probe.getsockname()[1])
        self.start_outside(f"door {port}", door.outside_argv(path, host_port), log=self.folder / "door.log")
        return host_port

    def machines_file(self, network: str | None = None) -> list[dict[str, Any]]:
        """What the appliance imports to know these machines."""
        return [
            {
                "name": each.name,
                "mac": each.mac,
                "serial": each.serial,
                "uuid": each.uuid,
                "role": each.role,
                **({"release": each.release} if each.release else {}),
                "bmc": {
                    "type": "ipmi",
                    "address": each.bmc_address,
                    "port": bmc.PORT,
                    "username": each.bmc_user,
                    "password": each.bmc_password,
                    "cipher_suite": 3,
                },
                "disks": {
                    "system": machine.disk_path(0),
                    "data": [machine.disk_path(number) for number in range(1, each.data_disks + 1)],
                },
                **({"interfaces": [{"mac": each.mac, "network": network, "address": each.address}]} if network else {}),
                "labels": {"lab": "true", **({"secure_boot": "true"} if each.firmware == "secureboot" else {})},
            }
            for each in self.spec.machines
        ]

    def _start_machine(self, spec: MachineSpec, sol_port: int) -> None:
        places = self.places(spec)
        machine.prepare(spec, places)
        said = {
            # Without the BMC's password: a process list shows arguments to everybody.
            "spec": {name: value for name, value in dataclasses.asdict(spec).items() if name != "bmc_password"},
            "folder": str(places.folder),
            "sockets": str(places.sockets),
            "tap": places.tap,
            "acceleration": self.acceleration,
            "sol_port": sol_port,
        }
        chassis = [sys.executable, "-m", "pxeapp.lab.chassis", json.dumps(said)]
        self.start(f"chassis {spec.name}", chassis, log=places.folder / "chassis.log")
        _wait(lambda: places.chassis.exists(), f"The chassis of {spec.name} did not start.")
        self.start(f"bmc {spec.name}", bmc.write(spec, places, sol_port), log=places.folder / "bmc.log")

    def _await_bmcs(self) -> None:
        """A BMC that answers nothing yet would be taken for a broken one."""
        probe = (
            "import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.settimeout(0.5)\n"
            "s.sendto(bytes.fromhex('0600ff06000011be80000000'),(sys.argv[1],623))\ns.recv(64)\n"
        )  # an RMCP presence ping (IPMI 2.0, 13.2.3)
        for each in self.spec.machines:
            argv = self.argv([sys.executable, "-SE", "-c", probe, each.bmc_address])
            _wait(
                functools.partial(_answers, argv),
                f"The BMC of {each.name} did not start; see {self.places(each).folder}/bmc.log.",
            )

    def _power(self, spec: MachineSpec) -> str:
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(2)
                sock.connect(str(self.places(spec).chassis))
                sock.sendall(b"get power\n")
                return "on" if sock.recv(64).strip() == b"power:1" else "off"
        except OSError:
            return "unknown"

    def _keep(self, name: str, started: subprocess.Popen[bytes]) -> Process:
        started.returncode = 0  # the rack's state file owns it now, not this Popen object
        process = _process(name, started.pid)
        self._processes.append(process)
        self._save()
        return process

    def _save(self) -> None:
        state = {
            "spec": dataclasses.asdict(self.spec),
            "sockets": str(self.sockets),
            "acceleration": self.acceleration,
            "namespace": dataclasses.asdict(self._namespace),
            "processes": [dataclasses.asdict(process) for process in self._processes],
        }
        draft = self.folder / f".{STATE}"
        draft.write_text(json.dumps(state, indent=1))
        draft.chmod(0o600)
        draft.replace(self.folder / STATE)


def _spec(said: dict[str, Any]) -> RackSpec:
    return build({**said, "machines": list(said["machines"])})


def _process(name: str, pid: int) -> Process:
    return Process(name, pid, _started(pid))


def _started(pid: int) -> str:
    """The process's start time in the kernel's own count; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def _end(process: Process) -> None:
    """SIGTERM to its session, then SIGKILL."""
    for number, patience in ((signal.SIGTERM, GONE_S), (signal.SIGKILL, GONE_S)):
        if not process.alive:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
            time.sleep(0.05)
            if _started(process.pid) != process.started or not namespace.alive(process.pid):
                break


def _answers(argv: list[str]) -> bool:
    return subprocess.run(argv, capture_output=True, check=False, timeout=10).returncode == 0


def _wait(what: Callable[[], bool], sentence: str) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if what():
            return
        time.sleep(0.05)
    raise Unavailable(sentence)
