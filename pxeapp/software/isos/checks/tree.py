"""`.treeinfo`'s checksums of kernel, initrd, the runtime image and the repositories' indices."""

from __future__ import annotations

from collections.abc import Iterator

from pxeapp.software.isos import treeinfo
from pxeapp.software.isos.checks.content import Content, Finding


def check(content: Content) -> Iterator[Finding]:
    """Compare each; what a tree names and a medium of it has no room for, as boot.iso, is none of the medium's."""
    medium = content.medium
    sums = treeinfo.read(content.read(treeinfo.NAME), where=content.name).checksums
    right = 0
    for path, (algorithm, digest) in sums.items():
        if path in content.files:
            content.agree(path, algorithm, digest, treeinfo.NAME)
            right += 1
    if right:
        yield Finding(treeinfo.NAME, True, f"{right} checksums in {treeinfo.NAME} are right.")
    bare = [path for path in (medium.kernel, medium.initrd, medium.stage2) if path and path not in sums]
    if bare:
        yield Finding(treeinfo.NAME, False, f"{treeinfo.NAME} has no checksum of {', '.join(bare)}.")


def absent(content: Content) -> Iterator[Finding]:
    """A boot medium without any."""
    medium = content.medium
    yield Finding(treeinfo.NAME, False, f"Nothing on the medium vouches for {medium.kernel} and {medium.initrd}.")
