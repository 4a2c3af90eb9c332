"""What somebody may do whom another system vouches for: its groups or roles against the table of the settings."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pxeapp.accounts.permissions import ROLES
from pxeapp.config import Grant

OWN_PROJECT = "@project"  # stands for the project that a Keystone token is of


def best(
    table: Sequence[Grant], groups: Collection[str], *, project: str | None = None
) -> tuple[str, frozenset[str] | None] | None:
    """The highest role of all that match, on the projects of those together; None: nothing matches."""
    matching = [grant for grant in table if grant.group in groups]
    if not matching:
        return None
    role = max((grant.role for grant in matching), key=ROLES.index)
    found: set[str] = set()
    for grant in matching:
        if grant.role != role:
            continue
        if grant.projects is None:
            return role, None
        found |= {(project or "") if each == OWN_PROJECT else each for each in grant.projects}
    return role, frozenset(found - {""})
