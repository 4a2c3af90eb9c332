"""The installer's components that the appliance has made whole itself, for a mirror that lacks them (see udebs/)."""

from __future__ import annotations

from pathlib import Path

from pxeapp.config import Settings
from pxeapp.software.mirrors import deb_index
from pxeapp.software.mirrors.deb_index import Deb
from pxeapp.software.udebs import suite as suites

OURS = -1  # instead of a source's number: the file lies on this machine
INDEX = f"main/debian-installer/binary-{suites.ARCHITECTURE}/Packages"


def made(settings: Settings, udeb_suite: str) -> list[Deb]:
    """The components of a release whose installer we made whole; none where the upstream's will do."""
    folder = _root(settings, udeb_suite)
    if folder is None:
        return []
    index = folder / "dists" / udeb_suite / INDEX
    return list(deb_index.read(index.read_text(), OURS, str(index)))


def path(settings: Settings, udeb_suite: str, file: str) -> Path:
    """Where such a component lies."""
    folder = _root(settings, udeb_suite)
    if folder is None:
        raise FileNotFoundError(file)
    return folder / file


def _root(settings: Settings, udeb_suite: str) -> Path | None:
    """The mirror's folder below which the suite lies; its name was checked when the release was made."""
    if not udeb_suite or "/" in udeb_suite:
        return None
    roots = (settings.data_dir / "udebs").glob("*")
    return next((root for root in roots if (root / "dists" / udeb_suite / INDEX).is_file()), None)
