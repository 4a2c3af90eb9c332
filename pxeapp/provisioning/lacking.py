"""What a role needs and nobody says: refused where a machine has a cluster, shown where that is still to come.

A machine is often written down before its cluster is, and then nobody can say yet what is said there.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from sqlalchemy.orm import Session

from pxeapp.answers import clusters, knowledge, roles
from pxeapp.answers.models import Role
from pxeapp.answers.variables.secrets import makes
from pxeapp.errors import FieldProblem, NotFound
from pxeapp.machines.models import Machine
from pxeapp.templates import Templates

EMPTY: tuple[Any, ...] = (None, "", [])


def of_role(role: Role, said: Mapping[str, Any], secrets: Set[str] | None, templates: Templates) -> list[FieldProblem]:
    """Each by name, with where to say it. `secrets`: those of its cluster, which makes others; None: it has none."""
    declared = knowledge.needed_by(role, said, templates)
    values = {name: each.default for name, each in declared.items()}
    values |= {name: value for name, value in said.items() if value is not None}
    found = []
    for name, each in declared.items():
        made = each.secret and secrets is not None and (name in secrets or makes(each.generate))
        if made or values.get(name) not in EMPTY or not each.needed(values):
            continue
        what = f"is missing; the role {role.name} needs it: {each.help}"
        fix = "Say it in the vars of the machine, its cluster or its role."
        if each.scope == "cluster":
            fix = f"Say it in the {'secrets' if each.secret else 'vars'} of its cluster."
        found.append(FieldProblem(f"vars.{name}", what, fix))
    return found


def of_machine(session: Session, templates: Templates, machine: Machine) -> list[FieldProblem]:
    """The same of a machine as it is."""
    if machine.role is None:
        return []
    try:
        role = roles.get(session, machine.role)
        cluster = clusters.get(session, machine.cluster) if machine.cluster else None
    except NotFound:
        return []  # said where it is used
    said = {**role.vars, **(cluster.vars if cluster else {}), **machine.vars}
    return of_role(role, said, cluster.secrets.keys() if cluster else None, templates)
