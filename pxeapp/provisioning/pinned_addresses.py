"""Addresses of a release and a site as a pin makes them: the appliance's own repositories are read from there. Pure."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from pxeapp.answers.site import Site
from pxeapp.answers.spec import ReleaseSpec
from pxeapp.software.snapshots import pins
from pxeapp.software.snapshots.pins import Pin


@lru_cache(maxsize=256)
def release_at(release: ReleaseSpec, pin: Pin | None, node_url: str) -> ReleaseSpec:
    """The release with its repositories at the pin; `snapshot` says which."""
    if pin is None:
        return release
    return replace(
        release,
        install_url=pins.pinned(release.install_url, node_url, pin),
        archive=pins.pinned(release.archive, node_url, pin),
        repositories=tuple(replace(each, url=pins.pinned(each.url, node_url, pin)) for each in release.repositories),
        snapshot=str(pin),
    )


def site_at(site: Site, pin: Pin | None, node_url: str) -> Site:
    """The site's repositories at the pin."""
    if pin is None or not site.repositories:
        return site
    at = tuple(each.model_copy(update={"url": pins.pinned(each.url, node_url, pin)}) for each in site.repositories)
    return site.model_copy(update={"repositories": at})
