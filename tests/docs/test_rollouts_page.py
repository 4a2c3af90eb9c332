"""docs/rollouts.md: its table of fields is the code's, its examples are understood, its steps and rules are real."""

from __future__ import annotations

import os
import re

import pytest

from pxeapp.machines import query
from pxeapp.rollouts import text
from pxeapp.rollouts.course import STEPS
from pxeapp.rollouts.described import fields
from pxeapp.rollouts.invariants import BUILTIN
from tests.docs import pages

PAGE = pages.ROOT / "docs" / "rollouts.md"
PLACE = re.compile(r"(<!-- begin: fields .*?-->\n).*?(<!-- end -->)", re.DOTALL)
EXAMPLES = re.findall(r"```yaml\n(.*?)```", re.sub(r"^   ", "", PAGE.read_text(), flags=re.MULTILINE), re.DOTALL)


def _table() -> str:
    rows = ["| field | left out | meaning |", "|---|---|---|"]
    for each in fields():
        default = "needed" if each.needed else f"`{each.default}`" if each.default else ""
        meaning = each.meaning.replace("|", "\\|")
        rows.append(f"| `{each.path}` | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


def test_the_page_lists_every_field_as_it_is() -> None:
    written = PAGE.read_text()
    wanted = PLACE.sub(lambda found: f"{found[1]}{_table()}{found[2]}", written)
    if os.environ.get("PXEAPP_GOLDEN"):
        PAGE.write_text(wanted)
    assert written == wanted or os.environ.get("PXEAPP_GOLDEN"), "run: make golden"


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_understood(example: str) -> None:
    spec = text.read(example).spec
    if spec.machines.q:
        query.parse(spec.machines.q)


def test_there_are_examples_of_every_action() -> None:
    assert {text.read(each).spec.action.kind for each in EXAMPLES} >= {"patch", "reinstall", "run"}


def test_the_steps_of_every_action_are_told() -> None:
    said = dict(re.findall(r"^\| `(\w+)` \| (drain, [^|]+) \|$", PAGE.read_text(), re.MULTILINE))
    assert said == {action: ", ".join(steps) for action, steps in STEPS.items()}


def test_every_built_in_rule_is_told_with_its_role() -> None:
    said = dict(re.findall(r"^\| `([\w-]+)` \| (?:the role )?`(\w+)`, by ", PAGE.read_text(), re.MULTILINE))
    assert said == {rule.name: rule.role for rule in BUILTIN}
