"""`md5sum.txt`, which Debian's and Ubuntu's media carry: it finds damage, and proves nothing against an attacker."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pxeapp.software.isos.checks.content import FIX, Content, Finding
from pxeapp.software.isos.image import refused

NAME = "md5sum.txt"
_LINE = re.compile(r"(?P<md5>[0-9a-f]{32}) [ *](\./)?(?P<path>.+)")


def check(content: Content) -> Iterator[Finding]:
    """Compare each file that it names."""
    if NAME not in content.files:
        yield Finding(NAME, False, f"The medium has no {NAME}, so damage to files that no index names stays unseen.")
        return
    right = 0
    for line in content.read(NAME).decode(errors="replace").splitlines():
        said = _LINE.fullmatch(line.rstrip())
        if said is None:
            raise refused(f"{NAME} of {content.name} has a line that is no sum: {line[:100]!r}.", FIX)
        path = said["path"]
        if path == NAME or any(path.startswith(f"{link}/") or path == link for link in content.dropped):
            continue  # a link to its own folder, as `debian -> .`, is left out
        if path not in content.files:
            raise content.missing(path, NAME)
        content.agree(path, "md5", said["md5"], NAME)
        right += 1
    yield Finding(NAME, True, f"{right} files are what {NAME} says (that finds damage, not forgery).")
