"""The language of filters: what it means, how it is written, and how it says what it does not understand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.errors import Invalid
from pxeapp.machines import query
from pxeapp.machines.query import Term


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  web  ", (Term("", ("web",)),)),
        ("role=compute", (Term("role", ("compute",)),)),
        ("ROLE:compute", (Term("role", ("compute",)),)),
        ("role=compute,storage", (Term("role", ("compute", "storage")),)),
        ("-role=compute", (Term("role", ("compute",), negated=True),)),
        ("role!=compute", (Term("role", ("compute",), negated=True),)),
        ("-role!=compute", (Term("role", ("compute",)),)),
        ("cluster=", (Term("cluster", ("",)),)),
        ('state="deploy failed"', (Term("state", ("deploy failed",)),)),
        ("state=deploy-failed,failed", (Term("state", ("deploy failed", "failed")),)),
        ("label.row=b", (Term("label", ("b",), label="row"),)),
        ("label=site.example.org/row=4", (Term("label", ("4",), label="site.example.org/row"),)),
        ('rack="r 1",r2', (Term("rack", ("r 1", "r2")),)),
        ("maintenance=TRUE", (Term("maintenance", ("yes",)),)),
        ("aa:bb:cc:dd:ee:ff", (Term("", ("aa:bb:cc:dd:ee:ff",)),)),
        ('"role=compute" -old', (Term("", ("role=compute",)), Term("", ("old",), negated=True))),
        ("-", (Term("", ("-",)),)),
    ],
)
def test_words_are_understood(text: str, expected: tuple[Term, ...]) -> None:
    found = query.parse(text)
    assert found == expected
    assert query.parse(query.written(found)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour=red", "colour is not known"),
        ("state=broken", "'broken' is not a state"),
        ("maintenance=perhaps", "maintenance cannot be 'perhaps'"),
        ("power=yes", "power cannot be 'yes'"),
        ("label=-x=1", "is not a label's name"),
        ('"open', "has no end"),
        ("a\0b", "NUL"),
        ("a" * 501, "501 characters"),
        (" ".join("abcdefghijklmnopqrstuvw"), "23 words"),
        ("name=" + ",".join("ab" * 26), "52 values"),
    ],
)
def test_what_is_not_understood_is_named_with_what_to_write_instead(text: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        query.parse(text)
    (problem,) = caught.value.problems
    assert problem.field == "q"
    assert said in problem.problem
    assert problem.fix


@given(st.text(max_size=60))
def test_whatever_is_understood_is_written_so_that_it_means_the_same(text: str) -> None:
    try:
        found = query.parse(text)
    except Invalid:
        return
    assert query.parse(query.written(found)) == found


@given(st.sampled_from(["role", "rack", "label"]), st.text(st.characters(exclude_characters='"\0'), max_size=30))
def test_a_single_value_is_written_so_that_it_means_the_same(key: str, value: str) -> None:
    made = query.term(key, f"row={value}" if key == "label" else value)
    (found,) = query.parse(str(made))
    assert (found.key, found.label, found.values) == (made.key, made.label, (value,))
