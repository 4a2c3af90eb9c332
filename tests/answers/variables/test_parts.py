"""Secrets within a variable: sealed where they stand, carried over when they come back masked, refused elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from pxeapp.answers.variables.merging import merged
from pxeapp.answers.variables.rules import Rules
from pxeapp.machines import sealed

RULES = Rules({"base": {}})
HASH, OTHER = ("$6$abcdefgh$" + letter * 86 for letter in "xy")
URL = "http://ada:s3cret-word@proxy.example.org:3128"
SHOWN = "http://***@proxy.example.org:3128"
SAID: dict[str, Any] = {
    "users": [{"name": "ada", "sudo": "password", "password_hash": HASH}, {"name": "bob"}],
    "files": [
        {"path": "/etc/motd", "content": ["Welcome."]},
        {"path": "/etc/token", "secret": True, "mode": "0600", "content": ["one line", "and another"]},
        {"path": "/etc/key", "secret": True, "base64": "c2VjcmV0Cg=="},
    ],
    "post_scripts": [{"name": "join", "secret": True, "content": "join --with hunter2hunter2\n"}],
    "proxy": {"url": URL, "no_proxy": [".example.org"]},
}
OPEN = {HASH, "one line\nand another\n", "c2VjcmV0Cg==", "join --with hunter2hunter2\n", URL}


def seal(value: Any, present: Any) -> Any:
    return present if present is not None and present[sealed.KEY] == value[::-1] else {sealed.KEY: value[::-1]}


def settle(said: dict[str, Any], present: dict[str, Any] | None = None, place: str = "machine") -> Any:
    kept, problems = RULES.settled(place, "base" if place != "cluster" else None, said, present or {}, seal)
    return kept, [problem.field for problem in problems]


@pytest.fixture
def kept() -> dict[str, Any]:
    found, problems = settle(SAID)
    assert problems == []
    return dict(found)


@pytest.mark.parametrize("place", ["machine", "role", "cluster"])
def test_each_is_sealed_where_it_stands_and_the_rest_stays_readable(place: str) -> None:
    kept, problems = settle(SAID, place=place)
    assert problems == []
    assert {value[sealed.KEY][::-1] for value in sealed.within(kept)} == OPEN
    shown = sealed.shown(kept)
    assert shown["users"] == [{"name": "ada", "sudo": "password", "password_hash": "***"}, {"name": "bob"}]
    assert shown["files"][0] == SAID["files"][0]
    assert shown["files"][1] == {"path": "/etc/token", "secret": True, "mode": "0600", "content": "***"}
    assert shown["proxy"] == {"url": SHOWN, "no_proxy": [".example.org"]}


def test_what_is_shown_means_as_it_is_when_it_comes_back(kept: dict[str, Any]) -> None:
    assert settle(sealed.shown(kept), kept) == (kept, [])
    assert settle(SAID, kept) == (kept, [])  # nothing changes when nothing changes


def test_what_stands_around_a_masked_secret_can_change(kept: dict[str, Any]) -> None:
    shown = sealed.shown(kept)
    changed = {
        "users": [{"name": "bob", "password_hash": OTHER}, {**shown["users"][0], "sudo": "nopasswd"}],
        "files": [{**shown["files"][1], "mode": "0640"}],
        "proxy": SHOWN,
    }
    found, problems = settle(changed, kept)
    assert problems == []
    assert [user["password_hash"][sealed.KEY][::-1] for user in found["users"]] == [OTHER, HASH]
    assert found["files"][0]["content"] == kept["files"][1]["content"]
    assert found["proxy"] == kept["proxy"]["url"]


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("users", [{"name": "eve", "password_hash": "***"}], "vars.users.0.password_hash"),
        ("users", [{"name": "bob", "password_hash": "***"}], "vars.users.0.password_hash"),
        ("files", [{"path": "/var/www/token", "secret": True, "content": "***"}], "vars.files.0.content"),
        ("files", [{"path": "/etc/token", "secret": False, "content": "***"}], "vars.files.0.content"),
        ("files", [{"path": "/etc/token", "secret": True, "base64": "***"}], "vars.files.0.base64"),
        ("post_scripts", [{"name": "leave", "secret": True, "content": "***"}], "vars.post_scripts.0.content"),
        ("pre_scripts", [{"name": "join", "secret": True, "content": "***"}], "vars.pre_scripts.0.content"),
        ("proxy", "http://***@evil.example.net:3128", "vars.proxy"),
        ("proxy", {"url": "http://***@proxy.example.org:3129"}, "vars.proxy.url"),
    ],
)
def test_a_mask_does_not_take_a_secret_elsewhere(kept: dict[str, Any], name: str, value: Any, field: str) -> None:
    assert settle({name: value}, kept)[1] == [field]
    assert settle({name: value})[1] == [field]


@pytest.mark.parametrize(
    "value",
    [
        "***", 7, [7, None], [{"password_hash": 7}], [{"name": [], "password_hash": "***"}], {"url": ["@"]},
        [{"secret": True, "content": [1, "\n"]}], [{"secret": True, "content": {"a": "b"}}], "http://[@", "@", "x@y@z",
        {"$secret": "x"}, [{"password_hash": {"$secret": "x"}}], [{"secret": True, "content": {"$secret": 7}}],
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["users", "files", "post_scripts", "proxy"])
def test_what_is_no_such_value_at_all_is_refused(kept: dict[str, Any], name: str, value: Any) -> None:
    for present in ({}, kept):
        assert settle({name: value}, present)[1]


def test_all_of_it_is_opened_for_an_answer_file_and_masked_in_previews(kept: dict[str, Any]) -> None:
    said, secrets = merged({"machine": kept}, lambda value: value[sealed.KEY][::-1])
    assert said["users"] == SAID["users"]
    assert said["files"][1]["content"] == "one line\nand another\n"
    assert said["proxy"] == SAID["proxy"]
    assert set(secrets.values()) == OPEN - {URL}  # of which only a part is masked, see the site's own secrets


def test_what_lay_open_in_a_row_is_sealed_when_it_is_saved_again() -> None:
    kept, problems = settle(SAID, SAID)
    assert problems == []
    assert {value[sealed.KEY][::-1] for value in sealed.within(kept)} == OPEN
