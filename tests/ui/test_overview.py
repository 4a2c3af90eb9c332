"""The first pages as HTML: the overview, the racks, what was seen, and the form that adopts it."""

from __future__ import annotations

import datetime as dt
import re
from http import HTTPStatus

import pytest
from flask.testing import FlaskClient

from pxeapp.db import now
from pxeapp.machines import selectors, sightings
from pxeapp.provisioning.models import Deployment
from tests.api.conftest import PASSWORD, Api
from tests.ui import rack
from tests.ui.test_sign_in import csrf, sign_in

STRANGER = "52:54:00:aa:00:01"


@pytest.fixture
def pages(api: Api) -> FlaskClient:
    """Somebody signed in to the filled rack."""
    rack.fill(api.context.database, api.context.vault, now=now())
    client = api.app.test_client()
    sign_in(client)
    return client


def test_the_overview_begins_with_what_needs_somebody(api: Api, pages: FlaskClient) -> None:
    text = pages.get("/").text
    parts = [text.index(title) for title in ("Needs attention", "Under way", "Capacity by role", "Recent events")]
    assert parts == sorted(parts)
    attention = text[parts[0] : parts[1]]
    assert "it fetched no boot loader" in attention
    assert STRANGER in attention
    assert "new-01" in attention, "its BMC does not answer"
    assert "compute-01" not in attention
    assert "Installing packages: 212 of 438" in text[parts[1] : parts[2]]
    row = re.search(r">compute</a></th>(.*?)</tr>", text, re.DOTALL)
    assert row
    assert re.findall(r">(\d+)<", row[1]) == ["4", "3", "0", "1", "0", "0"], "all, active, available, under way, failed"
    assert "does not seem to run" not in text
    with api.write() as session:
        late = session.query(Deployment).filter_by(outcome=None).first()
        late.step_deadline = now() - dt.timedelta(minutes=5)
    text = pages.get("/overview").text
    assert "does not seem to run" in text
    assert "stuck" in text


def test_when_all_is_well_it_says_so(api: Api) -> None:
    client = api.app.test_client()
    sign_in(client)
    text = client.get("/").text
    assert "Nothing failed, every BMC answers, and nobody unknown was seen." in text
    assert "pxeapp machine import" in text


def test_a_rack_is_drawn_and_told_as_a_table(api: Api, pages: FlaskClient) -> None:
    with api.write() as session:
        selectors.get(session, "spare-01").location = {"rack": "r1", "unit": 1}
        selectors.get(session, "spare-02").location = {}
        selectors.get(session, "new-01").location = {"rack": "r2", "unit": "by the door"}
    text = pages.get("/racks").text
    assert re.search(r'class="box deploy-failed" id="k-1-\d+" href="/machines/storage-02"', text)
    assert "compute-01, spare-01 are said to stand in the same place." in text
    assert re.search(r'<td>r1</td><td class="mono">U6</td><th scope="row"><a href="/machines/storage-02">', text)
    assert re.search(r"In this rack, in no known unit:.*new-01", text)
    assert re.search(r"Without a rack.*spare-02", text, re.DOTALL)
    alone = pages.get("/racks?rack=r2").text
    assert ">new-01</a>" in alone
    assert "compute-01" not in alone
    assert pages.get("/racks?rack=nowhere%00&after=r1").status_code == HTTPStatus.OK


def test_what_was_seen_is_adopted_from_its_page(api: Api, pages: FlaskClient) -> None:
    assert STRANGER in pages.get("/sightings").text
    assert STRANGER in pages.get("/sightings?search=example").text
    assert STRANGER not in pages.get("/sightings?search=nothing-like-it").text
    form = pages.get(f"/sightings/adopt?mac={STRANGER}").text
    assert f'name="name.{STRANGER}"' in form
    said = {
        "csrf": csrf(pages), "mac": STRANGER, f"name.{STRANGER}": "rack-new", f"unit.{STRANGER}": "12", "rack": "r9",
        f"bmc_address.{STRANGER}": "10.0.9.77", "bmc_type": "ipmi", "bmc_username": "root",
        "bmc_password": "s3cret-word", "role": "compute",
    }  # fmt: skip
    reply = pages.post("/sightings/adopt", data=said)
    assert reply.status_code == HTTPStatus.SEE_OTHER, reply.text
    with api.read() as session:
        row = selectors.get(session, "rack-new")
        assert (row.mac, row.role, row.location) == (STRANGER, "compute", {"rack": "r9", "unit": 12})
        assert row.bmc is not None
        assert (row.bmc.address, api.context.vault.decrypt(row.bmc.password_encrypted)) == ("10.0.9.77", "s3cret-word")
    assert STRANGER not in pages.get("/sightings").text


def test_a_form_that_is_wrong_comes_back_with_all_that_was_typed_but_no_secret(api: Api, pages: FlaskClient) -> None:
    other = "52:54:00:aa:00:02"
    with api.write() as session:
        sightings.record(session, mac=other, now=now())
    said = {
        "csrf": csrf(pages), "mac": [STRANGER, other], f"name.{STRANGER}": "fine-name", f"name.{other}": "Not A Name",
        "rack": "r9", "bmc_type": "ipmi", "bmc_password": "s3cret-word", f"address.{other}": "10.300.0.1",
    }  # fmt: skip
    reply = pages.post("/sightings/adopt", data=said)
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    field = re.search(r'<input id="name-525400aa0002"[^>]*>', reply.text)
    assert field
    assert 'value="Not A Name"' in field[0]
    assert 'aria-invalid="true" aria-describedby="name-525400aa0002-error"' in field[0]
    assert 'id="address-525400aa0002-error"' in reply.text
    assert 'value="fine-name"' in reply.text
    assert 'value="r9"' in reply.text
    assert "s3cret-word" not in reply.text
    with api.read() as session:
        assert [row.name for row in selectors.page(session, selectors.Filter(search="fine-name"))[0]] == []


def test_whom_a_viewer_sees_they_cannot_adopt(api: Api, pages: FlaskClient) -> None:
    said = {"name": "eve", "role": "viewer", "password": PASSWORD}
    assert api.of("admin").post("/users", json=said).status_code == HTTPStatus.CREATED
    client = api.app.test_client()
    sign_in(client, "eve")
    assert "Adopt the ticked ones" not in client.get("/sightings").text
    assert client.get(f"/sightings/adopt?mac={STRANGER}").status_code == HTTPStatus.FORBIDDEN
