"""Where the BMCs are: in a network that is allowed, at a name that resolves, and all of that in bounded time."""

from __future__ import annotations

import threading
import time

import pytest
from netaddr import IPNetwork

from pxeapp.doctor import places, work
from pxeapp.doctor.finding import Patient
from tests.doctor.cases import sees
from tests.doctor.patients import add_machine, with_


@sees("BMC addresses", "ok", "fail")
def test_a_bmc_outside_the_allowed_networks_fails_without_being_contacted(patient: Patient) -> None:
    add_machine(patient, "node1", address="127.0.0.7")
    add_machine(patient, "node2", address="localhost")
    assert work.bmc_addresses(patient).status == "ok"
    add_machine(patient, "node3", address="203.0.113.9")
    found = work.bmc_addresses(patient)
    assert found.status == "fail"
    assert "node3" in found.sentence
    assert "node1" not in found.sentence
    here = work.bmc_addresses(with_(patient, bmc_networks=(IPNetwork("203.0.113.0/24"),)))
    assert "node1 and node2" in here.sentence.replace(", ", " and "), "a name is judged by where it leads"


def test_a_bmc_whose_name_leads_nowhere_fails(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    add_machine(patient, "node1", address="bmc..example")  # no name server need be asked
    add_machine(patient, "node2", address="203.0.113.9")
    found = work.bmc_addresses(patient)
    assert found.status == "fail"
    assert "of node1 do not resolve" in found.sentence
    assert "of node2 are outside" in found.sentence
    assert "/etc/resolv.conf" in found.attempt
    monkeypatch.setattr(places, "NAMES_WITHIN_S", 0.0)
    assert "of node1 are, no name server said" in work.bmc_addresses(patient).sentence


def test_name_servers_that_are_silent_hold_up_no_check() -> None:
    release = threading.Event()

    def ask(name: str) -> str:
        return "10.0.0.7" if name == "quick" else str(release.wait(60))

    began = time.monotonic()
    found = places.resolved(["quick", *(f"slow{number}" for number in range(100))], ask, within_s=0.5)
    took = time.monotonic() - began
    release.set()
    assert found == {"quick": "10.0.0.7"}
    assert took < 5
