"""The installer's consoles: ours, unless the release names its own."""

from __future__ import annotations

from pxeapp.answers.releases import Dialect
from pxeapp.answers.site import Site

SERIAL = "console=ttyS0,115200"


def consoles(release_args: str, default: str) -> str:
    """The release's own kernel arguments, behind our consoles when it names none: the last console is the one used."""
    if any(word.startswith("console=") for word in release_args.split()):
        return release_args
    return f"{default} {release_args}".strip()


def ours(site: Site, default: str) -> str:
    """Our consoles, on the port that the site's machines have."""
    serial = site.serial_console
    if serial is None:
        return default
    return default.replace(SERIAL, serial.argument) if serial.there else "console=tty0"


def installed(site: Site, default: str, dialect: Dialect) -> str:
    """The installed system's kernel arguments: consoles, and what the site adds."""
    return " ".join([ours(site, default), *site.added_args(dialect)])
