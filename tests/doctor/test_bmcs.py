"""The doctor asks BMCs whether they are there, and nothing else; real ipmi_sim, simulated BMCs, dead addresses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from netaddr import IPNetwork
from sqlalchemy import update

from pxeapp.doctor import bmcs
from pxeapp.doctor.finding import Patient
from pxeapp.lab.fleet.bmcs import BmcFleet
from pxeapp.machines.models import Bmc
from tests.bmc.simulator import simulated
from tests.doctor.patients import add_machine, with_
from tests.ports import free_port

pytestmark = pytest.mark.network


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bmcs, "ROUND_S", 0.3)


def add(patient: Patient, name: str, port: int, address: str = "127.0.0.1") -> None:
    number = add_machine(patient, name, address=f"127.1.0.{len(name)}")
    with patient.database.write() as session:
        session.execute(update(Bmc).where(Bmc.machine_id == number).values(address=address, port=port))


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
        assert bmcs.answers(only).sentence == "There is no BMC whose address we may ask."


@pytest.mark.ipmi_sim
@pytest.mark.skipif(shutil.which("ipmi_sim") is None, reason="ipmi_sim (package openipmi) is not installed")
def test_a_real_bmc_answers_the_question_and_does_nothing(patient: Patient, tmp_path: Path) -> None:
    with simulated(tmp_path / "bmc") as bmc:
        assert bmcs.ask([("127.0.0.1", bmc.port), ("127.0.0.1", free_port())]) == {("127.0.0.1", bmc.port)}
        assert bmc.commands() == []
