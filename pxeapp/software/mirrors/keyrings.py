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


def of(settings: Settings, database: Database, selection: Selection) -> list[bytes | None]:
    """What each source's signatures are verified with; None where there is nothing, which is for the caller to judge.

    What was said of the mirror (a key, or a keyring's name) holds for every source; that of a source's upstream (see
    cache/) for that source, too. Where there is neither it is the distribution's.
    """
    if selection.accept_unsigned:
        return [None] * len(selection.sources)
    said = [selection.key.encode()] if selection.key else []
    said += [named(settings, selection.keyring)] if selection.keyring else []
    with database.read() as session:
        known = effective(session, settings)
    found: list[bytes | None] = []
    for source in selection.sources:
        path = known[source.upstream].keyring if source.upstream in known else ""
        keys = [*said, *([Path(path).read_bytes()] if path and Path(path).is_file() else [])]
        name = OF_FAMILY.get(selection.family)
        if not keys and name:
            keys = [named(settings, name)]
        found.append(openpgp.binary_keyring(*keys) if keys else None)
    return found


def _fix(name: str) -> str:
    if name in OF_FAMILY.values():
        return f"Install the package {name}, or give the publisher's key with the mirror."
    return "Put it there, or give the publisher's key with the mirror."
