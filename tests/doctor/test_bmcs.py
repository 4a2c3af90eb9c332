"""The doctor asks BMCs whether they are there, and nothing else; real ipmi_sim, simulated BMCs, dead addresses."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from netaddr import IPNetwork
from sqlalchemy import update

from pxeapp.doctor import bmcs
from pxeapp.doctor.finding import Patient
from pxeapp.lab.fleet.bmcs import BmcFleet
from pxeapp.machines.models import Bmc
from tests.bmc.simulator import simulated
from tests.doctor.cases import sees
from tests.doctor.patients import add_machine, with_
from tests.ports import free_port

pytestmark = pytest.mark.network


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bmcs, "ROUND_S", 0.3)


def add(patient: Patient, name: str, port: int, address: str = "127.0.0.1", type_: str = "ipmi") -> None:
    number = add_machine(patient, name, address=f"127.1.0.{len(name)}")
    with patient.database.write() as session:
        session.execute(update(Bmc).where(Bmc.machine_id == number).values(address=address, port=port, type=type_))


@sees("BMCs", "ok", "warn", "fail")
def test_bmcs_that_answer_are_well_and_those_that_do_not_are_named(patient: Patient) -> None:
    assert bmcs.answers(patient).sentence == "There is no BMC whose address we may ask."
    with BmcFleet(username="admin", password="secret") as fleet:
        for number in range(3):
            add(patient, f"{'n' * number}node", fleet.add(f"bmc{number}").port)
        found = bmcs.answers(patient)
        assert (found.status, found.sentence) == ("ok", "All 3 BMCs answer.")
        add(patient, "dead", free_port())
        found = bmcs.answers(patient)
    assert (found.status, found.sentence) == ("warn", "1 of 4 BMCs do not answer: dead.")
    assert "pxeapp machine power dead" in found.attempt
    gone = bmcs.answers(patient)
    assert (gone.status, "None of the 4" in gone.sentence, "623" in gone.attempt) == ("fail", True, True)


def test_nobody_outside_the_allowed_networks_is_asked(patient: Patient) -> None:
    with BmcFleet(username="admin", password="secret") as fleet:
        add(patient, "node1", fleet.add("bmc").port)
        only = with_(patient, bmc_networks=(IPNetwork("203.0.113.0/24"),))
        found = bmcs.answers(only)
    assert found.status == "warn"
    assert found.sentence == (
        "There is no BMC whose address we may ask. Not asked, because they are outside PXEAPP_BMC_NETWORKS (1): node1."
    )


def test_bmcs_that_speak_redfish_are_asked_by_a_connection(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        add(patient, "node1", listener.getsockname()[1], type_="redfish")
        assert bmcs.answers(patient).sentence == "All 1 BMCs answer."
        taken, _ = listener.accept()
        with taken:
            taken.settimeout(10)
            assert taken.recv(1) == b"", "it was said something"
        add(patient, "dead", free_port(), type_="redfish")
        found = bmcs.answers(patient)
    assert (found.status, found.sentence) == ("warn", "1 of 2 BMCs do not answer: dead.")


def test_a_connection_that_hangs_or_has_no_route_is_no_answer_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bmcs, "CONNECTED_S", 0.3)
    with full_listener() as hangs, socket.create_server(("127.0.0.1", 0)) as listener:
        well = listener.getsockname()
        assert bmcs.connect([hangs, ("255.255.255.255", 443), well]) == ({well}, set())
        monkeypatch.setattr(bmcs, "CONNECTIONS", 1)
        monkeypatch.setattr(bmcs, "ALL_CONNECTED_S", 0.1)
        assert bmcs.connect([hangs, ("127.255.0.1", 1)])[1] != set()


@contextlib.contextmanager
def full_listener() -> Iterator[tuple[str, int]]:
    """An address that takes no more connections, and lets whoever asks wait."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener, contextlib.ExitStack() as stack:
        address = listener.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield address


def test_what_was_not_asked_is_counted_and_named_with_the_reason(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BmcFleet(username="admin", password="secret") as fleet:
        add(patient, "named", fleet.add("bmc").port, address="localhost")
        add(patient, "fake", 623, type_="fake")
        found = bmcs.answers(patient)
        assert (found.status, found.sentence) == (
            "ok", "All 1 BMCs answer. Not asked, because they are simulated (1): fake.",
        )  # fmt: skip
        add(patient, "lost", 623, address="bmc..example")
        add(patient, "outside", 443, address="203.0.113.9", type_="redfish")
        add(patient, "late", free_port(), type_="redfish")
        monkeypatch.setattr(bmcs, "ALL_CONNECTED_S", 0.0)
        found = bmcs.answers(patient)
    assert found.status == "warn"
    assert found.sentence == (
        "All 1 BMCs answer. Not asked, because they are outside PXEAPP_BMC_NETWORKS (1): outside. "
        "Not asked, because their names do not resolve (1): lost. Not asked, because the time was up (1): late. "
        "Not asked, because they are simulated (1): fake."
    )
    assert "pxeapp machine power" in found.attempt


@pytest.mark.ipmi_sim
@pytest.mark.skipif(shutil.which("ipmi_sim") is None, reason="ipmi_sim (package openipmi) is not installed")
def test_a_real_bmc_answers_the_question_and_does_nothing(patient: Patient, tmp_path: Path) -> None:
    with simulated(tmp_path / "bmc") as bmc:
        assert bmcs.ask([("127.0.0.1", bmc.port), ("127.0.0.1", free_port())]) == {("127.0.0.1", bmc.port)}
        assert bmc.commands() == []
