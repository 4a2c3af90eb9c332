"""Passwords: how they are kept, which ones are refused and why, and one-time ones."""

from __future__ import annotations

import base64
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from pxeapp.errors import FieldProblem

MIN_PASSWORD, MAX_PASSWORD = 10, 1000
FEW = 4  # different characters: fewer are no password, however long
# OWASP's smaller setting: the default's 64 MiB for each try would let a guesser without an account fill the memory.
TIMES, KIB, LANES = 3, 19 * 1024, 1
_hasher = PasswordHasher(time_cost=TIMES, memory_cost=KIB, parallelism=LANES)


def _of_nobody() -> str:
    """What no password fits, made without the work that verifying it takes: every process imports this."""
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={KIB},t={TIMES},p={LANES}${salt}${digest}"


# Verified against when the user does not exist, so that the answer takes as long as for one who does.
_NOBODY = _of_nobody()
# Of the lists that guessers begin with, those that are long enough for us.
_GUESSED_FIRST = """
1234567890 12345678910 0123456789 0987654321 1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx3edc qwertyuiop qwerty12345 qwertyuiop123
asdfghjkl123 zaq12wsxcde3 password12 password123 password1234 password12345 passw0rd123 p@ssw0rd123 p@ssword123
administrator administrator1 admin12345 admin123456 adminadmin welcome123 welcome1234 letmein123 changeme123 changemenow
iloveyou123 sunshine123 princess123 football123 baseball123 superman123 trustno1trustno1 correcthorsebatterystaple
secretsecret secret12345 rootroot123 openstack123 ubuntu12345 test123456 testtesttest default123 calvin12345 1111111111
abcdefghij abcdefghijk abcd123456 a123456789 q1w2e3r4t5 woaini1314 aa123456789 5201314520 woaini520520
"""
_COMMON = frozenset(_GUESSED_FIRST.split())


def hashed(password: str) -> str:
    """As it is kept."""
    return _hasher.hash(password)


def fits(kept: str, password: str) -> bool:
    """Whether it is the password; takes as long where there is none."""
    try:
        _hasher.verify(kept or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return bool(kept)


def one_time() -> str:
    """A password that somebody reads out or types over, once: no letter that looks like a digit."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))


def problems(password: str, *, name: str = "", field: str = "password") -> list[FieldProblem]:
    """Everything that is wrong with a new password."""
    plain = password.casefold()
    if len(password) < MIN_PASSWORD:
        return [FieldProblem(field, "is too short.", f"Use at least {MIN_PASSWORD} characters.")]
    if len(password) > MAX_PASSWORD:
        return [FieldProblem(field, "is too long.", f"Use at most {MAX_PASSWORD} characters.")]
    if plain in _COMMON:
        return [FieldProblem(field, "is one of those that are guessed first.", "Use several words of your own.")]
    if len(set(plain)) < FEW:
        return [FieldProblem(field, "repeats the same few characters.", "Use several words of your own.")]
    if len(name) >= FEW and plain.replace(name.casefold(), "") == plain.replace(name.casefold(), "")[: FEW - 1]:
        return [FieldProblem(field, "is little more than the user name.", "Use several words of your own.")]
    return []
