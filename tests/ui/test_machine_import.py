"""A file of machines: each row is shown with what is wrong in it; only then, and only whole, is it imported."""

from __future__ import annotations

import io
import re

import pytest

from pxeapp.machines import selectors
from pxeapp.machines.models import Machine
from tests.api.conftest import Api
from tests.ui.forms import Person, person

GOOD = "name,mac,role,bmc.type,bmc.address,bmc.password\nn1,52:54:00:00:07:01,compute,ipmi,10.0.9.1,geheim-42\n"
BAD = "name,mac,role\nn1,52:54:00:00:07:01,compute\nn2,zz,compute\nn3,52:54:00:00:07:03,nobody\n"


@pytest.fixture
def somebody(api: Api) -> Person:
    return person(api)


def count(api: Api) -> int:
    with api.read() as session:
        return session.query(Machine).count()


def test_each_wrong_row_is_shown_in_place_with_what_to_do(api: Api, somebody: Person) -> None:
    reply = somebody.post("/machines/import", text=BAD, form="csv")
    assert reply.status_code == 422
    assert "2 rows of 3 are wrong; nothing was imported." in reply.text
    rows = re.findall(r'<tr class="wrong"><td class="tick">(\d+)</td><td>([^<]+)</td>', reply.text)
    assert rows == [("3", "n2"), ("4", "n3")]
    assert re.findall(r"<div><code>([^<]+)</code>", reply.text) == ["mac", "role"]
    assert "n2,zz,compute" in reply.text, "what was typed stays"
    assert count(api) == 0


def test_a_file_is_checked_then_imported_and_no_password_is_in_the_page(api: Api, somebody: Person) -> None:
    reply = somebody.post("/machines/import", file=(io.BytesIO(GOOD.encode()), "rack.CSV"))
    assert reply.status_code == 200
    assert "1 machine would be registered" in reply.text
    assert "geheim-42" not in reply.text
    assert count(api) == 0
    sealed = re.search(r'name="sealed" value="([^"]+)"', reply.text)
    assert sealed is not None
    done = somebody.post("/machines/import/run", sealed=sealed[1])
    assert done.status_code == 303
    assert "1 machine was registered" in somebody.get(done.headers["Location"]).text
    with api.read() as session:
        assert selectors.get(session, "n1").bmc is not None


def test_what_was_not_checked_is_not_imported(api: Api, somebody: Person) -> None:
    for sealed in ("", "AAAA", "no base64", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQQ=="):
        assert somebody.post("/machines/import/run", sealed=sealed).status_code == 422
    assert count(api) == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Choose a file, or paste its text."),
        ({"text": "name\nx", "form": "csv"}, "Line 1: "),
        ({"text": "[1", "form": "json"}, "Line 1: "),
        ({"text": "x", "form": "exe"}, "Its name ends in none of"),
        ({"file": (io.BytesIO(b"x"), "rack.exe")}, "Its name ends in none of"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_to_be_so(somebody: Person, fields: dict[str, object], said: str) -> None:
    reply = somebody.post("/machines/import", **{"form": "csv", **fields})
    assert reply.status_code == 422
    assert said in reply.text


def test_a_text_with_passwords_is_not_shown_again(somebody: Person) -> None:
    assert "geheim-42" not in somebody.post("/machines/import", text=GOOD.replace("n1", "N_1"), form="csv").text
