"""The variables of a role's row: those it declares, and what it says itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from pxeapp.answers import roles
from pxeapp.answers.cluster_secrets import Hand
from pxeapp.answers.models import Role
from pxeapp.answers.variables import BUILTIN, declared
from pxeapp.answers.variables.rules import FREE, Rules
from pxeapp.errors import FieldProblem, Invalid


def create(session: Session, hand: Hand, said: Mapping[str, Any]) -> Role:
    """Add a site's own role, its variables checked and its secrets sealed."""
    values = settled(hand, str(said.get("name", "")), said, None)
    return roles.create(session, values, actor=hand.actor, now=hand.now)


def settled(hand: Hand, name: str, said: Mapping[str, Any], row: Role | None) -> dict[str, Any]:
    """What was said of a role, its variables as they are kept; raises Invalid with each one that is wrong."""
    problems: list[FieldProblem] = []
    before = row.variables if row is not None else {}
    own, wrong = declared(said.get("variables", before) or {})
    problems += wrong
    data = {each: about for each, about in hand.rules.roles.get(name, {}).items() if each not in before}
    for each in own:
        where = f"variables.{each}"
        if each in BUILTIN:
            problems.append(FieldProblem(where, "is built in; what it is cannot change.", "Choose another name."))
        elif each in data:
            problems.append(FieldProblem(where, f"is declared in roles/{name}/role.yaml.", "Change it there."))
        elif each.startswith(FREE):
            problems.append(FieldProblem(where, f"begins with {FREE}: that needs no declaration.", "Leave it out."))
    found = dict(said)
    if isinstance(said.get("vars"), Mapping):
        rules = Rules({**hand.rules.roles, name: {**data, **own}})
        found["vars"], wrong = rules.settled("role", name, said["vars"], row.vars if row else {}, hand.seal)
        problems += wrong
    if problems:
        raise Invalid("The role cannot be saved.", problems=problems)
    return found
