"""Upstreams as the front works with them: the defaults, with what operators say of them, and those of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.config import Settings
from pxeapp.software import apt_sources, upstreams
from pxeapp.software.cache.models import SoftwareUpstream
from pxeapp.software.upstreams import Upstream

GIB = 1024**3
MAX_BYTES = 20 * GIB
FRESHNESS_S = 300
Origin = Literal["settings", "host", "operator"]  # who says where it is; "host": this machine's package sources
SYSTEM_KEYRINGS = ("/usr/share/keyrings", "/etc/apt/keyrings", "/etc/pki/rpm-gpg")
YUM_NAMES = ("alma", "centos", "epel", "fedora", "rdo", "rocky", "rhel")


@dataclass(frozen=True, slots=True)
class Configured:
    """One upstream with all that holds for it."""

    upstream: Upstream
    origin: Origin
    url: str
    kind: str = "apt"
    max_bytes: int = MAX_BYTES
    freshness_s: int = FRESHNESS_S
    offline: bool = False
    keep_packages: bool = True
    aliases: tuple[str, ...] = ()
    keyring: str = ""
    version: int = 0  # of its row; 0: there is none

    @property
    def name(self) -> str:
        """Its name, which is its folder below /mirror/."""
        return self.upstream.name

    def wire(self) -> dict[str, Any]:
        """As the API and the audit show it."""
        return {
            "name": self.name,
            "url": self.url,
            "origin": self.origin,
            "kind": self.kind,
            "max_bytes": self.max_bytes,
            "freshness_s": self.freshness_s,
            "offline": self.offline,
            "keep_packages": self.keep_packages,
            "aliases": list(self.aliases),
            "keyring": self.keyring,
            "version": self.version,
        }


def defaults(settings: Settings) -> dict[str, Configured]:
    """What there is without any row."""
    said: Origin = "settings" if settings.mirror_upstreams else "host"
    keyrings = {} if settings.mirror_upstreams else apt_sources.mirrors(apt_sources.read())
    found = {}
    for name, upstream in upstreams.defaults(settings).items():
        keyring = keyrings[name].signed_by if name in keyrings else ""
        kind = "yum" if name.startswith(YUM_NAMES) else "apt"
        found[name] = Configured(upstream, said, str(upstream), kind, keyring=keyring)
    return found


def merged(
    settings: Settings, known: Mapping[str, Configured], rows: Iterable[SoftwareUpstream]
) -> dict[str, Configured]:
    """The defaults with the rows over them, by name; a row without a URL whose default has gone is none any more."""
    found = dict(known)
    for row in rows:
        if row.url:
            base = Configured(upstreams.written(settings, row.name, row.url), "operator", row.url)
        elif row.name in known:
            base = known[row.name]
        else:
            continue
        found[row.name] = replace(
            base,
            kind=row.kind,
            max_bytes=row.max_bytes,
            freshness_s=row.freshness_s,
            offline=row.offline,
            keep_packages=row.keep_packages,
            aliases=tuple(row.aliases),
            keyring=row.keyring or base.keyring,
            version=row.version,
        )
    return dict(sorted(found.items()))


def effective(session: Session, settings: Settings) -> dict[str, Configured]:
    """All of them as they are now."""
    return merged(settings, defaults(settings), session.scalars(select(SoftwareUpstream)))


def keyring_folders(settings: Settings) -> tuple[Path, ...]:
    """Where a keyring may lie: an upstream's row names no other file of this machine."""
    return (settings.data_dir / "keyrings", *map(Path, SYSTEM_KEYRINGS))
