"""The apt sources of a mirror, read: each suite's signed Release first, and then the indices that it vouches for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress

from pxeapp.errors import Invalid, NotFound
from pxeapp.software.mirrors import deb_index
from pxeapp.software.mirrors.deb_index import Deb
from pxeapp.software.mirrors.line import Changed
from pxeapp.software.mirrors.reading import MID_UPDATE, Reading, Upstreams, pools
from pxeapp.software.mirrors.selection import Source
from pxeapp.software.repositories import apt_reading, unpacking
from pxeapp.software.repositories.apt_reading import Release

UNSIGNED = "unsigned, and taken because accept_unsigned says so"


def read(at: Upstreams) -> Reading:
    """Every source; raises Invalid for what cannot be verified, Unavailable for what cannot be reached."""
    found: list[tuple[str, Deb]] = []
    components: list[Deb] = []
    stamps, dates, remarks = [], [], []
    own = at.components()
    for number, source in enumerate(at.selection.sources):
        at.says(f"Reading {at.places[number]} {source.suite}")
        release, signed = _release(at, number, source)
        if not signed:
            remarks.append(f"{at.places[number]} {source.suite}: {UNSIGNED}")
        stamps.append(repr(sorted(release.sums.items())))
        dates.append(release.date)
        for component in _components(at, number, source, release):
            for architecture in _architectures(at, release):
                folder = f"{component}/binary-{architecture}"
                found += [(each.architecture, each) for each in _packages(at, number, source, release, folder)]
        if at.selection.installer and not own:
            components += _installer(at, number, source, release)
    return Reading(
        pools("deb", found, at.selection.architectures),
        tuple(own or components),
        stamp=hashlib.sha256("\n".join(stamps).encode()).hexdigest(),
        dated=min(dates),
        remarks=tuple(remarks),
    )


def _release(at: Upstreams, number: int, source: Source) -> tuple[Release, bool]:
    """The Release file and whether it was verified; InRelease where there is one."""
    folder, name = f"dists/{source.suite}", f"{at.places[number]} {source.suite}"
    expired = at.selection.accept_expired
    signature: bytes | None = None
    try:
        content = at.get(number, f"{folder}/InRelease", apt_reading.MAX_RELEASE)
    except NotFound:
        content = _plain_release(at, number, source)
        with suppress(NotFound):
            signature = at.get(number, f"{folder}/Release.gpg", apt_reading.MAX_RELEASE)
        if signature is None and not at.selection.accept_unsigned:
            raise Invalid(
                f"The Release file of {name} is not signed.",
                hint="Use a mirror that is, or take it all the same with accept_unsigned.",
            ) from None
    if at.selection.accept_unsigned:
        return apt_reading.unsigned(content, name=name, now=at.now, expired=expired), False
    keyring = at.keyrings[number]
    if keyring is None:
        raise Invalid(
            f"There is no key to verify {name} with.",
            hint="Name a keyring that lies on the appliance (keyring), or give the publisher's key (key).",
        )
    return apt_reading.release(content, keyring, name=name, now=at.now, signature=signature, expired=expired), True


def _plain_release(at: Upstreams, number: int, source: Source) -> bytes:
    try:
        return at.get(number, f"dists/{source.suite}/Release", apt_reading.MAX_RELEASE)
    except NotFound as error:
        raise Invalid(
            f"{at.places[number]} has no suite {source.suite}: neither InRelease nor Release is there.",
            hint="Is the suite spelled as the mirror has it, such as trixie or noble-updates/epoxy?",
        ) from error


def _components(at: Upstreams, number: int, source: Source, release: Release) -> Iterator[str]:
    """Those that were asked for; Debian's security archive has called them updates/main."""
    known = release.components
    for component in source.components:
        match = next((each for each in (component, f"updates/{component}") if each in known), "")
        if not match and known:
            raise Invalid(
                f"{at.places[number]} {source.suite} has no component {component}; it has {' '.join(known)}.",
                hint="Name one of those.",
            )
        yield (match or component).removeprefix("updates/")


def _architectures(at: Upstreams, release: Release) -> list[str]:
    """The mirror's, and the index of what is for all of them where that is apart."""
    apart = "all" in release.architectures and "Packages" not in release.fields.get(
        "No-Support-for-Architecture-all", ""
    )
    return [*at.selection.architectures, *(["all"] if apart else [])]


def _packages(at: Upstreams, number: int, source: Source, release: Release, folder: str) -> Iterator[Deb]:
    path = release.index(folder)
    if not path:
        if release.architectures and folder.rpartition("-")[2] not in (*release.architectures, "all"):
            raise Invalid(
                f"{at.places[number]} {source.suite} has no packages for {folder.rpartition('-')[2]}; it has those for "
                f"{' '.join(release.architectures)}.",
                hint="Name one of those as the architecture.",
            )
        return
    content = _index(at, number, source, release, path)
    where = f"{path} of {release.name}"
    text = unpacking.unpacked(content, path, name=where).decode("utf-8", "replace")
    yield from deb_index.read(text, number, where)


def _index(at: Upstreams, number: int, source: Source, release: Release, path: str) -> bytes:
    sha256, size = release.sums[path]
    folder = f"dists/{source.suite}"
    by_hash = f"{folder}/{path.rpartition('/')[0]}/by-hash/SHA256/{sha256}"
    if release.by_hash:
        try:
            content = at.index(number, f"{folder}/{path}", sha256, size, instead=by_hash)
        except NotFound:  # many a cache and copy has the plain names alone
            content = at.index(number, f"{folder}/{path}", sha256, size)
    else:
        content = at.index(number, f"{folder}/{path}", sha256, size)
    try:
        release.check(path, content)
    except Invalid as error:
        raise Changed(error.sentence, hint=MID_UPDATE) from error
    at.keep(content)
    return content


def _installer(at: Upstreams, number: int, source: Source, release: Release) -> list[Deb]:
    found: list[Deb] = []
    for component in source.components:
        for architecture in at.selection.architectures:
            found += _packages(at, number, source, release, f"{component}/debian-installer/binary-{architecture}")
    return found
