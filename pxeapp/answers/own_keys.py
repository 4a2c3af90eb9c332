"""The appliance's own repositories: whoever reads one is given its key, and is told of what it has. Pure.

Media below /repo/media/ are as their publisher signed them, and what somebody has put below /repo/ by hand is signed by
whomever they like: neither needs a key of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from pxeapp.answers import releases

if TYPE_CHECKING:
    from pxeapp.answers.site import Site
    from pxeapp.answers.spec import ReleaseSpec

FOLDER = "/repo/"
ARMOURED, BINARY = "/repo/keys/pxeapp.asc", "/repo/keys/pxeapp.gpg"  # for rpm; for apt and debian-installer
ARMOUR = re.compile(
    r"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n([A-Za-z0-9+/=]{1,76}\n){1,1000}-----END PGP PUBLIC KEY BLOCK-----\n"
)
NOT_OURS = ("media", "keys")  # what else lies below /repo/
ALWAYS_OURS = ("snapshots", "channels")


@dataclass(frozen=True, slots=True)
class Own:
    """What is known of them; asked only where an address leads below /repo/."""

    published: Callable[[str], bool] = lambda _name: False  # whether a repository of this name is published by us
    key_text: Callable[[], str] = lambda: ""  # the key itself, armoured
    # What the repository at a place below /repo/ (NAME, snapshots/S/NAME, channels/C/NAME) is divided into.
    components: Callable[[str], tuple[str, ...]] = lambda _place: ()


def is_own_key(url: str) -> bool:
    """Whether a key's address is that of the appliance's own."""
    return url.endswith((ARMOURED, BINARY))


def release_keyed(release: ReleaseSpec, node_url: str, own: Own) -> ReleaseSpec:
    """The release, with our key where it reads our repositories and says no other, and with what those have."""
    mirrored = _is_own(release.install_url, node_url, own) or _is_own(release.archive, node_url, own)
    without = tuple(not each.key and _is_own(each.url, node_url, own) for each in release.repositories)
    if not mirrored and not any(without):
        return release
    text = own.key_text() if mirrored and release.installer == releases.Subiquity.installer else ""
    key = _key(release, node_url)
    archive = release.archive if release.installer == releases.Subiquity.installer else release.install_url
    has = own.components(archive.removeprefix(f"{node_url}{FOLDER}")) if _is_own(archive, node_url, own) else ()
    return _keyed(release, key, key if mirrored else "", text, without, has)


@lru_cache(maxsize=256)
def _keyed(
    release: ReleaseSpec, key: str, own_key: str, text: str, without: tuple[bool, ...], has: tuple[str, ...]
) -> ReleaseSpec:
    """The same object for every machine: what is checked of a release is kept by it."""
    pairs = zip(release.repositories, without, strict=True)
    if own_key:  # a mirror of ours holds whole installers, and is signed: what makes up for a flaw is not for it
        release = replace(release, udeb_suite="", allow_unauthenticated=False)
    return replace(
        release,
        own_key=own_key,
        own_key_text=text,
        components=has,
        repositories=tuple(replace(each, key=key) if lacks else each for each, lacks in pairs),
    )


def site_keyed(site: Site, release: ReleaseSpec, node_url: str, own: Own) -> Site:
    """The site's own repositories, the same."""
    without = [not each.key and _is_own(each.url, node_url, own) for each in site.repositories]
    if not any(without):
        return site
    key = _key(release, node_url)
    pairs = zip(site.repositories, without, strict=True)
    keyed = tuple(each.model_copy(update={"key": key}) if lacks else each for each, lacks in pairs)
    return site.model_copy(update={"repositories": keyed})


def _is_own(url: str, node_url: str, own: Own) -> bool:
    """Whether an address is a repository's that this appliance signs."""
    base = f"{node_url}{FOLDER}"
    if not url.startswith(base):
        return False
    name, _, rest = url[len(base) :].partition("/")
    if name in ALWAYS_OURS:
        return bool(rest)
    return bool(name) and name not in NOT_OURS and own.published(name)


def _key(release: ReleaseSpec, node_url: str) -> str:
    return node_url + (ARMOURED if release.family in releases.EL_FAMILIES else BINARY)
