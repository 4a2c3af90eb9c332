"""Rollouts in the pages: planned with the waves beside the text, started, watched, steered."""

from __future__ import annotations

import html
import re

import pytest

from tests.api.conftest import Api
from tests.ui import rolling
from tests.ui.forms import Person, person
from tests.ui.rolling import PLAN, Rolling


@pytest.fixture
def somebody(api: Api) -> Person:
    rolling.fill(api.context.database)
    return person(api)


@pytest.fixture
def rolled(api: Api, somebody: Person) -> Rolling:
    """The runner over a rollout that has been started."""
    somebody.post("/rollouts", text=PLAN)
    reply = somebody.post("/rollouts/1/control/start", typed="9")
    assert reply.status_code == 303, reply.text
    return Rolling(api.context.database)


def text_of(page: str) -> str:
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def test_the_editor_begins_with_a_form_for_what_there_is(somebody: Person) -> None:
    for form in ("patch", "reinstall", "reboot", "run"):
        page = somebody.get(f"/rollouts/new?form={form}&role=compute")
        assert '{"role": "compute"}' in text_of(page.text)
    assert '{"cluster": "roll"}' in text_of(somebody.get("/rollouts/new").text)
    assert "order.max_unavailable" in somebody.get("/rollouts/new").text, "what can be written"


def test_the_plan_shows_waves_racks_limits_and_arithmetic(somebody: Person) -> None:
    plan = somebody.post("/rollouts/preview", text=PLAN).text
    assert "9 machines · 3 waves" in plan
    assert re.findall(r"<h3>([^<]+?) <span", plan) == ["the canary", "wave 1", "wave 2"]
    assert plan.count('href="/machines/roll-') == 9
    assert '<span class="dim">q1</span>' in plan
    assert "3 controllers" in plan
    assert "Then it waits until somebody says: go on." in plan
    assert "This is a guess" in plan


def test_what_would_be_patched_is_asked_for_by_a_button_where_something_would_be(somebody: Person) -> None:
    assert "/rollouts/packages" not in somebody.post("/rollouts/preview", text=PLAN).text
    patch = PLAN.replace("action: reboot", "action: {patch: {packages: all}}")
    assert "/rollouts/packages" in somebody.post("/rollouts/preview", text=patch).text
    asked = somebody.post("/rollouts/packages", text=patch).text
    assert "Could not be asked" in asked
    assert asked.count("<b>roll-") == 9
    assert "is no patch." in somebody.post("/rollouts/packages", text=PLAN).text


def test_what_would_be_refused_is_told_at_its_line_while_one_writes(somebody: Person) -> None:
    reply = somebody.post("/rollouts/preview", text=PLAN.replace("canary: 1", "canary: nine"))
    assert reply.status_code == 200, "htmx shows no errors"
    assert 'data-line="6">Line 6</a> <code>order.canary</code>' in reply.text
    unknown = somebody.post("/rollouts/preview", text=PLAN.replace("cluster: roll", "cluster: <b>"))
    assert "<b>" not in unknown.text.replace("<b>", "", unknown.text.count("<b>9"))
    assert "Keep this plan" not in unknown.text


def test_a_plan_that_cannot_be_kept_comes_back_as_it_was_written(somebody: Person) -> None:
    wrong = PLAN + "drain: magic\n"
    reply = somebody.post("/rollouts", text=wrong.replace("\n", "\r\n"))
    assert reply.status_code == 422
    assert text_of(reply.text) == wrong
    assert "<code>drain</code> is not a known field." in reply.text
    assert "Nothing has been rolled out yet." in somebody.get("/rollouts").text


def test_it_starts_only_when_somebody_typed_how_many_machines_it_is(somebody: Person) -> None:
    assert somebody.post("/rollouts", text=PLAN).headers["Location"] == "/rollouts/1"
    page = somebody.get("/rollouts/1").text
    assert "Planned: nothing has begun." in page
    assert "Type the number of machines to go on: 9" in page
    for typed in ("", "8", "nine"):
        reply = somebody.post("/rollouts/1/control/start", typed=typed)
        assert reply.status_code == 422
        assert "Type how many machines it is: 9." in reply.text
    assert somebody.post("/rollouts/1/control/start", typed=" 9 ").status_code == 303
    assert "pill running" in somebody.get("/rollouts/1/part").text
    assert somebody.post("/rollouts/1/control/fly").status_code == 404


