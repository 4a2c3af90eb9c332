"""Templates in the pages: checked, previewed, compared, saved, and gone back on."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from pxeapp import templates
from tests.api.conftest import Api, Asker
from tests.ui.forms import Person, person

PATH = "preseeds/base.cfg"
OURS = (templates.data_root() / PATH).read_text()
EDIT = f"/templates/edit/{PATH}"


@pytest.fixture
def somebody(api: Api) -> Person:
    return person(api)


def own(api: Api) -> Path:
    return api.context.settings.templates_dir / PATH


def text_of(page: str) -> str:
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def test_all_are_listed_and_ours_is_shown_as_it_is(somebody: Person) -> None:
    assert "base.cfg" in somebody.get("/templates").text
    assert text_of(somebody.get(EDIT).text) == OURS
    assert "The site has no template of its own." in somebody.get("/templates?whose=site").text


def test_what_cannot_be_parsed_is_refused_with_its_line_and_stays_in_the_editor(api: Api, somebody: Person) -> None:
    for action in ("check", "save", "difference"):
        reply = somebody.post(EDIT, do=action, text=OURS + "{{ oops")
        assert reply.status_code == 422
        assert "preseeds/base.cfg, line" in reply.text
        assert text_of(reply.text).endswith("{{ oops")
    assert not own(api).exists()


def test_a_preview_and_the_difference_say_what_would_come_of_it_and_write_nothing(
    api: Api, somebody: Person, machine: dict[str, object]
) -> None:
    changed = OURS.replace("{% block site %}", "{% block site %}\n# a line of our site\n")
    preview = somebody.post(EDIT, do="preview", machine="node1", text=changed).text
    assert preview.count("# a line of our site") >= 2, "in the editor, and in what node1 would be given"
    difference = somebody.post(EDIT, do="difference", text=changed).text
    assert "1 of 1 machines would be given something else." in difference
    assert '<span class="comes">+# a line of our site</span>' in difference
    assert "There is no machine" in somebody.post(EDIT, do="preview", machine="nobody", text=changed).text
    assert not own(api).exists()


def test_a_saved_template_counts_has_an_author_and_can_be_gone_back_on(api: Api, somebody: Person) -> None:
    assert somebody.post(EDIT, do="save", text="one\r\n", comment="A first try").status_code == 303
    somebody.post(EDIT, do="save", text="two\n")
    assert own(api).read_text() == "two\n"
    page = somebody.get(EDIT).text
    assert "A first try" in page
    assert "<td>admin</td>" in page
    assert text_of(somebody.get(f"{EDIT}?version=1").text) == "one\n"
    somebody.post(f"/templates/rollback/{PATH}", version="1")
    assert own(api).read_text() == "one\n"
    somebody.post(f"/templates/delete/{PATH}")
    assert not own(api).exists()
    assert text_of(somebody.get(EDIT).text) == OURS


def test_only_an_admin_changes_them(api: Api) -> None:
    reader: Asker = api.of("operator")
    assert reader.ask("POST", EDIT, data={"do": "check", "text": "x"}).status_code == 403
    assert reader.ask("GET", EDIT).status_code == 200
    assert api.of("viewer").ask("GET", EDIT).status_code == 403
