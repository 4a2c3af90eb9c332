"""What an answer file would refuse is refused when it is said, wherever it is said."""

from __future__ import annotations

from typing import Any

import pytest

from pxeapp.answers.variables import BUILTIN
from pxeapp.answers.variables.rules import Rules

RULES = Rules({"base": {}})
PLACES = (("machine", "base"), ("role", "base"), ("cluster", None))


def settle(place: str, role: str | None, **said: Any) -> tuple[dict[str, Any], list[str]]:
    kept, problems = RULES.settled(place, role, said, {}, lambda value, present: {"encrypted": value})
    return kept, [each.field for each in problems]


@pytest.mark.parametrize(("place", "role"), PLACES)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timezone", "/etc"), ("locale", "en-US.UTF-8"), ("keyboard", "-x"), ("ssh_authorized_keys", ["not a key"]),
        ("domain", "Bad Domain"), ("domain", "a..b"), ("packages", ["a b"]), ("ntp", ["-x"]), ("ntp", ["fd00:0::1"]),
    ],
)  # fmt: skip
def test_what_an_answer_file_cannot_hold(place: str, role: str | None, name: str, value: Any) -> None:
    assert settle(place, role, **{name: value})[1] == [f"vars.{name}"]


@pytest.mark.parametrize(("place", "role"), PLACES)
def test_capitals_mean_nothing_in_a_name(place: str, role: str | None) -> None:
    kept, problems = settle(place, role, domain="Example.org", ntp=["NTP.example.org", "10.0.0.1", "FD00::1"])
    assert problems == []
    assert kept == {"domain": "example.org", "ntp": ["ntp.example.org", "10.0.0.1", "fd00::1"]}


def test_every_default_may_be_said_too() -> None:
    for variable in BUILTIN.values():
        if variable.default is not None:
            assert variable.problems(variable.default) == [], variable.name
