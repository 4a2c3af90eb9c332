"""The second factor: set up in two steps, asked for at sign-in, and the recovery codes for who lost it."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets

from sqlalchemy import update
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.accounts import totp
from pxeapp.accounts.models import User
from pxeapp.errors import Conflict, FieldProblem, Invalid
from pxeapp.vault import Vault

RECOVERY_CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def begin(session: Session, vault: Vault, user: User) -> str:
    """A new secret to be put into an authenticator; nothing is asked for until a code of it was entered."""
    session.flush()
    session.refresh(user, with_for_update=True)
    if user.totp_secret:
        raise Conflict("You have a second factor already.", hint="Remove it first to set up another one.")
    if not user.totp_pending:  # who loads the page again sees the same one
        user.totp_pending = vault.encrypt(totp.new_secret())
    return vault.decrypt(user.totp_pending)


def confirm(session: Session, vault: Vault, user: User, code: str, *, now: dt.datetime) -> list[str]:
    """Turn it on with a first code; returns the recovery codes, which are never to be had again."""
    session.flush()
    session.refresh(user, with_for_update=True)
    if not user.totp_pending:
        raise Conflict("There is no second factor being set up.", hint="Begin again.")
    step = totp.matching_step(vault.decrypt(user.totp_pending), code, now, after=0)
    if step is None:
        raise wrong_code()
    user.totp_secret, user.totp_pending, user.totp_step = user.totp_pending, "", step
    audit.record(session, at=now, actor=f"user:{user.name}", action="totp.enable", subject=user.name)
    return _new_recovery_codes(user)


def renew_recovery_codes(session: Session, user: User, *, now: dt.datetime) -> list[str]:
    """New recovery codes; the old ones are worth nothing any more."""
    session.flush()
    session.refresh(user, with_for_update=True)
    if not user.totp_secret:
        raise Conflict("You have no second factor.", hint="Set it up first.")
    audit.record(session, at=now, actor=f"user:{user.name}", action="totp.recovery_codes", subject=user.name)
    return _new_recovery_codes(user)


def check(session: Session, vault: Vault, user: User, said: str, *, now: dt.datetime) -> str:
    """Use up a code, or a recovery code; returns which it was. Raises Invalid for a wrong or a used one."""
    session.flush()
    step = totp.matching_step(vault.decrypt(user.totp_secret), said, now, after=user.totp_step)
    if step is not None:
        # Compare and set: of two who come with the same code at once, one gets in.
        used = update(User).where(User.id == user.id, User.totp_step < step).values(totp_step=step)
        if session.execute(used.execution_options(synchronize_session=False)).rowcount == 1:  # type: ignore[attr-defined]
            return "code"
        raise wrong_code()
    session.flush()
    session.refresh(user, with_for_update=True)
    digest = _digest(said)
    left = [kept for kept in user.recovery_hashes if not hmac.compare_digest(kept, digest)]
    if len(left) == len(user.recovery_hashes):
        raise wrong_code()
    user.recovery_hashes = left
    audit.record(session, at=now, actor=f"user:{user.name}", action="totp.recovered", subject=user.name, left=len(left))
    return "recovery code"


def remove(session: Session, user: User, *, actor: str, now: dt.datetime) -> None:
    """Take it away; nothing happens where there is none."""
    if user.totp_secret or user.totp_pending:
        user.totp_secret = user.totp_pending = ""
        user.recovery_hashes = []
        audit.record(session, at=now, actor=actor, action="totp.disable", subject=user.name)


def picture(secret: str, name: str) -> str:
    """The QR code as a data URI of an SVG image: no script, no other host."""
    import segno  # cost: 0.1 s for every process that knows accounts, and a picture is drawn once in a user's life

    return segno.make(totp.uri(secret, name), error="m").svg_data_uri(scale=5, border=4, dark="#000", light="#fff")


def wrong_code() -> Invalid:
    """What is said for every wrong code, whatever is wrong with it."""
    problem = FieldProblem("code", "is wrong or was used before.", "Wait for the next one and enter that.")
    return Invalid("The code is wrong or was used before.", problems=[problem])


def _new_recovery_codes(user: User) -> list[str]:
    codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
    user.recovery_hashes = [_digest(each) for each in codes]
    return codes


def _recovery_code() -> str:
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(3))


def _digest(said: str) -> str:
    plain = "".join(letter for letter in said.lower() if letter.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()
