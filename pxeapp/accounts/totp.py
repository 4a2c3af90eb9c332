"""One-time codes as RFC 6238 has them: six digits of HMAC-SHA-1 over the number of the half minute."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import secrets
from urllib.parse import quote, urlencode

STEP_S = 30
DIGITS = 6
AROUND = 1  # steps before and after now: clocks differ, and people type slowly
ISSUER = "pxeapp"


def new_secret() -> str:
    """160 bits, as RFC 4226 recommends, in the letters that people can type."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def step_of(now: dt.datetime) -> int:
    """The number of the half minute."""
    return int(now.timestamp()) // STEP_S


def code(secret: str, step: int) -> str:
    """The code of one step."""
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    at = digest[-1] & 0x0F
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def matching_step(secret: str, said: str, now: dt.datetime, *, after: int) -> int | None:
    """The step that a code is of; None where it is wrong, or of a step that was used already."""
    plain = "".join(said.split())
    present = step_of(now)
    found = None
    for step in range(present - AROUND, present + AROUND + 1):
        if hmac.compare_digest(code(secret, step).encode(), plain.encode()) and step > after:
            found = step
    return found


def uri(secret: str, name: str) -> str:
    """What an authenticator reads from the picture."""
    said = urlencode({"secret": secret, "issuer": ISSUER, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_S})
    return f"otpauth://totp/{quote(ISSUER)}:{quote(name)}?{said}"
