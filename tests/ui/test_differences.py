"""The difference for more machines than a page has time for: its progress, and then in its place what was found."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from pxeapp import templates
from pxeapp.provisioning import comparing
from tests.api.conftest import Api
from tests.ui.forms import Person, person

PATH = "preseeds/base.cfg"
TEXT = (templates.data_root() / PATH).read_text() + "# a line of our site\n"


@pytest.fixture
def somebody(api: Api, machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Person:
    """One machine is too many here."""
    monkeypatch.setattr(comparing, "AT_ONCE", 0)
    return person(api)


def compare(api: Api) -> None:
    own = api.context
    assert comparing.Comparer(comparing.Hands(own.database, own.vault, own.checker), "here").look()


def test_a_template_stays_in_the_editor_while_all_machines_are_looked_at(api: Api, somebody: Person) -> None:
    page = somebody.post(f"/templates/edit/{PATH}", do="difference", text=TEXT)
    assert page.status_code == 200
    assert 'hx-get="/jobs/1/difference"' in page.text
    assert "# a line of our site" in html.unescape(page.text)
    going = somebody.get("/jobs/1/difference")
    assert going.status_code == 200
    assert "0 of 1 machines were looked at." in going.text
    compare(api)
    done = somebody.get("/jobs/1/difference")
    assert done.status_code == 286, "htmx asks no more"
    assert '<span class="comes">+# a line of our site</span>' in done.text
    assert "1 of 1 machines would be given something else." in done.text


def test_a_role_is_compared_in_the_same_way_and_the_jobs_page_shows_it_too(api: Api, somebody: Person) -> None:
    page = somebody.get("/catalogue/roles/compute").text
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert found is not None
    text = html.unescape(found[1]).replace("debian:\n", "debian:\n  - htop\n", 1)
    page = somebody.post("/catalogue/roles/compute", do="difference", text=text).text
    assert 'hx-get="/jobs/1/difference"' in page
    assert "0 of 1" in somebody.get("/jobs/1").text
    compare(api)
    whole = somebody.get("/jobs/1").text
    assert "Difference for all machines: 1 machine" in whole
    assert "htop" in whole
    assert "By outcome" not in whole


def test_one_that_was_stopped_or_failed_says_so(api: Api, somebody: Person) -> None:
    somebody.post(f"/templates/edit/{PATH}", do="difference", text=TEXT)
    assert somebody.post("/jobs/1/cancel").status_code == 303
    stopped = somebody.get("/jobs/1/difference")
    assert (stopped.status_code, "It was cancelled." in stopped.text) == (286, True)
    assert somebody.get("/jobs/1").status_code == 200


def test_what_cannot_be_compared_is_said_at_once(somebody: Person) -> None:
    page = somebody.post(f"/templates/edit/{PATH}", do="difference", text="{{ oops")
    assert page.status_code == 422
    assert somebody.get("/jobs/1").status_code == 404


def test_who_may_not_know_what_was_found_sees_only_how_it_went(api: Api, somebody: Person) -> None:
    somebody.post(f"/templates/edit/{PATH}", do="difference", text=TEXT)
    compare(api)
    viewer = api.of("viewer")
    assert viewer.ask("GET", "/jobs/1/difference").status_code == 403
    page = viewer.ask("GET", "/jobs/1")
    assert page.status_code == 200
    assert "a line of our site" not in page.text
    assert api.of("operator").ask("GET", "/jobs/1/difference").status_code == 403
