"""Whose signatures a mirror believes: a keyring that lies on this machine, by its name, or a key that came with it."""

from __future__ import annotations

from pathlib import Path

from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software.cache.configured import effective, keyring_folders
from pxeapp.software.mirrors.selection import Selection
from pxeapp.software.repositories import openpgp

ENDINGS = (".gpg", ".asc", ".pgp", "")
OF_FAMILY = {"debian": "debian-archive-keyring", "ubuntu": "ubuntu-archive-keyring"}


def named(settings: Settings, name: str) -> bytes:
    """A keyring's content by its name; raises Invalid with where it was looked for."""
    for folder in keyring_folders(settings):
        for ending in ENDINGS:
            path = folder / f"{name}{ending}"
            if path.is_file():
                return path.read_bytes()
    looked = ", ".join(map(str, keyring_folders(settings)))
    problem = FieldProblem("keyring", f"There is no keyring {name} in {looked}.", _fix(name))
    raise Invalid(str(problem), problems=[problem], hint="")


def of(settings: Settings, database: Database, selection: Selection) -> bytes | None:
    """What a mirror's signatures are verified with; None where there is nothing, which is for the caller to judge.

    An operator's key, else the keyring that was named, else that of the upstream (see cache/), else the distribution's.
    """
    if selection.key:
        return openpgp.binary_keyring(selection.key.encode())
    if selection.keyring:
        return named(settings, selection.keyring)
    with database.read() as session:
        known = effective(session, settings)
    for source in selection.sources:
        keyring = known[source.upstream].keyring if source.upstream in known else ""
        if keyring and Path(keyring).is_file():
            return Path(keyring).read_bytes()
    name = OF_FAMILY.get(selection.family)
    return named(settings, name) if name else None


def _fix(name: str) -> str:
    if name in OF_FAMILY.values():
        return f"Install the package {name}, or give the publisher's key with the mirror."
    return "Put it there, or give the publisher's key with the mirror."
