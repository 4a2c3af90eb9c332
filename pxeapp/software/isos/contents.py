"""The contents of an image, as a stream of its files in the order in which they lie on it.

bsdtar turns the image into a tar stream that we read here; nothing is unpacked on a disk, so no name in it can lead
anywhere. What is known already is left out, and bsdtar does not read it either.
"""

from __future__ import annotations

import re
import shutil
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from pxeapp.errors import Invalid
from pxeapp.software.isos.image import Image, refused
from pxeapp.software.isos.listing import Listing, running

TIMEOUT_S = 12 * 3600.0  # a medium on a slow disk that others use, too
FILE_TIMEOUT_S = 300.0
BLOCK = 1024 * 1024
MAX_SMALL = 8 * 1024 * 1024
_SPECIAL = re.compile(r"([][*?$^])")


def stream(image: Image, listing: Listing, known: Collection[str] = ()) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Every file but the `known` ones: its path, its size in bytes, and what to read it from before the next one comes.

    Raises Invalid when the image gives anything else than it has listed, or ends too early.
    """
    missing = set(listing.files) - set(known)
    if not missing:
        return
    with tempfile.NamedTemporaryFile("w", prefix="pxeapp-known-", encoding="utf-8") as patterns:
        patterns.write("".join(f"{pattern}\n" for pattern in everything_but(missing, listing)))
        patterns.flush()
        words = ("-cPf", "-", "--format=pax", "-X", patterns.name, f"@{image.path}")
        with running(image, *words, timeout_s=TIMEOUT_S) as out:
            yield from _files(image, out, listing, missing)
    if missing:
        raise refused(
            f"{image.name} ends before {min(missing)} and {len(missing) - 1} other files.",
            "Download it again and compare its checksum.",
        )


def small(image: Image, listing: Listing, path: str) -> bytes:
    """One file of a few bytes, by itself; empty when there is none of this name. With -q the rest is not looked at."""
    size = listing.files.get(listing.same.get(path, path), 0)
    if size > MAX_SMALL:
        raise refused(f"{path} in {image.name} has {size} bytes.", "No medium's is as large.")
    if not size:
        return b""
    plain = _plain(listing.same.get(path, path))
    with running(image, "-xOqPf", str(image.path), plain, timeout_s=FILE_TIMEOUT_S) as out:
        return out.read(size)


def copy(image: Image, listing: Listing, path: str, target: Path) -> Path:
    """One file of any size, by itself, at `target`."""
    plain = _plain(listing.same.get(path, path))
    with running(image, "-xOqPf", str(image.path), plain, timeout_s=FILE_TIMEOUT_S) as out, target.open("wb") as made:
        shutil.copyfileobj(out, made, BLOCK)
    return target


def everything_but(wanted: Collection[str], listing: Listing) -> list[str]:
    """bsdtar's patterns for what is not wanted: a whole folder where nothing in it is, else the single files."""
    needed: set[str] = set()
    for path in wanted:
        needed.update(map(str, PurePosixPath(path).parents))
    patterns: dict[str, None] = {}
    for path in listing.files:
        if path in wanted:
            continue
        covered = f"^{_plain(path)}$"
        for parent in map(str, PurePosixPath(path).parents):
            if parent in needed or parent == ".":
                break
            covered = f"^{_plain(parent)}/*"
        patterns[covered] = None
    return list(patterns)


def _plain(path: str) -> str:
    """A path as a pattern that means just this."""
    return _SPECIAL.sub(r"\\\1", path)


def _files(image: Image, out: IO[bytes], listing: Listing, missing: set[str]) -> Iterator[tuple[str, int, IO[bytes]]]:
    try:
        with tarfile.open(fileobj=out, mode="r|", bufsize=BLOCK) as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # it remembers every member, and there are many
                path = member.name.removeprefix("./").rstrip("/")
                if not member.isreg():
                    _compare(image, listing, path, member)
                    continue
                if listing.files.get(path) != member.size or path not in missing:
                    raise refused(
                        f"{path[:200]} in {image.name} is not what was listed.",
                        "The file changes while it is read, or was tampered with.",
                    )
                missing.discard(path)
                content = archive.extractfile(member)
                if content is not None:
                    yield path, member.size, content
        while out.read(BLOCK):  # the blocks that fill up a tape
            pass
    except (tarfile.TarError, EOFError) as error:
        raise refused(f"{image.name} cannot be read: {error}.", "Download it again.") from error


def _compare(image: Image, listing: Listing, path: str, member: tarfile.TarInfo) -> None:
    """What is no plain file was listed as what it is."""
    kinds: tuple[tuple[bool, Mapping[str, str] | Collection[str]], ...] = (
        (member.isdir(), {*listing.folders, "", "."}),
        (member.issym(), listing.links),
        (member.islnk(), listing.same),
    )
    if not any(is_one and path in there for is_one, there in kinds):
        raise Invalid(f"{path[:200]} in {image.name} was not listed.")
