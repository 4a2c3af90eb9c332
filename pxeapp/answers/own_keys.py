"""The appliance's own repositories: whoever reads one is given the key that it is signed with. Pure.

Media below /repo/media/ are as their publisher signed them, and so need no key of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
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


def is_own(url: str, node_url: str) -> bool:
    """Whether an address is a repository's that this appliance signs."""
    base = f"{node_url}{FOLDER}"
    return url.startswith(base) and url[len(base) :].partition("/")[0] not in ("", *NOT_OURS)


def is_own_key(url: str) -> bool:
    """Whether a key's address is that of the appliance's own."""
    return url.endswith((ARMOURED, BINARY))


def release_keyed(release: ReleaseSpec, node_url: str, key_text: Callable[[], str] = lambda: "") -> ReleaseSpec:
    """The release, with our key where it reads our repositories and says no other; `key_text` is asked when needed."""
    keyed = _addressed(release, node_url)
    if keyed.own_key and keyed.installer == releases.Subiquity.installer:
        return replace(keyed, own_key_text=key_text())
    return keyed


@lru_cache(maxsize=256)
def _addressed(release: ReleaseSpec, node_url: str) -> ReleaseSpec:
    key = _key(release, node_url)
    mirrored = is_own(release.install_url, node_url) or is_own(release.archive, node_url)
    return replace(
        release,
        own_key=key if mirrored else "",
        repositories=tuple(
            replace(each, key=key) if not each.key and is_own(each.url, node_url) else each
            for each in release.repositories
        ),
    )


def site_keyed(site: Site, release: ReleaseSpec, node_url: str) -> Site:
    """The site's own repositories, the same."""
    if not any(not each.key and is_own(each.url, node_url) for each in site.repositories):
        return site
    key = _key(release, node_url)
    keyed = tuple(
        each.model_copy(update={"key": key}) if not each.key and is_own(each.url, node_url) else each
        for each in site.repositories
    )
    return site.model_copy(update={"repositories": keyed})


def _key(release: ReleaseSpec, node_url: str) -> str:
    return node_url + (ARMOURED if release.family in releases.EL_FAMILIES else BINARY)
