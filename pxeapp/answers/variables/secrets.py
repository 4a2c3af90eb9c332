"""Secrets that the appliance makes itself: inert in every file and URL that they may end up in."""

from __future__ import annotations

import base64
import secrets
import string
import uuid
from collections.abc import Callable

LENGTH = 32  # 190 bits
_LETTERS = string.ascii_letters
_ALPHABET = string.ascii_letters + string.digits


def password() -> str:
    """Letters and digits, a letter first: no YAML takes it for a number, no shell or URL for anything else."""
    return secrets.choice(_LETTERS) + "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH - 1))


def _fernet() -> str:
    """A key as Keystone and Barbican keep them."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


# By what a variable's `generate` says; `no` is not here: such a secret is only ever entered.
MAKERS: dict[str, Callable[[], str]] = {
    "password": password,
    "fernet": _fernet,
    "hex": lambda: secrets.choice("abcdef") + secrets.token_hex(32)[1:],
    "uuid": lambda: str(uuid.uuid4()),
}
# What stands in a preview for one that is not made yet: of the right form, and masked like a real one.
PLACEHOLDERS: dict[str, str] = {
    "password": "not-generated-yet",
    "fernet": base64.urlsafe_b64encode(b"not generated yet".ljust(32, b".")).decode(),
    "hex": "0123456789abcdef" * 4,
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def makes(generate: str) -> bool:
    """Whether a secret of this kind is made here."""
    return generate in MAKERS
