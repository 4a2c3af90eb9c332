"""docs/site-settings.md: every setting has a worked example there, and every example works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pxeapp.answers import site, variables

PAGE = (Path(__file__).parents[3] / "docs/site-settings.md").read_text()
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: "-".join(example)[:40])
def test_every_example_is_accepted(example: dict[str, object]) -> None:
    site.read(example)
    for name, value in example.items():
        assert variables.BUILTIN[name].problems(value) == []


def test_every_setting_has_an_example() -> None:
    shown = {name for example in EXAMPLES for name in example}
    assert set(site.NAMES) - shown == {"ca_certificates"}  # too long to be read; in words there
    assert "\nca_certificates:\n" in PAGE
