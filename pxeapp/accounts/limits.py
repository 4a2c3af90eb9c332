"""What may be said of a role and of the projects that somebody is limited to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pxeapp.accounts.permissions import ADMIN, ROLES
from pxeapp.errors import FieldProblem

MOST_PROJECTS = 100
PROJECT = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
PROJECT_FIX = "Use letters, digits and ._-, at most 63."


def role_problems(role: str) -> list[FieldProblem]:
    """What is wrong with the name of a role."""
    return [] if role in ROLES else [FieldProblem("role", f"{role[:20]!r} is not a role.", f"Use {', '.join(ROLES)}.")]


def project_problems(role: str, projects: Sequence[str] | None) -> list[FieldProblem]:
    """What is wrong with a limit to projects."""
    if projects is None:
        return []
    if role == ADMIN:
        fix = "Leave the projects out, or choose another role."
        return [FieldProblem("projects", "cannot be given to an admin, who works with all machines.", fix)]
    if len(projects) > MOST_PROJECTS:
        return [FieldProblem("projects", "are too many.", f"Give at most {MOST_PROJECTS}.")]
    wrong = [each for each in projects if not re.fullmatch(PROJECT, each)]
    return [FieldProblem("projects", f"{each[:63]!r} cannot be a project's name.", PROJECT_FIX) for each in wrong]
