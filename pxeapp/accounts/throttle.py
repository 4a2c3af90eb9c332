"""Slows down guessing, for all processes of the appliance together: tries are rows.

Each try counts for its address and for its name. A stranger can use up both, and would so lock out whoever owns the
name. Therefore a browser that has signed in before carries a signed cookie of that account, and its tries count for
that cookie alone: what strangers do does not concern it, and a stolen cookie gives ten tries like any address.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import threading
from collections.abc import Mapping

from sqlalchemy import delete, func, select

from pxeapp.accounts.models import SignInTry
from pxeapp.db import Database, one_at_a_time
from pxeapp.errors import TooMany

WINDOW = dt.timedelta(minutes=5)
TRIES = 10  # from one address, or with one browser's cookie
TRIES_AT_NAME = 100  # from everywhere
TRIES_OF_CODE = 5  # of a second factor, by somebody who has the password
# Checking a password costs memory and time on purpose: whoever sends many at once waits in line for it.
one_password_at_a_time = threading.Lock()

Limits = Mapping[str, int]


def of_sign_in(name: str, address: str, device: str = "") -> Limits:
    """What a try to sign in counts for. `device` is what this browser's cookie says for this very name."""
    if device:
        return {f"device:{device}": TRIES}
    # Not the name itself: people type their password into its field.
    return {f"address:{_net(address)}": TRIES, f"name:{hashlib.sha256(name.encode()).hexdigest()[:32]}": TRIES_AT_NAME}


def of_code(user_id: int) -> Limits:
    """What a code of a second factor counts for."""
    return {f"code:{user_id}": TRIES_OF_CODE}


def of_password(user_id: int) -> Limits:
    """What the old password counts for where a new one is asked for."""
    return {f"password:{user_id}": TRIES}


def count(database: Database, limits: Limits, now: dt.datetime) -> None:
    """Note a try, before anything is looked at; raises TooMany when there were too many lately."""
    since = now - WINDOW
    wanted = select(SignInTry.key, func.count(), func.min(SignInTry.at)).where(
        SignInTry.key.in_(list(limits)), SignInTry.at > since, SignInTry.at <= now
    )
    with database.read() as session:
        _refuse_more(limits, session.execute(wanted.group_by(SignInTry.key)).all(), now)
    with database.write() as session:
        one_at_a_time(session, "sign-in tries")
        _refuse_more(limits, session.execute(wanted.group_by(SignInTry.key)).all(), now)
        session.execute(delete(SignInTry).where(SignInTry.at <= since))
        session.add_all(SignInTry(key=key, at=now) for key in limits)


def forgive(database: Database, limits: Limits, now: dt.datetime) -> None:
    """It was right: the try that was noted at this moment does not count."""
    with database.write() as session:
        session.execute(delete(SignInTry).where(SignInTry.key.in_(list(limits)), SignInTry.at == now))


def _refuse_more(limits: Limits, found: object, now: dt.datetime) -> None:
    for key, number, first in found:  # type: ignore[attr-defined]
        if number >= limits[key]:
            left = max(1, int((first + WINDOW - now).total_seconds()))
            raise TooMany("There were too many tries.", hint="Wait five minutes.", after_s=left)


def _net(address: str) -> str:
    """Whoever has an IPv6 address has 2**64 of them."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:45]
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
