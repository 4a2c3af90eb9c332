"""What an error says on a page, in the visitor's language: in a sentence, or at the fields of a form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue

from pxeapp.errors import FieldProblem, Invalid, PxeError
from pxeapp.ui.language import said


def told(problem: FieldProblem) -> str:
    """What is wrong with one field, and how to mend it."""
    return f"{said(problem.problem)} {said(problem.fix)}".strip()


def sentence(error: PxeError) -> str:
    """What an error says as a whole, and what to do about it."""
    return f"{said(error.sentence)} {said(error.hint)}".strip()


def in_full(error: PxeError) -> str:
    """The sentence, and behind it each problem with the field that it is about; without any, what to do."""
    problems = [f"{each.field}: {told(each)}".strip(": ") for each in _problems(error)]
    return " ".join([said(error.sentence), *problems]) if problems else sentence(error)


def by_field(error: PxeError) -> dict[str, str]:
    """The sentence for each field that is wrong; empty where the error is of the whole."""
    found: dict[str, str] = {}
    for problem in _problems(error):
        found[problem.field] = f"{found.get(problem.field, '')} {told(problem)}".strip()
    return found


def placed(error: PxeError, fields: Sequence[str]) -> tuple[dict[str, str], str]:
    """What is wrong at each field of a form, and above it: the sentence, and what belongs to no field."""
    at_fields: dict[str, str] = {}
    elsewhere = []
    for field, words in by_field(error).items():
        at = next((name for name in fields if field == name or field.startswith(f"{name}.")), "")
        if at:
            at_fields[at] = f"{at_fields.get(at, '')} {words}".strip()
        else:
            elsewhere.append(f"{field}: {words}")
    return at_fields, " ".join([sentence(error), *elsewhere])


def answered(
    template: str, view: Callable[[], dict[str, Any]], part: str, work: Callable[[], ResponseReturnValue]
) -> ResponseReturnValue:
    """What the work answers; or the page again, with what is wrong at that part of it."""
    try:
        return work()
    except PxeError as error:
        return render_template(template, **{**view(), **at_part(part, error)}), error.status


def at_part(part: str, error: PxeError) -> dict[str, Any]:
    """What a page of several forms is told of an error in one of them."""
    errors = by_field(error)
    return {"part": part, "errors": errors, "problem": "" if errors else sentence(error)}


def _problems(error: PxeError) -> Sequence[FieldProblem]:
    return error.problems if isinstance(error, Invalid) else ()
