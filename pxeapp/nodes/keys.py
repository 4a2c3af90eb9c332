"""The appliance's own ssh key, and what a host key of a machine looks like.

The private key is never stored: it is derived from the vault's key file, so that every process has the same one, a
backup holds it, and whoever has only the database has not. Nothing of asyncssh is needed here: the process that talks
to machines over HTTP loads this module too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_public_key,
)

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.vault import Vault

KINDS = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
)  # fmt: skip
MOST_KEYS = 8  # a system has three
MOST_LENGTH = 3000  # characters of one: RSA with 16384 bits has 2,800
_KEY = re.compile(r"([a-z0-9-]{7,20}) ([A-Za-z0-9+/]{40,2980}={0,2})")
COMMENT = "pxeapp"


def private_key(vault: Vault) -> str:
    """The appliance's private key, as OpenSSH writes it. Only for the hand that opens a connection."""
    return _own(vault).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def public_key(vault: Vault) -> str:
    """The line that lets the appliance in, for an authorized_keys."""
    written = _own(vault).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return f"{written} {COMMENT}"


def _own(vault: Vault) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(vault.derive("ssh key to installed machines"))


def host_keys(said: Sequence[object], *, field: str = "host_keys") -> list[str]:
    """Host keys in their one spelling, without their comments; raises Invalid with each that is none."""
    if len(said) > MOST_KEYS:
        raise Invalid(
            f"A machine has no {len(said)} host keys.",
            problems=[FieldProblem(field, f"has {len(said)} of them.", f"Send at most {MOST_KEYS}.")],
        )
    found: dict[str, None] = {}
    problems = []
    for number, each in enumerate(said):
        key = _host_key(each)
        if key is None:
            fix = "Send lines of /etc/ssh/ssh_host_*_key.pub: ssh-ed25519 AAAA..."
            problems.append(FieldProblem(f"{field}.{number}", "is not an ssh public key.", fix))
        else:
            found[key] = None
    if problems:
        raise Invalid("These are not ssh host keys.", problems=problems)
    return list(found)


def usable(said: Sequence[object]) -> tuple[str, ...]:
    """Those of a system's own report that are host keys: an installation does not fail for a key of some other kind."""
    found = (_host_key(each) for each in said[:MOST_KEYS])
    return tuple(dict.fromkeys(key for key in found if key is not None))


def _host_key(said: object) -> str | None:
    if not isinstance(said, str) or len(said) > MOST_LENGTH:
        return None
    match = _KEY.fullmatch(" ".join(said.split(maxsplit=2)[:2]))
    if match is None or match[1] not in KINDS:
        return None
    try:
        load_ssh_public_key(match[0].encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return match[0]


def fingerprint(key: str) -> str:
    """As ssh-keygen -l shows it: SHA256:..."""
    try:
        content = base64.b64decode(key.split()[1], validate=True)
    except (IndexError, binascii.Error):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
