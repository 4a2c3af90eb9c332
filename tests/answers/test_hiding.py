"""A secret is masked in every spelling in which it may stand in a file."""

from __future__ import annotations

import base64
import json
import shlex
from urllib.parse import quote

import pytest

from pxeapp.answers import render
from pxeapp.answers.hiding import spellings
from tests.answers.samples import spec

SECRET = "Correct/horse+battery'staple$7"


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"mysql+pymysql://nova:{quote(SECRET, safe='')}@10.0.0.7/nova",
        f"url={quote(SECRET)}",
        json.dumps({"password": SECRET}),
        f"echo {shlex.quote(SECRET)}",
        "sql: '" + SECRET.replace("'", "''") + "'",
    ],
)
def test_no_part_of_it_is_left(text: str) -> None:
    masked = render.mask_values(text, spellings([SECRET]))
    assert "***" in masked
    for part in ("orrect", "horse", "battery", "staple"):
        assert part not in masked


@pytest.mark.parametrize("before", ["", "x", "xy", "[DEFAULT]\npassword = "])
@pytest.mark.parametrize("behind", ["", "\n", "ab", "abc\n"])
def test_it_is_found_in_base64_wherever_it_stands(before: str, behind: str) -> None:
    encoded = base64.b64encode((before + SECRET + behind).encode()).decode()
    masked = render.mask_values(f"content: {encoded}\n", spellings([SECRET]))
    kept = masked.removeprefix("content: ").strip().split("***")
    assert len(kept) == 2
    neighbours = len(base64.b64encode(before.encode())) + len(base64.b64encode(behind.encode()))
    assert len("".join(kept)) <= neighbours + 4  # a letter at each end, and the padding


def test_the_longest_goes_first() -> None:
    """One secret is the beginning of another: masked the other way round, its end would stay."""
    assert render.mask_values("x=hunter2hunter", spellings(["hunter2", "hunter2hunter"])) == "x=***"


def test_a_specification_prints_nothing_of_what_is_in_it() -> None:
    found = spec(
        "rocky", "9", vars={"site_x": SECRET}, secrets={"site_x": SECRET}, root_password_hash="$6$abcd$" + "x" * 20
    )
    for text in (repr(found), str(found), f"{found!r:.300}"):
        assert SECRET not in text
        assert "$6$" not in text
        assert found.answer_url not in text


def test_secrets_of_every_kind_of_value_are_masked() -> None:
    found = spec("rocky", "9", secrets={"a": "long-enough", "b": [{"hash": "another-one"}], "c": 7, "d": "abc"})
    assert render.mask("long-enough another-one 7 abc", found) == "*** *** 7 abc"
