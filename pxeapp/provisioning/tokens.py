"""The tokens that a machine presents: derived from our key, so that they can be written again into the same
machine's boot script, and stored only as a hash.

`config` reads the answer file, a few times and for a short while; `callback` only writes, until the
attempt's deadline and a grace after its end. No token, no answer.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
from typing import Protocol

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from pxeapp.errors import NotFound
from pxeapp.prepared import Prepared, Runner
from pxeapp.provisioning import steps
from pxeapp.provisioning.models import Deployment, NodeToken
from pxeapp.vault import Vault

CONFIG = "config"
CALLBACK = "callback"
CONFIG_LIFETIME = dt.timedelta(hours=1)
# An installer fetches one file or two, Ubuntu's four: enough for three boots, or for answers that were lost on the way.
CONFIG_FETCHES = 12
GRACE = dt.timedelta(minutes=15)  # an installer whose answer was lost asks again: it gets the same 2xx, for this long
# No token lives longer than this from now on, whatever its row says: not even one from before the clock was set back.
LEEWAY = dt.timedelta(minutes=5)
LONGEST = {CONFIG: CONFIG_LIFETIME + LEEWAY, CALLBACK: steps.WHOLE_ATTEMPT + GRACE + LEEWAY}


_BY_HASH = select(NodeToken).where(NodeToken.token_hash == bindparam("wanted"))
_KNOWN = Prepared(
    select(NodeToken.token_hash, NodeToken.scope, NodeToken.expires_at, NodeToken.uses_left).where(
        NodeToken.token_hash == bindparam("wanted")
    )
)


class UnknownToken(NotFound):
    """No such token, or no longer: both look the same to whoever tries."""

    def __init__(self) -> None:
        super().__init__("There is nothing here.")


class Attempt(Protocol):
    """What tells one attempt from another: a Deployment, or what was read of it."""

    @property
    def id(self) -> int: ...
    @property
    def machine_id(self) -> int: ...
    @property
    def attempt(self) -> int: ...


def derive(vault: Vault, deployment: Attempt, scope: str) -> str:
    """The attempt's token for one scope: 256 bits, the same at every call."""
    what = f"{scope}:{deployment.machine_id}:{deployment.id}:{deployment.attempt}".encode()
    digest = hmac.digest(vault.derive("node-token"), what, "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def hashed(token: str) -> str:
    """What is stored of a token. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token[:128].encode()).hexdigest()


def issue(session: Session, vault: Vault, deployment: Deployment, *, now: dt.datetime) -> None:
    """Make the attempt's tokens valid; idempotent."""
    session.execute(delete(NodeToken).where(NodeToken.deployment_id == deployment.id))
    for scope, expires, uses in (
        (CONFIG, now + CONFIG_LIFETIME, CONFIG_FETCHES),
        (CALLBACK, deployment.deadline + GRACE, None),
    ):
        session.add(
            NodeToken(
                token_hash=hashed(derive(vault, deployment, scope)),
                deployment_id=deployment.id,
                scope=scope,
                expires_at=expires,
                uses_left=uses,
            )
        )


def redeem(session: Session, token: str, scope: str, *, now: dt.datetime) -> int:
    """The deployment that a token belongs to, counting one use; raises UnknownToken. Needs a write transaction."""
    row = _lookup(session, token, scope, now)
    if row.uses_left is not None:
        used = session.execute(
            update(NodeToken)
            .where(NodeToken.token_hash == row.token_hash, NodeToken.uses_left > 0)
            .values(uses_left=NodeToken.uses_left - 1)
        )
        if used.rowcount != 1:  # type: ignore[attr-defined]
            raise UnknownToken
    return row.deployment_id


def check(run: Runner, token: str, scope: str, *, now: dt.datetime) -> None:
    """Raises UnknownToken for one that `redeem` would not take; changes nothing. Done before a body is read."""
    wanted = hashed(token)
    row = run.first(_KNOWN, wanted=wanted)
    if row is None:
        raise UnknownToken
    found, found_scope, expires_at, uses_left = row
    refuse_unless(found, found_scope, expires_at, wanted=wanted, scope=scope, now=now)
    if uses_left == 0:
        raise UnknownToken


def _lookup(session: Session, token: str, scope: str, now: dt.datetime) -> NodeToken:
    wanted = hashed(token)
    row = session.scalar(_BY_HASH, {"wanted": wanted})
    if row is None:
        raise UnknownToken
    refuse_unless(row.token_hash, row.scope, row.expires_at, wanted=wanted, scope=scope, now=now)
    return row


def refuse_unless(
    found: str, found_scope: str, expires_at: dt.datetime, *, wanted: str, scope: str, now: dt.datetime
) -> None:
    """Raises UnknownToken unless what was found for a hash is the token that is wanted, and still good."""
    # The look-up is by hash, which an attacker cannot steer; the comparison is constant-time all the same.
    if not hmac.compare_digest(found, wanted):
        raise UnknownToken
    if found_scope != scope or not now < expires_at <= now + LONGEST[scope]:
        raise UnknownToken


def expire(session: Session, deployment: Deployment, *, now: dt.datetime) -> None:
    """The attempt is over: config dies at once, callback after the grace (a lost answer is asked for again)."""
    retire_config(session, deployment)
    session.execute(
        update(NodeToken)
        .where(NodeToken.deployment_id == deployment.id, NodeToken.expires_at > now + GRACE)
        .values(expires_at=now + GRACE)
    )


def retire_config(session: Session, deployment: Deployment) -> None:
    """The installer is done reading."""
    session.execute(delete(NodeToken).where(NodeToken.deployment_id == deployment.id, NodeToken.scope == CONFIG))
