"""Which variables there are for a role, and which hold for a machine: each with where it is said. Secrets masked."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from pxeapp.answers import cluster_secrets, clusters, knowledge, roles
from pxeapp.answers.models import Role
from pxeapp.answers.variables import BUILTIN
from pxeapp.answers.variables.merging import layers
from pxeapp.answers.variables.rules import Rules
from pxeapp.machines import sealed
from pxeapp.machines.models import Machine
from pxeapp.provisioning import lacking
from pxeapp.templates import Templates

AWAITED = "generated at the next deployment"
MISSING = "missing: no deployment without it"


def reference(rules: Rules, role: str | None) -> list[dict[str, Any]]:
    """Every variable of a role, or of all, with the roles that declare it; the built-in ones first."""
    found = []
    for name, variable in sorted(rules.of(role).items(), key=lambda pair: (pair[0] not in BUILTIN, pair[0])):
        declaring = (
            [] if name in BUILTIN else sorted(each for each, declared in rules.roles.items() if name in declared)
        )
        found.append({**variable.wire(), "builtin": name in BUILTIN, "roles": declaring})
    return found


def of_machine(session: Session, templates: Templates, machine: Machine) -> list[dict[str, Any]]:
    """Every variable that has a value for this machine, with the places that say it, and what its role lacks."""
    role = roles.get(session, machine.role) if machine.role else Role(name="", vars={}, variables={})
    cluster = clusters.get(session, machine.cluster) if machine.cluster else None
    declared = {**knowledge.declared_by(role.name, role.variables, templates), **BUILTIN} if role.name else BUILTIN
    said = {**role.vars, **(cluster.vars if cluster else {}), **machine.vars}
    needed = knowledge.needed_by(role, said, templates) if role.name else {}
    secrets = cluster.secrets if cluster else {}
    awaited = cluster_secrets.placeholders(needed, said, secrets) if cluster else {}
    places = layers(
        declared,
        role=role.vars,
        cluster=cluster.vars if cluster else {},
        secrets={**awaited, **secrets},
        machine=machine.vars,
    )
    names = {
        "default": "default",
        "role": f"role {role.name}",
        "cluster": f"cluster {machine.cluster}",
        "machine": "machine",
    }
    found: dict[str, dict[str, Any]] = {}
    for place, values in places.items():
        for name, value in sealed.shown(values).items():
            variable = declared.get(name)
            entry = found.setdefault(name, {"name": name, "help": variable.help if variable else "", "said": []})
            entry["said"].append(names[place])
            waits = name in awaited and place == "cluster"
            hidden = variable is not None and variable.secret and value not in (None, "")
            secret = hidden or value == sealed.SHOWN
            entry |= {"value": sealed.SHOWN if secret else value, "from": AWAITED if waits else names[place]}
            entry |= {"secret": secret, "known": variable is not None}
    for each in lacking.of_machine(session, templates, machine):
        name = each.field.removeprefix("vars.")
        entry = found.setdefault(name, {"name": name, "help": declared[name].help, "said": [], "value": None})
        entry |= {"from": MISSING, "secret": declared[name].secret, "known": True, "problem": str(each)}
    return [found[name] for name in sorted(found)]
