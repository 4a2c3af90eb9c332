"""The list of machines: one query, columns of one's choice, saved filters, and the same as a file."""

from __future__ import annotations

import csv
import io
import re

import pytest

from pxeapp.db import now
from pxeapp.machines import selectors
from tests.api.conftest import Api
from tests.ui import rack
from tests.ui.forms import Person, person


@pytest.fixture
def somebody(api: Api) -> Person:
    """Signed in to the filled rack."""
    rack.fill(api.context.database, api.context.vault, now=now())
    return person(api)


def listed(text: str) -> list[str]:
    return re.findall(r'class="go" href="[^"]+">([^<]+)<', text)


def test_a_query_narrows_and_each_of_its_words_can_be_taken_out(somebody: Person) -> None:
    text = somebody.get("/machines?q=role%3Dcompute+-state%3Dactive").text
    assert listed(text) == ["compute-04"]
    assert "1 machine of 10" in text
    chips = re.findall(r"<li><code>([^<]+)</code><a href=\"([^\"]+)\"", text)
    assert [word for word, _ in chips] == ["role=compute", "-state=active"]
    assert chips[0][1].endswith("q=-state%3Dactive")


def test_the_fields_of_the_form_become_words_of_the_query(somebody: Person) -> None:
    text = somebody.get("/machines?q=power%3Don&role=storage&state=deploy+failed&label=").text
    assert 'value="state=&#34;deploy failed&#34; role=storage power=on"' in text
    assert listed(text) == ["storage-02"]


def test_a_query_that_is_not_understood_stays_as_it_was_typed_with_what_is_wrong(somebody: Person) -> None:
    text = somebody.get("/machines?q=colour%3Dred").text
    assert 'value="colour=red"' in text
    assert re.search(r'aria-invalid="true" aria-describedby="q-error"', text)
    assert "colour is not known." in text
    assert listed(text) == []
    assert somebody.get("/machines-table?q=colour%3Dred").status_code == 200


def test_a_head_sorts_and_turns_round(somebody: Person) -> None:
    first = somebody.get("/machines?sort=role").text
    names = listed(first)
    assert names[:4] == ["compute-01", "compute-02", "compute-03", "compute-04"]
    assert names[-3:] == ["new-01", "spare-01", "spare-02"], "those without a role stand last"
    assert 'aria-sort="ascending"' in first
    assert "sort=-role" in first
    assert listed(somebody.get("/machines?sort=role&after=x").text), "an old address shows the beginning"


def test_the_columns_are_kept_for_each_user(api: Api, somebody: Person) -> None:
    somebody.post("/machines/columns", column=["mac", "bmc.address", "doing", "nonsense"], labels="rack, ")
    heads = re.findall(r'class="c-([a-z-]+)"', somebody.get("/machines").text)
    assert heads == ["name", "mac", "bmc-address", "doing", "labels-rack"]
    text = somebody.get("/machines?q=name%3Dspare-01").text
    assert "10.0.9.8" in text
    assert ">r2</td>" in text
    assert re.findall(r'class="c-([a-z-]+)"', person(api).get("/machines?columns=state").text) == ["name", "state"]


def test_a_filter_is_saved_shared_and_forgotten(somebody: Person) -> None:
    assert somebody.post("/machines/filters", name="Broken", q="state=failed", sort="-updated").status_code == 303
    somebody.post("/machines/filters", name="Broken", q="state=failed role=storage", shared="1")
    text = somebody.get("/machines").text
    assert re.findall(r'class="kept"><a href="([^"]+)"', text) == [
        "/machines?q=state%3Dfailed&amp;sort=-updated", "/machines?q=state%3Dfailed+role%3Dstorage",
    ]  # fmt: skip
    somebody.post("/machines/filters/delete", name="Broken", shared="1")
    assert len(re.findall('class="kept"', somebody.get("/machines").text)) == 1


def test_a_name_that_cannot_be_is_refused_at_its_field_and_stays(somebody: Person) -> None:
    reply = somebody.post("/machines/filters", name="a/b", q="state=failed")
    assert reply.status_code == 422
    assert re.search(r'name="name"[^>]*value="a/b" aria-invalid="true" aria-describedby="save-error"', reply.text)


def test_the_list_is_a_file_in_which_nothing_is_run_as_a_formula(api: Api, somebody: Person) -> None:
    with api.write() as session:
        selectors.get(session, "spare-01").labels = {"note": "=HYPERLINK(1)"}
    reply = somebody.get("/machines.csv?q=name%3Dspare*&columns=name,mac,labels.note,doing&sort=-name")
    assert reply.mimetype == "text/csv"
    assert list(csv.reader(io.StringIO(reply.text))) == [
        ["name", "mac", "labels.note"],
        ["spare-02", "52:54:00:00:01:09", ""],
        ["spare-01", "52:54:00:00:01:08", "'=HYPERLINK(1)"],
    ]


def test_what_somebody_typed_into_filters_and_labels_is_never_markup(api: Api, somebody: Person) -> None:
    evil = '"><script>alert(1)</script>'
    with api.write() as session:
        row = selectors.get(session, "spare-01")
        row.labels, row.location = {"x": evil}, {"rack": evil}
    somebody.post("/machines/filters", name="<script>alert(1)<script>"[:60].replace("/", ""), q='"<script>"')
    for path in (
        f"/machines?q={evil}",
        f"/machines?search={evil}&rack={evil}",
        "/machines?columns=labels.x,all_labels,location.rack",
    ):
        assert "<script>alert" not in somebody.get(path).text
