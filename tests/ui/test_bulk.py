"""What is done with many machines: shown before it happens, the number typed by hand, each one reported."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from pxeapp.db import now
from pxeapp.jobs.models import Job, JobItem
from pxeapp.ui.bulk import CHOICES
from tests.api.conftest import Api
from tests.ui import rack
from tests.ui.forms import Person, person


@pytest.fixture
def somebody(api: Api) -> Person:
    rack.fill(api.context.database, api.context.vault, now=now())
    return person(api)


def jobs(api: Api) -> list[Job]:
    with api.read() as session:
        return list(session.scalars(select(Job)))


def test_it_says_how_far_it_reaches_before_anything_is_done(api: Api, somebody: Person) -> None:
    text = somebody.post("/machines/bulk", do="reinstall", scope="filter", q="role=compute").text
    assert "Reinstall (erases their disks): 4 machines" in text
    assert "3 of them are active" in text
    assert re.search(r"<b>1</b> <span class=\"pill deploying\">", text)
    assert jobs(api) == []


def test_it_is_ordered_once_the_number_is_typed(api: Api, somebody: Person) -> None:
    asked = {"do": "lock", "scope": "filter", "q": "role=compute", "expect": "4"}
    wrong = somebody.post("/machines/bulk/order", **asked, typed="3")
    assert wrong.status_code == 422
    assert "Type how many machines it is: 4." in wrong.text
    assert jobs(api) == []
    done = somebody.post("/machines/bulk/order", **asked, typed=" 4 ")
    assert (done.status_code, done.headers["Location"]) == (303, "/jobs/1")
    page = somebody.get("/jobs/1").text
    assert "Lock: 4 machines" in page
    assert len(re.findall(r'<tr id="i-\d+">', page)) == 4
    assert somebody.get("/jobs/1/table").status_code == 200


def test_if_the_filter_finds_others_by_now_nothing_is_done(api: Api, somebody: Person) -> None:
    reply = somebody.post("/machines/bulk/order", do="lock", scope="filter", q="role=storage", expect="2", typed="2")
    assert reply.status_code == 422
    assert "This would touch 3 machines, 0 of them active, not 2; nothing was changed." in reply.text
    assert jobs(api) == []


def test_those_that_were_selected_and_no_other(api: Api, somebody: Person) -> None:
    chosen = ["compute-01", "spare-01"]
    text = somebody.post("/machines/bulk", do="label", scope="selected", machine=chosen).text
    assert re.findall(r'name="machine" value="([^"]+)"', text) == chosen
    somebody.post(
        "/machines/bulk/order",
        do="label",
        scope="selected",
        machine=chosen,
        expect="2",
        typed="2",
        set="row=b\nside = left",
    )
    with api.read() as session:
        assert list(session.scalars(select(JobItem.machine))) == chosen
        assert session.scalars(select(Job)).one().options == {"set": {"row": "b", "side": "left"}}
    somebody.post("/jobs/1/cancel")
    page = somebody.get("/jobs/1").text
    assert "Finished." in page
    assert somebody.get("/jobs/1/table").status_code == 286, "who looks on is told to ask no more"


def test_nothing_selected_is_said_and_a_wrong_option_is_kept_with_its_reason(somebody: Person) -> None:
    assert "are not chosen." in somebody.post("/machines/bulk", do="lock", scope="selected").text
    reply = somebody.post(
        "/machines/bulk/order", do="label", scope="selected", machine=["spare-01"], expect="1", typed="1", set="=x"
    )
    assert reply.status_code == 422
    assert "is not a label." in reply.text
    assert ">=x</textarea>" in reply.text


@pytest.mark.parametrize("key", CHOICES)
def test_every_choice_can_be_looked_at(somebody: Person, key: str) -> None:
    reply = somebody.post("/machines/bulk", do=key, scope="selected", machine=["spare-01"])
    assert reply.status_code == 200
    assert f'name="do" value="{key}"' in reply.text
