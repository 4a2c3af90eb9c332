"""The page of variables lists exactly those that there are."""

from __future__ import annotations

import json
import os
import re

from pxeapp.answers.variables import BUILTIN
from pxeapp.answers.variables.schema import KEYS, SCOPES, TYPES
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "variables.md"
PLACE = re.compile(r"(<!-- begin: built-in variables .*?-->\n).*?(<!-- end -->)", re.DOTALL)


def _table() -> str:
    rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, about in sorted(BUILTIN.items()):
        kind = f"{about.type}, secret" if about.secret else about.type
        default = "" if about.default is None else f"`{json.dumps(about.default)}`"
        meaning = about.help.replace("|", "\\|")
        rows.append(f"| `{name}` | {kind} | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


def test_the_page_lists_every_built_in_variable_as_it_is() -> None:
    text = PAGE.read_text()
    wanted = PLACE.sub(lambda found: f"{found[1]}{_table()}{found[2]}", text)
    if os.environ.get("PXEAPP_GOLDEN"):
        PAGE.write_text(wanted)
    assert text == wanted or os.environ.get("PXEAPP_GOLDEN"), "run: make golden"


def test_the_page_explains_every_key_type_and_scope_of_a_declaration() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE.read_text()))
    assert named >= KEYS
    assert set(TYPES) <= named
    assert set(SCOPES) <= named
