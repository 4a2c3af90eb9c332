"""Both languages are complete: every word that a page shows has its Chinese, with the same holes in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask import Flask

from pxeapp import templates
from pxeapp.accounts.permissions import ROLES
from pxeapp.machines.lifecycle import State
from pxeapp.provisioning import causes
from pxeapp.provisioning.explain import EXPECTED
from pxeapp.provisioning.steps import Step
from pxeapp.rollouts import described
from pxeapp.ui import language
from tests.ui import sentences

WEB = templates.data_root() / "web"
CODE = Path(language.__file__).parent
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2)}
HOLES = re.compile(r"%\((\w+)\)s")
CATALOGUES = sorted(language.folder("zh").glob("*.po"))


def _extracted() -> Iterator[tuple[str, str | tuple[str, ...]]]:
    """Each message with the place it stands at."""
    jinja = {"encoding": "utf-8", "silent": "false", "trimmed": "true"}
    found = [(WEB / "templates", "jinja2.ext:babel_extract", "**.html"), (CODE, "python", "**.py")]
    for folder, method, pattern in found:
        for file, line, message, _comments, _context in extract_from_dir(
            folder, [(pattern, method)], {pattern: jinja}, keywords=KEYWORDS
        ):
            yield f"{folder.name}/{file}:{line}", message


EXTRACTED = list(_extracted())


def test_there_is_something_to_translate() -> None:
    messages = {message for _place, message in EXTRACTED}
    assert {"Overview", "Skip to content", "%(count)s min ago"} <= messages


def test_every_word_of_a_page_has_its_chinese() -> None:
    known = language.words("zh")
    missing = {}
    for place, message in EXTRACTED:
        key = message if isinstance(message, str) else message[0]
        if key not in known:
            missing.setdefault(key, place)
    said = "\n".join(f'  {place}\n    msgid "{key}"' for key, place in missing.items())
    assert not missing, f"add to a file in web/translations/zh:\n{said}"


@pytest.mark.parametrize("words", [list(State), list(ROLES), list(EXPECTED.values()), ["on", "off", "unknown"],
                                   [each.replace("_", " ") for each in Step]])  # fmt: skip
def test_every_word_of_our_tables_has_its_chinese(words: list[str]) -> None:
    assert [word for word in words if str(word) not in language.words("zh")] == []


@pytest.mark.parametrize("file", CATALOGUES, ids=lambda file: file.name)
def test_a_translation_has_the_holes_of_its_message(file: Path) -> None:
    catalogue = read_po(BytesIO(file.read_bytes()), locale="zh")
    for message in catalogue:
        if not message.id:
            continue
        ids = (message.id,) if isinstance(message.id, str) else message.id
        texts = (message.string,) if isinstance(message.string, str) else message.string
        assert all(texts), f"{file.name}: {ids[0]!r} is not translated"
        for text in texts:
            assert set(HOLES.findall(text)) <= set(HOLES.findall(ids[-1])), f"{file.name}: {ids[0]!r}"
            if HOLES.search(ids[-1]) or not file.name.startswith("said_"):  # what is said whole is no format
                text % dict.fromkeys(HOLES.findall(ids[-1]), "x")


BARE = re.compile(r">([^<>]*[a-z]{3,}[^<>]*)<|(?:aria-label|title|alt)=\"([^\"]*[a-z]{3,}[^\"]*)\"")
ENGLISH = re.compile(r"\b(the|that|of|with|is)\b")
CODE_OR_NAME = re.compile(r"(pxeapp|POST|label|location|aria|OpenID)\b")  # what is typed, and our own name


def test_no_template_shows_a_word_past_the_languages() -> None:
    bare = []
    for file in sorted((WEB / "templates").rglob("*.html")):
        plain = re.sub(r"(?s)\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", file.read_text())
        words = [(first or second).strip(" \n·") for first, second in BARE.findall(plain)]
        bare += [
            f"{file.name}: {each}" for each in words if re.search("[a-z]{3}", each) and not CODE_OR_NAME.match(each)
        ]
    assert bare == []


def test_every_field_of_a_plan_has_its_meaning_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "language", lambda: "zh")
    meanings = {each.meaning for each in described.fields()}
    assert sorted(each for each in meanings if ENGLISH.search(language.said(each))) == []


def test_every_sentence_of_ours_has_its_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever part of the appliance says it: a fault, a fix, what goes on, why something is refused."""
    monkeypatch.setattr(language, "language", lambda: "zh")
    missing = {}
    for place, message in sentences.all_of():
        filled = HOLES.sub("x1", message).replace("%%", "%")
        if message not in language.words("zh") and language.said(filled) == filled:
            missing.setdefault(message, place)
    listed = "\n".join(f'  {place}\n    msgid "{message}"' for message, place in missing.items())
    assert not missing, f"add to a file said_PART.po in web/translations/zh:\n{listed}"


def test_a_sentence_that_was_filled_in_elsewhere_is_found_by_its_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "language", lambda: "zh")
    assert language.said("No answer from 10.0.9.7:623 after 60 s.") == "10.0.9.7:623 在 60 秒内没有应答。"
    assert language.said("Armed: it may netboot for 30 min.") == "已就绪：在 30 分内可以网络启动。"
    both = "It cannot be reached by ssh. Its boot id is known."
    assert language.said(both) == " ".join(map(language.said, both.replace(". ", ".|").split("|"))) != both
    assert language.said("Nobody ever translated this.") == "Nobody ever translated this."
    assert language.said(None) == ""


def test_why_a_machine_stands_still_is_said_in_chinese() -> None:
    known = language.words("zh")
    told = [each for group in (*causes.CAUSES.values(), causes.GENERIC) for each in group]
    assert [text for each in told for text in (each.cause, each.attempt) if text not in known] == []
    with Flask("pages").test_request_context(headers={"Accept-Language": "zh"}):
        said = language.said("Attempt 1 of node1 failed: Its BMC says that it is off.")
    assert said == "node1 的第 1 次尝试失败：其 BMC 称它处于关机状态。"
