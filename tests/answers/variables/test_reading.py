"""The variables that answer files know."""

from __future__ import annotations

from typing import Any

import pytest

from pxeapp.answers import variables
from pxeapp.errors import Invalid


def test_what_is_not_said_has_a_default() -> None:
    found = variables.read({})
    assert (found.timezone, found.locale, found.keyboard) == ("Etc/UTC", "en_US.UTF-8", "us")
    assert (found.domain, found.ntp, found.layout) == (None, None, None)  # network and role decide


def test_an_empty_value_is_said() -> None:
    assert variables.read({"domain": "", "ntp": []}).domain == ""
    assert variables.read({"ntp": []}).ntp == ()
    assert variables.read({"domain": None}).domain is None


def test_others_are_the_sites_own() -> None:
    assert variables.read({"motd": {"any": ["thing", 7]}, "packages": ["vim"]}).packages == ("vim",)


@pytest.mark.parametrize("value", ["vim", {"a": 1}, [1], ["vim", None], 7, True])
def test_a_list_is_a_list(value: Any) -> None:
    # A text would become a list of its letters: packages v, i and m.
    with pytest.raises(Invalid) as refused:
        variables.read({"packages": value, "timezone": 7})
    assert [problem.field for problem in refused.value.problems] == ["vars.packages", "vars.timezone"]
