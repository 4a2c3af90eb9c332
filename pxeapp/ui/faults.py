"""What an error says of each field of a form, in the visitor's language."""

from __future__ import annotations

from pxeapp.errors import Invalid, PxeError
from pxeapp.ui import language


def by_field(error: PxeError) -> dict[str, str]:
    """The sentence for each field that is wrong; empty where the error is of the whole."""
    if not isinstance(error, Invalid):
        return {}
    found: dict[str, str] = {}
    for problem in error.problems:
        said = f"{language.said(problem.problem)} {language.said(problem.fix)}".strip()
        found[problem.field] = f"{found[problem.field]} {said}" if problem.field in found else said
    return found
