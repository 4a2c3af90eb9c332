"""Adding, changing and removing clouds, and what it takes to sign in to one."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cryptography import x509
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.clouds.access import Access
from pxeapp.clouds.models import Cloud
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.machines import sealed
from pxeapp.machines.models import Cluster
from pxeapp.vault import Vault

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
AUTH_URL = r"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?$"
MOST = 200
LONGEST_CA = 100_000
OF_CLUSTER = "cluster:"  # before a cluster's name: the cloud that its controller is
FIELDS = (
    "auth_url", "region", "interface", "username", "user_domain", "project", "project_domain",
    "application_credential", "ca",
)  # fmt: skip
DEFAULTS = {"interface": "public", "user_domain": "Default", "project_domain": "Default"}
# A secret is sent to where these lead. Whoever changes one says the secret again, so that it cannot be led elsewhere.
LEADS_ELSEWHERE = ("auth_url", "ca")


def get(session: Session, name: str, *, lock: bool = False) -> Cloud:
    """A cloud by name; raises NotFound."""
    query = select(Cloud).where(Cloud.name == name)
    row = session.scalar(query.with_for_update() if lock else query) if re.fullmatch(NAME, name) else None
    if row is None:
        raise NotFound(f"There is no cloud {name[:80]!r}.", hint="See: pxeapp cloud list")
    return row


def listing(session: Session, *, after: str = "", limit: int = 100) -> Sequence[Cloud]:
    """Clouds by name."""
    return session.scalars(select(Cloud).where(Cloud.name > after).order_by(Cloud.name).limit(limit)).all()


def create(session: Session, vault: Vault, said: Mapping[str, Any], *, actor: str, now: dt.datetime) -> Cloud:
    """Add a cloud; raises Invalid with every problem, and then nothing was added."""
    name = str(said.get("name", ""))
    values = {field: _text(said.get(field)) or DEFAULTS.get(field, "") for field in FIELDS}
    secret = _secret(said.get("secret"))
    problems = [] if re.fullmatch(NAME, name) else [
        FieldProblem("name", f"{name[:80]!r} cannot be a cloud's name.", "Use a-z, 0-9 and dashes, at most 63.")
    ]  # fmt: skip
    problems += _problems(values)
    if not secret:
        problems.append(FieldProblem("secret", "is missing.", "Give the password, or the application credential's."))
    if problems:
        raise Invalid("The cloud cannot be added.", problems=problems)
    if session.scalar(select(Cloud.id).where(Cloud.name == name)) is not None:
        raise Conflict(f"There already is a cloud {name}.")
    if (session.scalar(select(func.count()).select_from(Cloud)) or 0) >= MOST:
        raise Conflict(f"There are {MOST} clouds already.", hint="Remove one that nobody needs.")
    row = Cloud(name=name, **values, secret_encrypted=vault.encrypt(secret), version=1, created_at=now, updated_at=now)
    session.add(row)
    session.flush()
    audit.record(
        session, at=now, actor=actor, action="cloud.create", subject=name, **audit.difference(None, _audited(row))
    )
    return row


def change(
    session: Session, vault: Vault, row: Cloud, said: Mapping[str, Any], *, actor: str, now: dt.datetime
) -> list[str]:
    """Change what is given; returns what really changed."""
    before = _audited(row)
    values = {field: getattr(row, field) for field in FIELDS}
    values |= {field: _text(said[field]) or DEFAULTS.get(field, "") for field in FIELDS if said.get(field) is not None}
    secret = _secret(said.get("secret"))
    changed = [field for field in FIELDS if values[field] != getattr(row, field)]
    problems = list(_problems(values))
    if set(changed) & set(LEADS_ELSEWHERE) and not secret:
        fix = "Send it too: a stored secret is never led to another address."
        problems.append(FieldProblem("secret", "is missing, and where it is sent to changes.", fix))
    if problems:
        raise Invalid("The cloud cannot be changed.", problems=problems)
    for field in changed:
        setattr(row, field, values[field])
    if secret and secret != vault.decrypt(row.secret_encrypted):
        row.secret_encrypted = vault.encrypt(secret)
        changed.append("secret")
    if changed:
        row.version += 1
        row.updated_at = now
        session.flush()
        audit.record(
            session, at=now, actor=actor, action="cloud.change", subject=row.name, changed=changed,
            **audit.difference(before, _audited(row)),
        )  # fmt: skip
    return changed


def delete(session: Session, row: Cloud, *, actor: str, now: dt.datetime) -> None:
    """Forget it with its secret."""
    gone = audit.difference(_audited(row), None)
    audit.record(session, at=now, actor=actor, action="cloud.delete", subject=row.name, **gone)
    session.delete(row)


def access(session: Session, vault: Vault, name: str) -> Access:
    """What it takes to sign in to a cloud, or to `cluster:NAME`, whose secrets the appliance made itself.

    Raises NotFound for a name that is none, and Invalid for a cluster that has no controller of ours.
    """
    if name.startswith(OF_CLUSTER):
        return _of_cluster(session, vault, name.removeprefix(OF_CLUSTER))
    row = get(session, name)
    return Access(
        name=row.name, secret=vault.decrypt(row.secret_encrypted), **{field: getattr(row, field) for field in FIELDS}
    )


def wire(row: Cloud) -> dict[str, Any]:
    """A cloud as the API shows it: never its secret."""
    return {
        "name": row.name,
        **{field: getattr(row, field) for field in FIELDS},
        "version": row.version,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }


def _of_cluster(session: Session, vault: Vault, name: str) -> Access:
    """As roles/controller sets it up: keystone on port 5000 of `controller`, its admin in the project admin."""
    row = session.scalar(select(Cluster).where(Cluster.name == name))
    if row is None:
        raise NotFound(f"There is no cluster {name[:80]!r}.", hint="See: pxeapp cluster list")
    controller, secret = row.vars.get("controller"), row.secrets.get("admin_password")
    if not isinstance(controller, str) or not controller or secret is None or not sealed.is_sealed(secret):
        raise Invalid(
            f"The cluster {name} has no controller that this appliance installed.",
            hint="Its variable controller and its secret admin_password say how it is reached; or add a cloud by hand.",
        )
    host = f"[{controller}]" if ":" in controller else controller
    return Access(
        name=f"{OF_CLUSTER}{name}", auth_url=f"http://{host}:5000/v3", secret=str(sealed.opened(vault, secret)),
        region=str(row.vars.get("region") or "RegionOne"), username="admin", project="admin",
    )  # fmt: skip


def _problems(values: Mapping[str, str]) -> Iterable[FieldProblem]:
    if not re.fullmatch(AUTH_URL, values["auth_url"]) or len(values["auth_url"]) > 500:
        shown = values["auth_url"][:60]
        yield FieldProblem("auth_url", f"{shown!r} is no keystone.", "Write https://cloud.example.org:5000/v3.")
    if values["interface"] not in ("public", "internal", "admin"):
        yield FieldProblem("interface", f"{values['interface'][:20]!r} is none.", "Use public, internal or admin.")
    for field in FIELDS:
        if field != "ca" and (not values[field].isprintable() or len(values[field]) > 255) and field != "auth_url":
            yield FieldProblem(field, "is not one line of text.", "Use at most 255 characters.")
    if values["application_credential"]:
        if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", values["application_credential"]):
            fix = "Give its id, not its name: a name is known to its own user only."
            yield FieldProblem("application_credential", "is not the id of one.", fix)
        yield from (
            FieldProblem(field, "is said beside an application credential.", "Leave it empty: it has its own.")
            for field in ("username", "project")
            if values[field]
        )
    else:
        yield from (
            FieldProblem(field, "is missing.", "Say it, or an application_credential.")
            for field in ("username", "project")
            if not values[field]
        )
    yield from _ca_problems(values["ca"])


def _ca_problems(text: str) -> Iterable[FieldProblem]:
    fix = "Paste the certificates of the authority as PEM, -----BEGIN CERTIFICATE----- included."
    if not text:
        return
    try:
        if len(text) > LONGEST_CA or not x509.load_pem_x509_certificates(text.encode()):
            yield FieldProblem("ca", "holds no certificate, or too many.", fix)
    except ValueError:
        yield FieldProblem("ca", "is not a certificate.", fix)


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _secret(value: Any) -> str:
    """A password is taken to the letter; what the API shows in its place means: as it is."""
    return "" if value is None or value == sealed.SHOWN else str(value)


def _audited(row: Cloud) -> dict[str, Any]:
    return {field: getattr(row, field) for field in FIELDS}
