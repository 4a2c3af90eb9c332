"""The pages' two languages: what a visitor reads, how moments and numbers are written, and what is kept of a choice.

A word that a page shows goes through `_("... %(name)s", name=value)`: in templates as in pages. Its Chinese stands in
`web/translations/zh/PART.po`, one file per part. What is only marked in a table, and translated where it is shown, is
written `N_("...")`. What another capability wrote in English (a fault, a reason) goes through `said`, which knows whole
sentences and sentences with holes. `tests/ui/test_translations.py` fails for a word without its Chinese.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from pathlib import Path
from typing import Any

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from flask import g, has_request_context, request
from markupsafe import Markup

from pxeapp import templates
from pxeapp.ui.sentence_forms import Forms

LANGUAGES = {"en": "English", "zh": "中文"}
DEFAULT = "en"
COOKIE = "pxeapp_language"
# What a browser is told, and what Babel calls it.
TAGS = {"en": "en", "zh": "zh-Hans"}
LOCALES = {"en": Locale.parse("en"), "zh": Locale.parse("zh_Hans_CN")}
_BETWEEN = re.compile(r"(?<=[.?!]) (?=[A-Z`])")  # two sentences, one after the other
_SPAN = re.compile(r"([0-9.]+) (d|h|min|s)")  # as sentences hold it

Words = dict[str, str | tuple[str, ...]]


def language() -> str:
    """The language of this visitor: what they chose, or else what their browser prefers."""
    if not has_request_context():
        return DEFAULT
    found: str | None = g.get("language")  # a list of a hundred machines asks a thousand times
    if found is None:
        chosen = request.cookies.get(COOKIE, "")
        found = g.language = chosen if chosen in LANGUAGES else _preferred()
    return found


def _preferred() -> str:
    """Of the languages that a browser names, the first that we have; whatever Chinese it is, ours is nearest."""
    for tag, quality in request.accept_languages:
        plain = tag.lower().split("-")[0]
        if plain in LANGUAGES and quality > 0:
            return plain
    return DEFAULT


def _(message: str, /, **values: Any) -> str:
    """A message in the visitor's language, with its values in it. Always a format: a plain percent sign is `%%`."""
    found = words(language()).get(message, message)
    return (found if isinstance(found, str) else found[0]) % values


def ngettext(one: str, many: str, number: int, /, **values: Any) -> str:
    """The same for a number of things; `%(num)s` is the number."""
    values.setdefault("num", number)
    found = words(language()).get(one)
    if isinstance(found, tuple):
        return found[0 if len(found) == 1 or number == 1 else 1] % values
    return (found or (one if number == 1 else many)) % values


def N_(message: str) -> str:  # noqa: N802 - gettext's own name
    """Marks a message of a table, which is translated where it is shown."""
    return message


def said(sentence: str | None) -> str:
    """A sentence that another capability wrote, in the visitor's language if its form is known; or as it stands."""
    if not sentence:
        return ""
    known = words(language())
    found = known.get(sentence)
    if isinstance(found, str):
        return found.replace("%%", "%")
    if span := _SPAN.fullmatch(sentence):
        return f"{span[1]} {_(span[2])}"
    parts = _BETWEEN.split(sentence)
    whole = ""
    for form in _forms(language()).of(sentence):
        if (held := form.read(sentence)) is not None:
            whole = form.translated % {name: said(value) for name, value in held.items()}
            if len(parts) == 1 or not any(_BETWEEN.search(value) for value in held.values()):
                return whole
            break  # it would hold the end of one sentence and the beginning of another: perhaps they are two
    each = [said(part) for part in parts] if len(parts) > 1 else parts
    return " ".join(each) if each != parts else whole or sentence


def moment(at: dt.datetime | None) -> str:
    """A moment to the second, in UTC, as the visitor's language writes it."""
    if at is None:
        return _("never")
    written = format_datetime(at, "yyyy-MM-dd HH:mm:ss", tzinfo=dt.UTC, locale=LOCALES[language()])
    return f"{written} UTC"


def day(at: dt.date | None) -> str:
    """A day as people say it: Nov 25, 2026 or 2026年11月25日."""
    return format_date(at, "medium", locale=LOCALES[language()]) if at else _("never")


def number(value: float) -> str:
    """A number with its separators: 10,000."""
    return format_decimal(value, locale=LOCALES[language()])


def percent(part: float) -> str:
    """A part of one, as a percentage: 98.5%."""
    return format_percent(part, "#,##0.#%", locale=LOCALES[language()])


@functools.cache
def words(of: str) -> Words:
    """Everything that has been translated into a language; read once."""
    found: Words = {}
    for file in sorted(folder(of).glob("*.po")):
        with file.open("rb") as source:
            for message in read_po(source, locale="zh" if of == "zh" else of):
                if message.id and message.string and not message.fuzzy:
                    key = message.id if isinstance(message.id, str) else message.id[0]
                    text = message.string
                    found[key] = text if isinstance(text, str) else tuple(text)
    return found


def folder(of: str) -> Path:
    """Where the catalogues of a language lie."""
    return templates.data_root() / "web" / "translations" / of


@functools.cache
def _forms(of: str) -> Forms:
    return Forms((message, text) for message, text in words(of).items() if isinstance(text, str))


def spoken(value: str | Markup) -> str:
    """A word of a table (a state, a step, a role of an account), in the visitor's language."""
    found = words(language()).get(str(value), str(value))
    return found if isinstance(found, str) else found[0]
