"""What a role installs on some release, whatever machine it is: for mirrors and for filling a cache beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from pxeapp.answers import releases
from pxeapp.answers.roles import catalogue, rows, series
from pxeapp.answers.roles.definition import of_family
from pxeapp.answers.spec import ReleaseSpec
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.templates import Templates

ANY_CONTROLLER = "any"  # without one a role of OpenStack would be a plain server


def of(
    session: Session, role: str, release: ReleaseSpec, said: Mapping[str, Any], templates: Templates
) -> tuple[str, ...]:
    """The role's packages, with what its variables choose; raises NotFound, BadRole or Invalid.

    `said` are variables that differ from the role's own and its defaults, such as {"neutron": "ovn"}.
    """
    row = rows.get(session, role)
    definition = catalogue.load(role, templates)
    values = definition.values({**row.vars, **said})
    if definition.only_with and not values.get(definition.only_with):
        values[definition.only_with] = ANY_CONTROLLER
    problems = [
        FieldProblem(f"vars.{name}", *problem)
        for name, variable in definition.variables.items()
        if said.get(name) is not None
        for problem in variable.problems(said[name])
    ]
    problems += [
        FieldProblem(f"vars.{name}", f"is no variable of the role {role}.", f"See: GET /api/v1/roles/{role}")
        for name in said
        if name not in definition.variables and name not in row.variables
    ]
    if problems:
        raise Invalid(f"These are no variables for the role {role}.", problems=problems)
    if definition.openstack:
        values["series"] = series.of(series.table(templates), release, values)
    family = "el" if release.family in releases.EL_FAMILIES else release.family
    own = of_family(row.packages or definition.part.packages, family)
    return tuple(dict.fromkeys((*own, *of_family(definition.chosen(values).packages, family))))
