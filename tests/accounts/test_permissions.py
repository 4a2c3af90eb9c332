"""Roles are ordered, and what is not in the table is nobody's."""

from __future__ import annotations

import itertools

import pytest

from pxeapp.accounts import permissions
from pxeapp.accounts.permissions import ADMIN, OPERATOR, PERMISSIONS, PUBLIC, ROLES, VIEWER

ORDER = (PUBLIC, VIEWER, OPERATOR, ADMIN)


def test_a_role_reaches_everything_below_it_and_nothing_above() -> None:
    for (have, role), (need, least) in itertools.product(enumerate(ORDER), enumerate(ORDER)):
        assert permissions.allows(role, least) == (have >= need)


@pytest.mark.parametrize("role", ["", "root", "ADMIN", "nobody"])
def test_an_unknown_role_reaches_nothing(role: str) -> None:
    assert not any(permissions.allows(role, least) for least in ORDER)
    assert permissions.lesser(role, ADMIN) == role


def test_the_lesser_of_two_roles_wins_in_any_order() -> None:
    for one, other in itertools.product(ROLES, ROLES):
        assert permissions.lesser(one, other) == min(one, other, key=ROLES.index) == permissions.lesser(other, one)


@pytest.mark.parametrize("endpoint", [None, "", "machines.explode", "static"])
def test_a_route_that_is_not_in_the_table_is_nobodys(endpoint: str | None) -> None:
    assert permissions.needed(endpoint) is None


def test_every_entry_is_a_role() -> None:
    assert set(PERMISSIONS.values()) <= set(ORDER)


def test_accounts_audit_and_deleting_are_for_administrators() -> None:
    for endpoint, least in PERMISSIONS.items():
        if endpoint.startswith(("users.", "tokens.", "audit.")) or endpoint.endswith(".delete"):
            assert least == ADMIN or endpoint == "lists.delete", endpoint  # a saved filter of one's own
