"""Roles: as rows that a site may change, as data and templates in `roles/`, and as what one does on a machine."""

from pxeapp.answers.roles.rows import (
    FAMILIES,
    NAME,
    body,
    body_shown,
    builtin,
    change,
    create,
    delete,
    ensure_builtin,
    get,
    listing,
    wire,
)

__all__ = [
    "FAMILIES", "NAME", "body", "body_shown", "builtin", "change", "create", "delete", "ensure_builtin", "get",
    "listing", "wire",
]  # fmt: skip
