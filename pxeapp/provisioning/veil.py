"""What stands for a secret where texts are compared: something that differs when the secret does, and says no more."""

from __future__ import annotations

import hmac
import secrets

from pxeapp.answers import render

SHOWN = 4  # hexadecimal digits, more where two secrets would look alike


class Veil:
    """Shows each secret as `***(a1b2)`: by a keyed hash that is cut short.

    The key is this veil's own: what one comparison shows tells nothing in another, and nobody can try words against it.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)
        self._shown: dict[str, str] = {}
        self._taken: set[str] = set()

    def hide(self, secret: str) -> str:
        """What stands for it: the same for the same one, another for another."""
        if secret not in self._shown:
            digest = hmac.digest(self._key, secret.encode(), "sha256").hex()
            length = next(each for each in range(SHOWN, len(digest) + 1) if digest[:each] not in self._taken)
            self._taken.add(digest[:length])
            self._shown[secret] = f"{render.MASK}({digest[:length]})"
        return self._shown[secret]
