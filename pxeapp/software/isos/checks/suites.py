"""The suites of a Debian or Ubuntu medium: Release names the indices, each index its packages, all by SHA-256.

Debian signs the Release of its archive and not the one of its discs; Ubuntu signs both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pxeapp.software.apt_sources import stanzas
from pxeapp.software.isos.checks.content import FIX, Content, Finding
from pxeapp.software.isos.image import refused
from pxeapp.software.repositories import apt_reading, openpgp

_RELEASE = re.compile(r"dists/(?P<suite>[^/]+)/Release")
_INDEX = re.compile(r".+/binary-[a-z0-9]+/Packages(\.gz|\.xz)?")
SUMS = (("SHA256", "sha256"), ("MD5Sum", "md5"))  # the first that it has


def check(content: Content) -> Iterator[Finding]:
    """Every suite; one that is there under two names (stable, trixie) is looked at once, by its own."""
    suites = [said["suite"] for path in sorted(content.files) if (said := _RELEASE.fullmatch(path))]
    seen = set()
    for suite in sorted(suites, key=lambda each: each != content.medium.codename):
        release = content.files[f"dists/{suite}/Release"].sha256
        if release not in seen:
            seen.add(release)
            yield from _suite(content, suite)


def _suite(content: Content, suite: str) -> Iterator[Finding]:
    folder = f"dists/{suite}"
    release = f"{folder}/Release"
    text = content.read(release)
    fields = next(stanzas(text.decode(errors="replace")), {})
    indices = packages = 0
    done: set[str] = set()
    for path, algorithm, digest in _sums(fields, release, content):
        file = f"{folder}/{path}"
        if file not in content.files:
            continue  # a disc has some of the archive's indices, and each in one compression
        content.agree(file, algorithm, digest, release)
        indices += 1
        if _INDEX.fullmatch(path) and (stem := path.partition("Packages")[0]) not in done:
            done.add(stem)
            packages += _packages(content, file)
    if indices:
        yield Finding(
            release, True, f"{indices} indices and {packages} packages of {suite} are what its Release file says."
        )
    else:
        yield Finding(release, False, f"The Release file of {suite} names no index that is on the medium.")
    yield _signature(content, folder, release, text)


def _sums(fields: dict[str, str], release: str, content: Content) -> Iterator[tuple[str, str, str]]:
    for section, algorithm in SUMS:
        if not (lines := fields.get(section, "").splitlines()):
            continue
        for line in lines:
            if not (words := line.split()):
                continue
            if len(words) != 3:
                raise refused(f"{release} of {content.name} has a line that is no sum: {line[:100]!r}.", FIX)
            yield words[2], algorithm, words[0]
        return


def _packages(content: Content, path: str) -> int:
    count = 0
    for package in apt_reading.packages(content.read(path), path=path, name=content.name):
        if package.path not in content.files:
            raise content.missing(package.path, path)
        content.agree(package.path, "sha256", package.sha256, path)
        count += 1
    return count


def _signature(content: Content, folder: str, release: str, text: bytes) -> Finding:
    if f"{release}.gpg" in content.files:
        return content.signed(text, content.read(f"{release}.gpg"), release)
    if f"{folder}/InRelease" in content.files:
        inside = content.read(f"{folder}/InRelease")
        if inside.lstrip().startswith(openpgp.SIGNED_MESSAGE):
            return content.signed_clear(inside, f"{folder}/InRelease")
    return Finding(release, False, f"{release} is not signed, so who made it is not proved.")
