"""What we write as YAML is read back as the same values, by a real parser, whatever they are."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.answers import block_yaml

# What a YAML parser itself refuses to read, however it is escaped, is a lone surrogate.
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
VALUES = st.recursive(
    TEXTS | st.booleans() | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
TRICKS = [
    "yes", "NO", "On", "null", "~", "1e3", "0x10", "0777", "1:30", "2026-11-25", "- a", "? a", "a: b", "a #b", "#",
    "*a", "&a", "!tag", "!!python/object/apply:os.system [id]", "%YAML 1.2", "---", "...", "{a: b}", "[a]", "|", ">",
    "@a", "`a`", "'", '"', "\\", "\\n", "a\nb", "a\r\nb", "\ta", " a", "a ", "", "<<", "=", ".inf", ".nan",
    "52:54:00:00:00:01", "a\u2028b", "\u0085", "\x7f", "\x00", "\x1b[31m", "\ufeff", "\U0001f600", "\u65e5\u672c",
    "$(reboot)", "%end", "x" * 900, "a  b",
]  # fmt: skip


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_whatever_is_said_is_read_back(said: dict[str, Any]) -> None:
    assert yaml.safe_load(block_yaml.dump(said)) == said or not said


@pytest.mark.parametrize("trick", TRICKS)
def test_no_text_is_taken_for_anything_else(trick: str) -> None:
    said = {"key": trick, trick: [trick, {trick: trick}]}
    text = block_yaml.dump(said)
    assert yaml.safe_load(text) == said
    assert text.isascii()
    assert all(line.isprintable() for line in text.splitlines())


def test_it_reads_as_people_write_it() -> None:
    said = {"version": 1, "on": True, "none": None, "list": ["a b", {"c": [], "d": {}}, ["e"]], "map": {"mac": "00:11"}}
    assert block_yaml.dump(said) == (
        'version: 1\n"on": true\nnone: null\nlist:\n  - a b\n  - c: []\n    d: {}\n  - - e\nmap:\n  mac: "00:11"\n'
    )


def test_what_is_no_plain_value_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        block_yaml.dump({"a": object()})
    with pytest.raises(TypeError, match="longer than YAML allows"):
        block_yaml.dump({"x" * 1001: 1})
