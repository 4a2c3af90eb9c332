"""One machine by hand: each problem at its field, what was typed stays, and a password never does."""

from __future__ import annotations

import re

import pytest

from pxeapp.machines import selectors
from tests.api.conftest import Api
from tests.ui.forms import Person, person


@pytest.fixture
def somebody(api: Api) -> Person:
    return person(api)


def test_a_machine_is_added_with_its_bmc_place_and_labels(api: Api, somebody: Person) -> None:
    fields = {
        "name": "n1", "mac": "5254.0000.0701", "role": "compute", "release": "debian-13", "bmc.type": "ipmi",
        "bmc.address": "10.0.9.1", "bmc.password": "geheim-42", "location.rack": "r7", "location.unit": "12",
        "labels": "row=b\nside = left", "disks.system": "sda",
    }  # fmt: skip
    reply = somebody.post("/machines/new", **fields)
    assert (reply.status_code, reply.headers["Location"]) == (303, "/machines/n1")
    with api.read() as session:
        row = selectors.get(session, "n1")
        assert (row.mac, row.rack, row.labels) == ("52:54:00:00:07:01", "r7", {"row": "b", "side": "left"})
        assert row.bmc is not None
        assert api.context.vault.decrypt(row.bmc.password_encrypted) == "geheim-42"


def test_each_problem_stands_at_its_field_and_what_was_typed_stays(somebody: Person) -> None:
    fields = {
        "name": "N_1",
        "mac": "zz",
        "bmc.address": "8.8.8.8",
        "bmc.type": "ipmi",
        "bmc.port": "x",
        "bmc.password": "geheim-42",
    }
    reply = somebody.post("/machines/new", **fields)
    assert reply.status_code == 422
    wrong = re.findall(r'<input id="f-([a-z.]+)"[^>]*aria-invalid="true"', reply.text)
    assert wrong == ["name", "mac", "bmc.port"]
    assert 'value="N_1"' in reply.text
    assert "geheim-42" not in reply.text


def test_a_mac_that_belongs_to_another_is_said(somebody: Person) -> None:
    somebody.post("/machines/new", name="n1", mac="52:54:00:00:07:01")
    reply = somebody.post("/machines/new", name="n2", mac="52:54:00:00:07:01")
    assert reply.status_code == 422
    assert "The mac 52:54:00:00:07:01 belongs to n1." in reply.text


def test_a_mac_that_was_seen_stands_in_the_form_already(somebody: Person) -> None:
    assert 'value="52:54:00:aa:00:01"' in somebody.get("/machines/new?mac=52:54:00:aa:00:01").text
