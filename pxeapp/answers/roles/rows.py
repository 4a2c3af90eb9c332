"""Roles: the built-in ones, and how a site's own are kept."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit, versions
from pxeapp.answers import storage
from pxeapp.answers.models import Role
from pxeapp.answers.roles import catalogue
from pxeapp.answers.roles.definition import PACKAGE_FAMILIES
from pxeapp.answers.patterns import PACKAGE, SERVICE, package
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.machines import sealed
from pxeapp.machines.models import Machine
from pxeapp.sentences import first_few
from pxeapp.templates import Templates

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
FIELDS = ("description", "packages", "services", "storage", "vars", "variables")
UPGRADE = "system:upgrade"
FAMILIES = PACKAGE_FAMILIES
MOST_NAMED = 5  # machines that a refusal names


@cache
def builtin() -> dict[str, dict[str, Any]]:
    """The roles that come with the appliance, as their rows begin: description, packages, services."""
    ours = Templates()
    found = {name: catalogue.load(name, ours) for name in catalogue.ours()}
    return {
        name: {
            "description": about.description,
            "packages": {family: list(names) for family, names in about.part.packages.items()},
            "services": {family: list(names) for family, names in about.part.services.items()},
        }
        for name, about in found.items()
    }


def ensure_builtin(session: Session, *, now: dt.datetime) -> None:
    """Add the built-in roles that are missing, and bring up to date those that nobody changed. Idempotent."""
    known = {row.name: row for row in session.scalars(select(Role).where(Role.name.in_(builtin())))}
    changed = set(
        session.scalars(
            select(audit.AuditRow.subject).where(
                audit.AuditRow.action == "role.change", audit.AuditRow.subject.in_(builtin())
            )
        )
    )
    for name, said in builtin().items():
        row = known.get(name)
        before = body(row) if row is not None else None
        if row is None:
            row = Role(name=name, builtin=True, storage={}, vars={}, variables={}, **said)
            session.add(row)
        elif row.builtin and name not in changed:
            _fill(row, said)
        versions.record(session, versions.ROLES, name, before, body(row), action="upgrade", author=UPGRADE, at=now)


def get(session: Session, name: str) -> Role:
    """A role by name; raises NotFound."""
    row = session.scalar(select(Role).where(Role.name == name))
    if row is None:
        raise NotFound(f"There is no role {name!r}.", hint="See: GET /api/v1/roles")
    return row


def listing(session: Session, *, after: str = "", limit: int = 100) -> Sequence[Role]:
    """Roles by name, behind `after`."""
    return session.scalars(select(Role).where(Role.name > after).order_by(Role.name).limit(limit)).all()


def create(session: Session, said: Mapping[str, Any], *, actor: str, now: dt.datetime) -> Role:
    """Add a site's own role."""
    name = str(said.get("name", ""))
    problems = [*_problems(said)]
    if not NAME.fullmatch(name):
        problems.append(FieldProblem("name", f"{name!r} is not a role's name.", "Use a-z, 0-9, dots and dashes."))
    if problems:
        raise Invalid("The role cannot be added.", problems=problems)
    if session.scalar(select(Role.id).where(Role.name == name)) is not None:
        raise Conflict(f"There already is a role {name}.")
    row = Role(name=name, builtin=False, description="", packages={}, services={}, storage={}, vars={}, variables={})
    _fill(row, said)
    session.add(row)
    session.flush()
    added = audit.difference(None, _recorded(wire(row), row))
    audit.record(session, at=now, actor=actor, action="role.create", subject=name, **added)
    versions.record(session, versions.ROLES, name, None, body(row), action="create", author=actor, at=now)
    return row


def change(session: Session, name: str, said: Mapping[str, Any], *, actor: str, now: dt.datetime) -> Role:
    """Change a role; machines get it at their next deployment."""
    row = get(session, name)
    if problems := [*_problems(said)]:
        raise Invalid("The role cannot be changed.", problems=problems)
    was, before = wire(row), body(row)
    _fill(row, said)
    audit.record(
        session, at=now, actor=actor, action="role.change", subject=name, changed=sorted(said),
        **audit.difference(_recorded(was, row), _recorded(wire(row), row)),
    )  # fmt: skip
    versions.record(session, versions.ROLES, name, before, body(row), action="change", author=actor, at=now)
    return row


def delete(session: Session, name: str, *, actor: str, now: dt.datetime) -> None:
    """Remove a site's own role that no machine has any more; those that came with the appliance stay."""
    row = get(session, name)
    if row.builtin:
        raise Conflict(f"{name} came with the appliance and stays.", hint="Change it, or do not use it.")
    having = session.scalars(
        select(Machine.name).where(Machine.role == name).order_by(Machine.name).limit(MOST_NAMED + 1)
    ).all()
    if having:
        raise Conflict(f"{first_few(having, MOST_NAMED)} have the role {name}.", hint="Give them another first.")
    gone, before = audit.difference(_recorded(wire(row), row), None), body(row)
    session.delete(row)
    audit.record(session, at=now, actor=actor, action="role.delete", subject=name, **gone)
    versions.record(session, versions.ROLES, name, before, None, action="delete", author=actor, at=now)


def wire(row: Role) -> dict[str, Any]:
    """A role as the API shows it."""
    return {"name": row.name, **body_shown(body(row)), "builtin": row.builtin}


def body(row: Role) -> dict[str, Any]:
    """A role as its versions keep it."""
    return {field: getattr(row, field) for field in FIELDS}


def body_shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body as anybody may see it."""
    return {**body, "vars": sealed.shown(body["vars"])}


def _recorded(shown: dict[str, Any], row: Role) -> dict[str, Any]:
    """A role as the audit, which forgets nothing, keeps it: what is only now declared to be secret was open before."""
    secret = {name for name, about in row.variables.items() if isinstance(about, Mapping) and about.get("secret")}
    said = {name: sealed.SHOWN if name in secret else value for name, value in shown["vars"].items()}
    return {**shown, "vars": said}


def _fill(row: Role, said: Mapping[str, Any]) -> None:
    for field in FIELDS:
        if field in said:
            setattr(row, field, said[field])


def _problems(said: Mapping[str, Any]) -> list[FieldProblem]:
    found = [
        FieldProblem(field, "is not an object.", 'Write {"name": ...}.')
        for field in ("packages", "services", "storage", "vars")
        if not isinstance(said.get(field, {}), Mapping)
    ]
    of_disks = said.get("storage")
    if isinstance(of_disks, Mapping) and of_disks.get("layout") is not None:
        found += storage.problems(of_disks["layout"], "storage.layout")
    if not isinstance(said.get("description", ""), str):
        found.append(FieldProblem("description", "is not a text."))
    for field, pattern in (("packages", PACKAGE), ("services", SERVICE)):
        families = said.get(field)
        for family, names in families.items() if isinstance(families, Mapping) else ():
            where = f"{field}.{family}"
            if family not in FAMILIES:
                found.append(FieldProblem(where, "is not a family.", f"Use {', '.join(FAMILIES)}."))
            elif not isinstance(names, list):
                found.append(FieldProblem(where, "is not a list."))
            else:
                fitting = package(family) if pattern is PACKAGE else pattern
                bad = [name for name in names if not isinstance(name, str) or not fitting.fullmatch(name)]
                found += [FieldProblem(where, f"{name!r} is not possible here.") for name in bad]
    return found
