"""What a variable may hold, and how a role declares one."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from pxeapp.answers.variables import BUILTIN, Variable, declared
from pxeapp.answers.variables.schema import GENERATORS, SCOPES, TYPES
from pxeapp.answers.variables.secrets import MAKERS, PLACEHOLDERS

HOSTILE = ("a\nb", "x\r", "nul\0", "\u2028", "tab\t", "\x1b[31m", "a\x85b")


@pytest.mark.parametrize(
    ("said", "value", "fits"),
    [
        ({"type": "text"}, "any (thing) 'at' all: ü", True),
        ({"type": "text"}, 7, False),
        ({"type": "word"}, "a.b-c_d", True),
        ({"type": "word"}, "a b", False),
        ({"type": "word"}, "x" * 256, False),
        ({"type": "address"}, "10.0.0.7", True),
        ({"type": "address"}, "2001:db8::7", True),
        ({"type": "address"}, "10.0.0.256", False),
        ({"type": "address"}, "example.org", False),
        ({"type": "host"}, "ctl.example.org", True),
        ({"type": "host"}, "2001:db8::7", True),
        ({"type": "host"}, "::::", False),
        ({"type": "host"}, "a..b", False),
        ({"type": "password"}, "correct.horse", True),
        ({"type": "password"}, "short", False),
        ({"type": "password"}, "with@at-sign", False),
        ({"type": "choice", "choices": ["a", "b"]}, "a", True),
        ({"type": "choice", "choices": ["a", "b"]}, "c", False),
        ({"type": "choice", "choices": ["a", "b"]}, ["a"], False),
        ({"type": "integer", "minimum": 1, "maximum": 5}, 5, True),
        ({"type": "integer", "minimum": 1, "maximum": 5}, 6, False),
        ({"type": "integer"}, True, False),
        ({"type": "integer"}, 1.5, False),
        ({"type": "boolean"}, False, True),
        ({"type": "boolean"}, "no", False),
        ({"type": "object"}, {"a": 1}, True),
        ({"type": "object"}, [1], False),
        ({"type": "list"}, ["a", "b"], True),
        ({"type": "list"}, "ab", False),
        ({"type": "list", "items": "address"}, ["10.0.0.7", "x"], False),
        ({"type": "text", "pattern": "[a-c]+"}, "abc", True),
        ({"type": "text", "pattern": "[a-c]+"}, "abcd", False),
    ],
)
def test_a_value_fits_its_type_or_is_refused(said: dict[str, Any], value: Any, fits: bool) -> None:
    found, problems = declared({"it": said})
    assert problems == []
    assert (found["it"].problems(value) == []) is fits


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind not in ("any", "object", "choice", "list")])
@pytest.mark.parametrize("value", HOSTILE)
def test_no_text_begins_a_line_of_its_own(kind: str, value: str) -> None:
    assert Variable("it", kind).problems(value)
    assert Variable("it", "list", items=kind).problems([value])


def test_a_secret_is_never_repeated_in_what_is_said_of_it() -> None:
    for kind in ("password", "text", "integer", "boolean"):
        for problem, fix in Variable("it", kind, secret=True, pattern="x").problems("h0rse battery"):
            assert "h0rse" not in problem + fix


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ([], "variables"),
        ({"It": {}}, "variables.It"),
        ({"it": "text"}, "variables.it"),
        ({"it": {"type": "date"}}, "variables.it.type"),
        ({"it": {"typ": "text"}}, "variables.it.typ"),
        ({"it": {"scope": "rack"}}, "variables.it.scope"),
        ({"it": {"secret": "yes"}}, "variables.it.secret"),
        ({"it": {"minimum": "1"}}, "variables.it.minimum"),
        ({"it": {"help": "two\nlines"}}, "variables.it.help"),
        ({"it": {"type": "choice"}}, "variables.it.choices"),
        ({"it": {"choices": "ab"}}, "variables.it.choices"),
        ({"it": {"pattern": "("}}, "variables.it.pattern"),
        ({"it": {"pattern": "(a+)+"}}, "variables.it.pattern"),
        ({"it": {"pattern": 7}}, "variables.it.pattern"),
        ({"it": {"type": "integer", "default": "x"}}, "variables.it.default"),
        ({"it": {"required_if": ["x"]}}, "variables.it.required_if"),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_place(said: Any, field: str) -> None:
    _, problems = declared(said)
    assert [problem.field for problem in problems] == [field]


def test_what_is_secret_is_a_generated_password_unless_it_says_otherwise() -> None:
    found, _ = declared(
        {"a": {"secret": True}, "b": {"secret": True, "generate": "no"}, "c": {"secret": True, "type": "text"}}
    )
    assert [(each.type, each.generate) for each in found.values()] == [
        ("password", "password"), ("password", "no"), ("text", "no"),
    ]  # fmt: skip


def test_texts_become_numbers_where_a_file_knows_only_texts() -> None:
    assert Variable("it", "integer").normalised("42") == 42
    assert Variable("it", "boolean").normalised("True") is True
    assert Variable("it", "text").normalised("42") == "42"


def test_every_generated_secret_is_inert_everywhere() -> None:
    assert {*MAKERS, "no"} == set(GENERATORS)
    for kind, make in MAKERS.items():
        made = {make() for _ in range(50)}
        assert len(made) == 50, kind
        for secret in made:
            assert len(secret) >= 32
            assert re.fullmatch(r"[A-Za-z0-9_-]+=?", secret), kind
            assert yaml.safe_load(f"x: {secret}") == {"x": secret}
            assert quote(secret, safe="=") == secret
        placeholder = PLACEHOLDERS[kind]
        assert kind == "password" or len(placeholder) == len(make())
    assert len(base64.urlsafe_b64decode(MAKERS["fernet"]())) == 32


def test_the_built_in_ones_say_what_they_are() -> None:
    for name, variable in BUILTIN.items():
        assert variable.name == name
        assert variable.help.endswith((".", ":")) or "." in variable.help, name
        assert variable.scope in SCOPES
        assert variable.default is None or variable.problems(variable.default) == [], name


def test_a_secret_has_no_default_that_whoever_sees_the_role_would_read() -> None:
    found, problems = declared({"it": {"type": "password", "secret": True, "default": "correct.horse"}})
    assert [each.field for each in problems] == ["variables.it.default"]
    assert "horse" not in problems[0].problem + problems[0].fix
    assert found["it"].secret, "what was saved before goes on to be known"
    assert declared({"it": {"type": "password", "secret": True}})[1] == []