def budget(page: str) -> str:
    found = re.search(r'<b class="tick">(\d+/\d+)</b>', page)
    assert found is not None
    return found[1]


def test_the_budget_moves_with_the_machines_and_says_who_is_down_for_what(somebody: Person, rolled: Rolling) -> None:
    assert budget(somebody.get("/rollouts/1/part").text) == "0/2"
    rolled.script.hangs.add(("roll-01", "drain"))
    rolled.turn(2)
    page = somebody.get("/rollouts/1/part").text
    assert budget(page) == "1/2"
    assert '<a href="/machines/roll-01">roll-01</a> <span class="dim">drain in rollout 1</span>' in page
    assert "3 instances are still on it." in page
    rolled.script.hangs.clear()
    rolled.turn(6)
    assert budget(somebody.get("/rollouts/1/part").text) == "0/2"


def test_it_pauses_after_the_canary_and_goes_on_when_told(somebody: Person, rolled: Rolling) -> None:
    rolled.turn(8)
    page = somebody.get("/rollouts/1").text
    assert "It goes on when somebody says so." in page
    assert "Go on with the next wave" in page
    assert "reboot-the-rack" in somebody.get("/overview").text.partition("Needs attention")[2].partition("Under way")[0]
    assert somebody.post("/rollouts/1/control/continue", wave="0").status_code == 303
    rolled.turn(30)
    assert "pill done" in somebody.get("/rollouts/1/part").text
    assert "9 of 9 machines" in somebody.get("/rollouts/part").text


def test_what_failed_is_shown_first_with_its_evidence_and_is_retried_or_skipped(
    somebody: Person, rolled: Rolling
) -> None:
    rolled.script.breaks.update({("roll-02", "verify"), ("roll-04", "verify")})
    rolled.turn(8)
    somebody.post("/rollouts/1/control/continue", wave="0")
    rolled.turn(12)
    page = somebody.get("/rollouts/1/part").text
    assert "roll-02, roll-04 failed, and 1 may in total." in page
    assert "It does not answer on ssh." in page.partition('id="hands"')[2].partition("</section>")[0]
    member = somebody.get("/rollouts/1/machines/roll-02").text
    assert "asked=3" in member
    assert "ssh: no" in member
    assert "Look at its console." in member
    assert "failed" in somebody.get("/machines/roll-02").text.partition('id="rolling"')[2].partition("</p>")[0]
    rolled.script.breaks.clear()
    assert somebody.post("/rollouts/1/members/retry", machine="roll-02", back="member").status_code == 303
    assert somebody.post("/rollouts/1/members/skip", machine="roll-04", shown="1").status_code == 303
    again = somebody.post("/rollouts/1/members/retry", machine="roll-04")
    assert again.status_code == 422
    assert "skipped" in again.text
    rolled.turn(6)
    assert "try 2" in somebody.get("/rollouts/1/machines/roll-02/part").text


def test_a_wave_is_skipped_and_the_whole_is_aborted_with_a_reason(somebody: Person, rolled: Rolling) -> None:
    assert somebody.post("/rollouts/1/members/skip", wave="2").status_code == 303
    page = somebody.get("/rollouts/1?wave=2").text
    assert page.count("pill skipped") == 4
    assert somebody.post("/rollouts/1/control/pause", reason="a <b>look</b>").status_code == 303
    assert "a &lt;b&gt;look&lt;/b&gt;" in somebody.get("/rollouts/1").text
    assert somebody.post("/rollouts/1/control/resume").status_code == 303
    assert somebody.post("/rollouts/1/control/abort", reason="enough").status_code == 303
    rolled.turn(4)
    page = somebody.get("/rollouts/1/part").text
    assert "pill aborted" in page
    assert "/control/" not in page, "nothing can be done with it any more"


def test_whoever_only_looks_sees_no_button(api: Api, somebody: Person, rolled: Rolling) -> None:
    viewer = api.of("viewer")
    page = viewer.ask("GET", "/rollouts/1").text
    assert "reboot-the-rack" in page
    assert "/rollouts/1/control/" not in page
    assert "/rollouts/1/members/" not in page
    assert viewer.ask("GET", "/rollouts/new").status_code == 403
    assert "/rollouts/new" not in viewer.ask("GET", "/rollouts").text
