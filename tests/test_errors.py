"""Errors are sentences, and their class alone decides status and whether trying again helps."""

from __future__ import annotations

import inspect

from pxeapp import errors
from pxeapp.errors import FieldProblem, Invalid, PxeError, TooMany, Unavailable

CLASSES = [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, PxeError)]


def test_every_class_has_a_title_and_a_status_of_an_error() -> None:
    assert len({found.title for found in CLASSES}) == len(CLASSES)
    for found in CLASSES:
        assert 400 <= found.status <= 599
        assert found.retryable == (found in (Unavailable, TooMany))


def test_an_error_reads_as_a_sentence_and_what_to_do() -> None:
    assert str(PxeError("It broke.", hint="Mend it.")) == "It broke. Mend it."
    assert str(PxeError("It broke.")) == "It broke."


def test_a_problem_says_where_it_is() -> None:
    assert str(FieldProblem("mac", "is missing.", "Add it.")) == "mac: is missing. Add it."
    assert str(FieldProblem("mac", "is missing.", line=4)) == "line 4: mac: is missing."
    assert str(FieldProblem("mac", "is missing.", line=1, row=7)) == "line 1, machine 7: mac: is missing."


def test_invalid_carries_every_problem_as_plain_data() -> None:
    error = Invalid("Two are wrong.", problems=[FieldProblem("a", "x"), FieldProblem("b", "y", "z", 2, 3)])
    assert error.as_list() == [
        {"field": "a", "problem": "x", "fix": "", "line": None, "row": None},
        {"field": "b", "problem": "y", "fix": "z", "line": 2, "row": 3},
    ]
