"""Secrets at rest: one key file, made with 0600 at the first start, and what is encrypted with it.

A key that others can read is refused: whoever has copied it has every BMC password.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
import stat
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pxeapp.errors import ConfigError, PxeError

NONCE = 12  # bytes, as AES-GCM has them


class Undecryptable(PxeError):
    """A stored secret does not belong to the present key."""

    title = "Wrong key"


class Vault:
    """Encrypts and decrypts with the appliance's key, and derives keys for other purposes from it."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._fernet = Fernet(base64.urlsafe_b64encode(self.derive("encrypt")))
        self._sealing = AESGCM(self.derive("seal"))

    def encrypt(self, secret: str) -> str:
        """The secret as text that only this key opens."""
        return self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """The secret back; raises Undecryptable when the key file was replaced."""
        try:
            return self._fernet.decrypt(stored.encode()).decode()
        except InvalidToken:
            raise Undecryptable(
                "A stored secret cannot be decrypted with the present key file.",
                hint="Restore secret.key from the backup that belongs to this database, or enter the secret again.",
            ) from None

    def seal(self, content: bytes, *, belongs_to: str) -> bytes:
        """Bytes that only this key opens, and only where they belong: for what is written often, and is no password."""
        nonce = os.urandom(NONCE)
        return nonce + self._sealing.encrypt(nonce, content, belongs_to.encode())

    def unseal(self, stored: bytes, *, belongs_to: str) -> bytes:
        """The bytes back; raises Undecryptable for another key, another place, or a changed byte."""
        try:
            return self._sealing.decrypt(stored[:NONCE], stored[NONCE:], belongs_to.encode())
        except (InvalidTag, ValueError):
            raise Undecryptable(
                "What was kept cannot be opened with the present key file, or somebody has changed it.",
                hint="Restore secret.key from the backup that belongs to this database.",
            ) from None

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose (cookies, node tokens), so that no two purposes share a key."""
        return hmac.digest(self._key, purpose.encode(), "sha256")

    def __repr__(self) -> str:
        return "Vault(…)"


def open_vault(data_dir: Path) -> Vault:
    """Open `secret.key` in the data directory, making it at the first start."""
    path = data_dir / "secret.key"
    try:
        # What lies in it, the database and what machines were given, is nobody else's business.
        data_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        if not path.exists():
            _create(path)
        return Vault(_read(path))
    except OSError as error:
        raise ConfigError(
            f"The key file {path} cannot be used: {error.strerror or error}.",
            hint="PXEAPP_DATA_DIR must be a folder that this user may write to.",
        ) from error


def _create(path: Path) -> None:
    """Write the key beside its place and link it in: no other process ever reads half a key, and the first wins."""
    # A name of its own each time: two containers that share the folder may well have the same process number.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.urlsafe_b64encode(os.urandom(32)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _read(path: Path) -> bytes:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"The key file {path} can be read by others (mode {mode:04o}).",
            hint=f"Run: chmod 600 {path} — and change the BMC passwords if somebody may have copied it.",
        )
    try:
        key = base64.urlsafe_b64decode(path.read_bytes().strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError(f"The key file {path} is damaged.", hint="Restore it from your backup.")
    return key
