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


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("timezone", "Europe/Nowhere", "Write it as Europe/Rome."),
        ("timezone", "Europe/Belrin", "Did you mean Europe/Berlin?"),
        ("timezone", "europe/rome", "Did you mean Europe/Rome?"),
        ("timezone", "localtime", "Write it as Europe/Rome."),
        ("locale", "xx_QQ.UTF-8", "Write it as en_US.UTF-8."),
        ("locale", "de_ED.UTF-8", "Did you mean de_DE?"),
        ("keyboard", "zzqq", "Write it as us or de."),
        ("keyboard", "latm", "Did you mean latam?"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_was_meant(name: str, value: str, fix: str) -> None:
    (problem,) = BUILTIN[name].problems(value)
    assert problem[0].startswith(f"{value!r} is no ")
    assert problem[1] == fix


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("timezone", ["Etc/UTC", "UTC", "GMT", "Europe/Kyiv", "US/Eastern", "America/Argentina/Ushuaia", "Etc/GMT+5"]),
        ("locale", ["C", "C.UTF-8", "en_US.UTF-8", "de_CH", "zh_CN.UTF-8", "sr_RS.UTF-8", "pt_BR.ISO-8859-1", "en"]),
        ("keyboard", ["us", "de", "gb", "uk", "de-latin1-nodeadkeys", "br-abnt2", "jp106", "fr_CH", "us-intl", "latam",
                      "slovene", "trq", "pl2", "cf", "sg", "dvorak", "mac-us", "es-cp850", "pt-latin9"]),
    ],
)  # fmt: skip
def test_what_sites_write_goes_on(name: str, values: list[str]) -> None:
    assert [value for value in values if BUILTIN[name].problems(value)] == []
