"""What somebody had typed into a form whose session was over: kept through the sign-in, encrypted, never a secret."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from werkzeug.datastructures import MultiDict

from pxeapp.vault import Undecryptable, Vault

MOST = 64 * 1024  # characters; longer ones are not carried along
_SECRET = re.compile(r"passw|secret|token|csrf|^code$|^old$|^new$|^again$|^kept$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Typed:
    """A form: where it goes, and its fields."""

    path: str
    fields: list[tuple[str, str]]


def keep(vault: Vault, path: str, form: MultiDict[str, str]) -> str:
    """A text for a hidden field; empty where there is nothing to keep, or too much."""
    fields = [(name, value) for name, value in form.items(multi=True) if not _SECRET.search(name)]
    text = json.dumps([path, fields])
    return vault.encrypt(text) if fields and len(text) <= MOST else ""


def open_(vault: Vault, kept: str) -> Typed | None:
    """The form back; None for what we did not write."""
    try:
        path, fields = json.loads(vault.decrypt(kept))
    except (Undecryptable, ValueError, TypeError):
        return None
    return Typed(path, [(name, value) for name, value in fields])
