"""The appliance is away for ten minutes while installers finish: what their own scripts say is all recorded after it
came back. The scripts are those of real answer files, run by real shells. Their sleep takes no time but counts; after
ten minutes of it their time stands still until the appliance is there again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pxeapp.db import now as present
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.provisioning import grants, steps, tokens
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from tests.answers import shells, test_running
from tests.provisioning.rack import Rack, built
from tests.provisioning.test_node_process import running
from tests.sweep import size

pytestmark = [pytest.mark.network, pytest.mark.soak]
AWAY_S = 600
FASTER = size(10, 1)  # a sleep of 5 s counts for so many times 5 s
INSTALLERS = size(2, 20)  # of each kind
NO_PATIENCE = 900


@dataclass
class Door:
    """A port that nobody listens on until it is opened; then it leads to the appliance."""

    port: int
    to: int
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def open(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        listener.settimeout(0.2)
        self._run(self._accept, listener)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def _run(self, target: object, *args: object) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=args, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    self._run(self._lead, listener.accept()[0])

    def _lead(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.to)) as there, contextlib.suppress(OSError):
            back = threading.Thread(target=_pour, args=(there, client), daemon=True)
            back.start()
            _pour(client, there)
            back.join(10)


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    with built(tmp_path) as found:
        yield found


def installing(rack: Rack, name: str, number: int) -> tuple[int, str]:
    """A machine whose installer is at work, and its token to report with."""
    at = present()
    with rack.provisioner.database.write() as session:
        mac = f"52:54:00:00:09:{number:02x}"
        machine = Machine(name=name, mac=mac, state=State.DEPLOYING, created_at=at, updated_at=at)
        session.add(machine)
        session.flush()
        row = Deployment(
            machine_id=machine.id, attempt=1, release="rocky-9", role="base", requested_by="user:ada", requested_at=at,
            step=Step.INSTALLING, step_since=at, step_deadline=at + dt.timedelta(hours=1),
            deadline=at + steps.WHOLE_ATTEMPT, due_at=at,
        )  # fmt: skip
        session.add(row)
        session.flush()
        grants.arm(session, rack.provisioner.vault, row, now=at)
        return row.id, tokens.derive(rack.provisioner.vault, row, tokens.CALLBACK)


def sleep(counting: str, clock: Path) -> str:
    """A sleep that takes no time; what it would have taken is added to a variable, and written down."""
    return f"""
sleep() {{
    command sleep 0.01
    {counting}=$(({counting} + $1 * {FASTER}))
    echo ${counting} >{clock}
    [ ${counting} -lt {AWAY_S} ] || until [ -e {clock.parent}/back ]; do command sleep 0.02; done
}}
"""


def finishing(language: str, port: int, secret: str, clock: Path) -> tuple[str, str]:
    """The shell, and what the end of an installation runs in it; the seconds that it has waited go to `clock`."""
    shell, body = test_running.reports(language, f"http://127.0.0.1:{port}")
    counting = "SECONDS" if language == "kickstart" else "clock"
    body += sleep(counting, clock)
    return shell[0], body.replace("C" * 43, secret) + f'\nreport installed "all of it" {NO_PATIENCE}\n'


def first_boot(port: int, secret: str, clock: Path, tmp_path: Path) -> str:
    """The script that the installed system runs at its first boot, with its files below tmp_path."""
    text = test_running.kickstart_for(f"http://127.0.0.1:{port}").replace("C" * 43, secret)
    script = shells.inner(test_running.section(text, "post"))["/usr/local/sbin/pxeapp-first-boot"]
    for path, name in (
        ("/etc/systemd/system/pxeapp-first-boot.service", "unit"), ("/usr/local/sbin/pxeapp-first-boot", "script")
    ):  # fmt: skip
        script = script.replace(path, f"{tmp_path}/{name}")
    assert "seq 1 300" in script
    return (
        "waited=0\nsystemctl() { :; }\n"
        + sleep("waited", clock)
        + script.replace("seq 1 300", f"seq 1 {300 // FASTER}")
    )


def start(shell: str, script: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [shutil.which(shell) or shell],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(script)
    process.stdin.close()
    process.stdin = None  # communicate() would flush it
    return process


def test_whatever_installers_say_while_the_appliance_is_away_is_recorded_once_it_is_back(
    rack: Rack, tmp_path: Path
) -> None:
    missing = [name for name in ("curl", "wget", "bash", "dash") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scripts: list[tuple[int, Step, Path, subprocess.Popen[str]]] = []
    for index in range(INSTALLERS * 3):
        kind = ("kickstart", "preseed", "first boot")[index % 3]
        number, secret = installing(rack, f"away{index}", index)
        clock = tmp_path / f"clock{index}"
        if kind == "first boot":
            folder = tmp_path / f"system{index}"
            folder.mkdir()
            shell, script, step = "bash", first_boot(port, secret, clock, folder), Step.FIRST_BOOT
        else:
            shell, script = finishing(kind, port, secret, clock)
            step = Step.INSTALLED
        scripts.append((number, step, clock, start(shell, script)))
    try:
        with running(rack, tmp_path / "node.log", number=scripts[0][0]) as node:
            door = Door(port, node.port)
            wait_until(lambda: all(waited(clock) >= AWAY_S for _, _, clock, _ in scripts))
            assert {rack.step(number) for number, *_ in scripts} == {Step.INSTALLING}
            door.open()
            (tmp_path / "back").touch()
            try:
                for number, step, clock, process in scripts:
                    _, said = process.communicate(timeout=120)
                    assert process.returncode == 0, said
                    assert rack.step(number) == step, f"{step} was lost; it had waited {waited(clock)} s"
            finally:
                door.close()
    finally:
        for *_, process in scripts:
            if process.poll() is None:
                process.kill()
            process.communicate()


def waited(clock: Path) -> int:
    try:
        return int(clock.read_text() or 0)
    except FileNotFoundError:
        return 0


def wait_until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "the scripts do not wait as they should"
        time.sleep(0.02)
