"""Roles: the built-in ones, and how a site's own are kept."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.answers.models import Role
from pxeapp.answers.spec import PACKAGE, SERVICE
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
BASE = {
    "debian": ["openssh-server", "chrony", "curl", "sudo", "lvm2", "python3"],
    "el": ["openssh-server", "chrony", "curl", "sudo", "lvm2", "python3"],
}
# What the operating system itself must bring for the role; OpenStack's services come with the roles' own depth.
BUILTIN: dict[str, dict[str, Any]] = {
    "base": {
        "description": "A plain server: ssh, time, LVM, Python for configuration management.",
        "packages": BASE,
        "services": {"debian": ["ssh", "chrony"], "el": ["sshd", "chronyd"]},
    },
    "compute": {
        "description": "An OpenStack compute node: ready for libvirt and Open vSwitch.",
        "packages": {
            "debian": [*BASE["debian"], "bridge-utils", "ethtool"],
            "el": [*BASE["el"], "ethtool", "tuned"],
        },
        "services": {"debian": ["ssh", "chrony"], "el": ["sshd", "chronyd", "tuned"]},
    },
    "storage": {
        "description": "A block- or object-storage node: data disks are left alone for Cinder, Swift or Ceph.",
        "packages": {
            "debian": [*BASE["debian"], "xfsprogs", "rsync", "thin-provisioning-tools"],
            "el": [*BASE["el"], "xfsprogs", "rsync", "device-mapper-persistent-data"],
        },
        "services": {"debian": ["ssh", "chrony"], "el": ["sshd", "chronyd"]},
    },
}
FAMILIES = ("debian", "el")


def ensure_builtin(session: Session) -> None:
    """Add the built-in roles that are missing; a site's changes to them stay. Idempotent."""
    known = set(session.scalars(select(Role.name)))
    for name, said in BUILTIN.items():
        if name not in known:
            session.add(Role(name=name, builtin=True, storage={}, vars={}, **said))


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
    row = Role(name=name, builtin=False, description="", packages={}, services={}, storage={}, vars={})
    _fill(row, said)
    session.add(row)
    session.flush()
    audit.record(session, at=now, actor=actor, action="role.create", subject=name)
    return row


def change(session: Session, name: str, said: Mapping[str, Any], *, actor: str, now: dt.datetime) -> Role:
    """Change a role; machines get it at their next deployment."""
    row = get(session, name)
    if problems := [*_problems(said)]:
        raise Invalid("The role cannot be changed.", problems=problems)
    _fill(row, said)
    audit.record(session, at=now, actor=actor, action="role.change", subject=name, changed=sorted(said))
    return row


def wire(row: Role) -> dict[str, Any]:
    """A role as the API shows it."""
    return {
        name: getattr(row, name)
        for name in ("name", "description", "packages", "services", "storage", "vars", "builtin")
    }


def _fill(row: Role, said: Mapping[str, Any]) -> None:
    for field in ("description", "packages", "services", "storage", "vars"):
        if field in said:
            setattr(row, field, said[field])


def _problems(said: Mapping[str, Any]) -> list[FieldProblem]:
    found = [
        FieldProblem(field, "is not an object.", 'Write {"name": ...}.')
        for field in ("packages", "services", "storage", "vars")
        if not isinstance(said.get(field, {}), Mapping)
    ]
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
                bad = [name for name in names if not isinstance(name, str) or not pattern.fullmatch(name)]
                found += [FieldProblem(where, f"{name!r} is not possible here.") for name in bad]
    return found
