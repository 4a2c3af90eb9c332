"""One machine by hand: each problem at its field, what was typed stays, and a password never does."""

from __future__ import annotations

import html
import re

import pytest

from pxeapp.accounts import service
from pxeapp.accounts.permissions import OPERATOR
from pxeapp.db import now
from pxeapp.machines import selectors
from tests.api.conftest import PASSWORD, Api
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


def test_a_project_is_set_in_the_form_shown_and_narrowed_by(api: Api, somebody: Person) -> None:
    somebody.post("/machines/new", name="n1", mac="52:54:00:00:07:01", project="web")
    somebody.post("/machines/new", name="n2", mac="52:54:00:00:07:02")
    assert "<dt>Project</dt><dd>web</dd>" in somebody.get("/machines/n1").text
    assert '<option value="web">' in somebody.get("/machines/new").text
    text = somebody.get("/machines?project=web&columns=name,project").text
    assert 'value="project=web"' in text
    assert re.findall(r'class="go" href="[^"]+">([^<]+)<', text) == ["n1"]
    assert somebody.post("/machines/n2/edit", **edited(somebody, "n2", project="db")).status_code == 303
    with api.read() as session:
        assert selectors.get(session, "n2").project == "db"
    wrong = somebody.post("/machines/n2/edit", **edited(somebody, "n2", project="a b"))
    assert (wrong.status_code, at_field(wrong.text)) == (422, ["project"])


def test_who_is_limited_to_projects_is_refused_another_at_the_field(api: Api, somebody: Person) -> None:
    with api.write() as session:
        service.create_user(
            session, name="eve", role=OPERATOR, password=PASSWORD, projects=["web"], actor="test", now=now()
        )
    somebody.post("/machines/new", name="n1", mac="52:54:00:00:07:01", project="web")
    somebody.post("/machines/new", name="n2", mac="52:54:00:00:07:02", project="db")
    eve = person(api, "eve")
    assert re.findall(r'<option value="([a-z]+)">', eve.get("/machines/new").text.partition("<datalist")[2])[0] == "web"
    for reply in (
        eve.post("/machines/new", name="n3", mac="52:54:00:00:07:03", project="db"),
        eve.post("/machines/n1/edit", **edited(eve, "n1", project="db")),
    ):
        assert (reply.status_code, at_field(reply.text)) == (422, ["project"])
        assert "&#39;db&#39; is not one of your projects. Choose from yours: web." in reply.text
        assert 'name="project" type="text" value="db"' in reply.text
    with api.read() as session:
        assert selectors.get(session, "n1").project == "web"


def at_field(text: str) -> list[str]:
    return re.findall(r'<input id="f-([a-z.]+)"[^>]*aria-invalid="true"', text)


def edited(somebody: Person, name: str, **typed: str) -> dict[str, str]:
    """What a browser sends of the form of a machine, with something typed over."""
    text = somebody.get(f"/machines/{name}/edit").text
    fields = dict(re.findall(r'<input id="[^"]+" name="([^"]+)"[^>]*? value="([^"]*)"', text))
    fields |= dict(re.findall(r'<textarea id="[^"]+" name="([^"]+)"[^>]*>([^<]*)</textarea>', text))
    fields["bmc.type"] = ""
    version = re.search(r'name="version" value="(\d+)"', text)
    assert version is not None
    return {**{key: html.unescape(value) for key, value in fields.items()}, "version": version[1], **typed}
