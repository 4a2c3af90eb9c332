"""Serial over LAN against a real ipmi_sim whose serial port is a socket of ours, with packets lost on the way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pxeapp.bmc import rmcp, sol
from pxeapp.bmc.errors import BmcConsoleHeld, BmcError, BmcUnreachable
from pxeapp.bmc.ipmi import IpmiBmc, IpmiLine
from pxeapp.bmc.ports import Console
from tests.bmc.simulator import Gate, Simulated, simulated, wait_until

pytestmark = [pytest.mark.ipmi_sim, pytest.mark.network]
PASSWORD = "secret"


class Machine:
    """The serial port behind the BMC."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.typed = b""
        self._line: socket.socket | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def says(self, text: bytes) -> None:
        wait_until(lambda: self._line is not None, what="the BMC to open the serial port")
        assert self._line is not None
        self._line.sendall(text)

    def close(self) -> None:
        self._server.close()
        if self._line is not None:
            self._line.close()

    def _run(self) -> None:
        while True:
            try:
                self._line, _ = self._server.accept()
                while data := self._line.recv(4096):
                    self.typed += data
            except OSError:
                return


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    found = Machine()
    yield found
    found.close()


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory, machine: Machine) -> Iterator[Simulated]:
    with simulated(tmp_path_factory.mktemp("sol") / "sim", sol_port=machine.port) as sim:
        yield sim


@contextmanager
def console(
    port: int, heard: list[bytes], trouble: list[BmcError] | None = None, *, take: bool = True
) -> Iterator[IpmiLine]:
    """An open console in a thread of its own."""
    driver = IpmiBmc("127.0.0.1", port, "admin", PASSWORD, suite=3)
    assert isinstance(driver, Console)
    line = driver.serial_line(heard.append, take=take)
    over = threading.Event()

    def run() -> None:
        try:
            line.run(over.is_set)
        except BmcError as error:
            (trouble if trouble is not None else []).append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield line
    finally:
        over.set()
        thread.join(20)
        assert not thread.is_alive()
        line.close()


def test_both_directions(sim: Simulated, machine: Machine) -> None:
    heard: list[bytes] = []
    machine.typed = b""
    with console(sim.port, heard) as line:
        machine.says(b"Debian GNU/Linux 13 n1 ttyS0\r\n\r\nn1 login: ")
        wait_until(lambda: b"n1 login: " in b"".join(heard), what="the prompt")
        for key in b"root\r":
            assert line.type(bytes([key]))
        wait_until(lambda: machine.typed == b"root\r", what="the keys")


def test_much_at_once_arrives_whole_and_in_order(sim: Simulated, machine: Machine) -> None:
    heard: list[bytes] = []
    machine.typed = b""
    sent = b"".join(b"line %04d\r\n" % number for number in range(400))
    with console(sim.port, heard) as line:
        machine.says(sent)
        wait_until(lambda: len(b"".join(heard)) >= len(sent), what="everything")
        assert b"".join(heard) == sent
        line.type(b"x" * 600 + b"!")
        wait_until(lambda: machine.typed.endswith(b"!"), what="the paste")
        assert machine.typed == b"x" * 600 + b"!"


def test_lost_packets_are_sent_again_and_nothing_is_typed_twice(
    sim: Simulated, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sol, "RESEND_S", 0.2)
    heard: list[bytes] = []
    machine.typed = b""
    seen = {True: 0, False: 0}

    def lose(packet: bytes, to_bmc: bool) -> bool:
        if len(packet) < 6 or packet[5] & 0x3F != 1:
            return False  # only the console's own packets
        seen[to_bmc] += 1
        return seen[to_bmc] % 3 == 0

    with Gate(sim.port) as gate, console(gate.port, heard) as line:
        gate.lose = lose
        machine.says(b"0123456789" * 30)
        for key in b"abcdefghij":
            line.type(bytes([key]))
        wait_until(lambda: machine.typed == b"abcdefghij", what="the keys", seconds=40)
        wait_until(lambda: b"".join(heard) == b"0123456789" * 30, what="the text", seconds=40)


def test_a_bmc_that_falls_silent_is_noticed(sim: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rmcp, "ANSWER_S", 1.0)
    monkeypatch.setattr(sol, "ALIVE_S", 0.5)
    trouble: list[BmcError] = []
    with Gate(sim.port) as gate, console(gate.port, [], trouble):
        gate.lose = lambda _packet, _to_bmc: True
        wait_until(lambda: bool(trouble), what="the loss")
    assert isinstance(trouble[0], BmcUnreachable)


def test_typing_into_silence_ends_as_well(sim: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sol, "RESEND_S", 0.1)
    trouble: list[BmcError] = []
    with Gate(sim.port) as gate, console(gate.port, [], trouble) as line:
        gate.lose = lambda _packet, _to_bmc: True
        line.type(b"x")
        wait_until(lambda: bool(trouble), what="the loss")


def test_a_console_that_somebody_holds_is_refused_or_taken(sim: Simulated, machine: Machine) -> None:
    first: list[BmcError] = []
    heard: list[bytes] = []
    with console(sim.port, [], first):
        with pytest.raises(BmcConsoleHeld, match="Another program"):
            IpmiBmc("127.0.0.1", sim.port, "admin", PASSWORD, suite=3).serial_line(heard.append)
        with console(sim.port, heard, take=True):
            for _ in range(20):  # what is said while the line changes hands may be lost
                machine.says(b"for the second")
                with suppress(AssertionError):
                    wait_until(lambda: b"second" in b"".join(heard), seconds=1.0, what="its words")
                    break
        assert b"second" in b"".join(heard)


def test_without_a_serial_port_there_is_a_reason(tmp_path: Path) -> None:
    with simulated(tmp_path / "none") as sim:
        driver = IpmiBmc("127.0.0.1", sim.port, "admin", PASSWORD, suite=3)
        with pytest.raises(BmcError, match="console"):
            driver.serial_line(lambda _: None)
