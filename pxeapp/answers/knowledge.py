"""Which variables there are on this appliance: the built-in ones, and those of each role's data and row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.answers.models import Role
from pxeapp.answers.roles import catalogue
from pxeapp.answers.roles.definition import BadRole
from pxeapp.answers.variables.rules import Rules
from pxeapp.answers.variables.schema import Variable, declared
from pxeapp.templates import Templates


def rules(session: Session, templates: Templates) -> Rules:
    """Every role's variables, as they are now."""
    # A role whose data are there already, and whose row is just being added, knows its variables too.
    known: dict[str, Mapping[str, Any]] = {name: {} for name in catalogue.names(templates)}
    known.update((name, said) for name, said in session.execute(select(Role.name, Role.variables).order_by(Role.name)))
    return Rules({name: declared_by(name, said, templates) for name, said in known.items()})


def declared_by(name: str, said: Mapping[str, Any], templates: Templates) -> dict[str, Variable]:
    """What one role declares: in its data, and above it in its row.

    Data that cannot be read declare nothing: a mistake in one file must not keep anybody from saving a machine. It is
    said where the role is used.
    """
    try:
        own = catalogue.load(name, templates).variables
    except BadRole:
        own = {}
    return {**own, **_of_row(json.dumps(said))}


def needed_by(role: Role, said: Mapping[str, Any], templates: Templates) -> dict[str, Variable]:
    """What a role declares and uses where this is said: without a controller, say, it is only its packages."""
    declared = declared_by(role.name, role.variables, templates)
    try:
        definition = catalogue.load(role.name, templates)
        plain = definition.plain(definition.values(said))
    except BadRole:
        plain = False
    return _of_row(json.dumps(role.variables)) if plain else declared


@lru_cache(maxsize=256)
def _of_row(text: str) -> dict[str, Variable]:
    return declared(json.loads(text))[0]
