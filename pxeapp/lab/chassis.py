"""The chassis of one virtual machine: it owns the QEMU process, as a mainboard owns its power.

The BMC simulator asks it through a unix socket, one line per question (`get power`, `set power 1`), and is answered at
once, because the simulator does nothing else meanwhile. It also carries the serial port: to a log, and to whoever
listens (serial over LAN). Each command is logged with its time: tests of power safety read that log.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import socket
import subprocess
import threading
import time
from pathlib import Path

from pxeapp.lab.machine import NET_FIRST, NET_LAST, Places, argv
from pxeapp.lab.spec import MachineSpec

QMP_S = 5.0
BACKLOG = 8


class Chassis:
    """Power, boot device and serial port of one machine."""

    def __init__(self, spec: MachineSpec, places: Places, acceleration: list[str], sol_port: int) -> None:
        self._spec = spec
        self._places = places
        self._acceleration = acceleration
        self._sol_port = sol_port
        self._process: subprocess.Popen[bytes] | None = None
        self._boot = "default"
        self._lock = threading.RLock()
        self._listeners: list[socket.socket] = []
        self._serial: socket.socket | None = None

    def run(self) -> None:
        """Serve for ever."""
        for work in (self._serve_serial, self._serve_sol):
            threading.Thread(target=work, daemon=True).start()
        server = _unix(self._places.chassis)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw") as stream:
            for line in stream:
                stream.write(self.ask(line.strip()) + "\n")
                stream.flush()

    def ask(self, line: str) -> str:
        """Answer one line."""
        words = shlex.split(line)
        with self._lock:
            if words[:1] == ["get"]:
                return "\n".join(self._get(word) for word in words[1:])
            if words[:1] == ["set"] and len(words) >= 3:
                self._log(line)
                self._set(words[1], words[2])
                return "ok"
        return f"error: {line!r} is not a command"

    def _get(self, what: str) -> str:
        if what == "power":
            return f"power:{1 if self._running() else 0}"
        if what == "boot":
            return f"boot:{self._boot}"
        return f"{what}:0"

    def _set(self, what: str, value: str) -> None:
        if what == "power":
            self._power_on() if value == "1" else self._power_off()
        elif what == "boot":
            self._boot = value
        elif what == "reset" and value == "1" and self._running():
            self._qmp("system_reset")
        elif what == "shutdown" and value == "1" and self._running():
            self._qmp("system_powerdown")

    def _running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _power_on(self) -> None:
        if self._running():
            return
        resting = NET_FIRST if self._spec.network_first else NET_LAST
        this_time = {"pxe": NET_FIRST, "disk": NET_LAST}.get(self._boot, resting)
        self._boot = "default"  # one boot only
        command = argv(self._spec, self._places, self._acceleration, net_index=this_time)
        errors = (self._places.folder / "qemu.log").open("ab")
        with contextlib.suppress(FileNotFoundError):
            self._places.monitor.unlink()
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        errors.close()
        if this_time != resting:
            threading.Thread(target=self._rest, args=(self._process, resting), daemon=True).start()

    def _rest(self, process: subprocess.Popen[bytes], index: int) -> None:
        """Put the network back to its resting place: firmware reads the order at reset, so this boot is not touched."""
        deadline = time.monotonic() + QMP_S
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.3)  # QEMU has read its command line by then, and the firmware its boot order
            with contextlib.suppress(OSError, ValueError):
                self._qmp("qom-set", path="/machine/peripheral/net0", property="bootindex", value=index)
                return

    def _power_off(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()  # QEMU closes its image on SIGTERM; to the guest it is the plug
            threading.Thread(target=_reap, args=(process,), daemon=True).start()

    def _qmp(self, command: str, **arguments: object) -> object:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(QMP_S)
            sock.connect(str(self._places.monitor))
            with sock.makefile("rw") as stream:
                json.loads(stream.readline())
                for said in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                    stream.write(json.dumps(said) + "\n")
                    stream.flush()
                    answer = json.loads(stream.readline())
                    while "event" in answer:
                        answer = json.loads(stream.readline())
                    if "error" in answer:
                        raise ValueError(answer["error"])
        return answer

    def _log(self, line: str) -> None:
        with (self._places.folder / "commands.log").open("a") as log:
            log.write(json.dumps({"at": time.time(), "command": line}) + "\n")

    def _serve_serial(self) -> None:
        """QEMU connects here each time it starts; what it says goes to the log and to every listener."""
        server = _unix(self._places.serial)
        while True:
            connection, _ = server.accept()
            self._serial = connection
            with self._places.console_log.open("ab", buffering=0) as log, contextlib.suppress(OSError):
                while data := connection.recv(4096):
                    log.write(data)
                    self._tell(data)
            self._serial = None
            connection.close()

    def _tell(self, data: bytes) -> None:
        for listener in list(self._listeners):
            try:
                listener.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue  # a listener that does not read loses output, the machine does not wait for it
            except OSError:
                self._listeners.remove(listener)

    def _serve_sol(self) -> None:
        server = socket.create_server(("127.0.0.1", self._sol_port), backlog=BACKLOG)
        while True:
            listener, _ = server.accept()
            self._listeners.append(listener)
            threading.Thread(target=self._type, args=(listener,), daemon=True).start()

    def _type(self, listener: socket.socket) -> None:
        """What a listener types goes to the machine."""
        with contextlib.suppress(OSError):
            while data := listener.recv(1024):
                if self._serial is not None:
                    self._serial.sendall(data)
        with contextlib.suppress(ValueError):
            self._listeners.remove(listener)
        listener.close()


def _unix(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(BACKLOG)
    return server


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    """`python -m pxeapp.lab.chassis JSON`: run by the rack."""
    parser = argparse.ArgumentParser()
    parser.add_argument("said", type=json.loads)
    said = parser.parse_args().said
    places = Places(Path(said["folder"]), Path(said["sockets"]), said["tap"])
    Chassis(MachineSpec(**said["spec"]), places, said["acceleration"], said["sol_port"]).run()


if __name__ == "__main__":
    main()
