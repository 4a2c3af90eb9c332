"""Accounts of people whom an OpenID provider vouches for: made when they come, with what their groups give them now."""

from __future__ import annotations

import datetime as dt
import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.accounts import grants, service
from pxeapp.accounts.models import User
from pxeapp.accounts.oidc import Identity
from pxeapp.config import Settings
from pxeapp.errors import Forbidden

MOST_NAME = 63


def account(session: Session, settings: Settings, who: Identity, *, now: dt.datetime) -> User:
    """The account of somebody who came back; raises Forbidden. Role and projects are what the groups say today."""
    user = session.scalar(select(User).where(User.external_id == who.external_id).with_for_update())
    found = grants.best(settings.oidc_roles, who.groups)
    if found is None:
        raise Forbidden(
            "None of your groups at the provider means anything here.",
            hint="An admin maps them with PXEAPP_OIDC_ROLES.",
        )
    role, projects = found
    listed = None if projects is None else sorted(projects)
    if user is None:
        user = _new(session, who, role, listed, now)
    elif user.disabled:
        raise Forbidden("This account is disabled.", hint="Ask an admin.")
    elif (user.role, user.projects) != (role, listed):
        before = service.shown(user)
        user.role, user.projects = role, listed
        audit.record(
            session, at=now, actor="system:oidc", action="user.change", subject=user.name,
            changed=["role", "projects"], **audit.difference(before, service.shown(user)),
        )  # fmt: skip
    return user


def _new(session: Session, who: Identity, role: str, projects: list[str] | None, now: dt.datetime) -> User:
    name = re.sub(r"[^a-z0-9._@-]+", "-", who.name.lower()).strip("-._@")[:MOST_NAME]
    if not name:
        raise Forbidden("The provider gives no name that could be an account's.")
    if session.scalar(select(User.id).where(User.name == name)) is not None:
        # Never into an account that is there: whoever may choose a name at the provider would be its owner.
        raise Forbidden(
            f"There already is another account {name} here.", hint="Ask an admin to rename or remove one of them."
        )
    user = User(
        name=name, role=role, projects=projects, password_hash="", created_at=now, source=service.OIDC,
        external_id=who.external_id,
    )  # fmt: skip
    session.add(user)
    session.flush()
    audit.record(
        session, at=now, actor="system:oidc", action="user.create", subject=name, role=role, after=service.shown(user)
    )
    return user
