"""What a medium says of its own files, compared with them: everything that vouches for something on it is asked.

What does not match refuses the whole medium. What could not be verified, since nothing on the medium or on this machine
vouches for it, is kept in words: whoever installs from it should know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pxeapp.software.isos import layouts
from pxeapp.software.isos.checks import md5sums, repodata, suites, tree
from pxeapp.software.isos.checks.content import Content, Finding

Check = Callable[[Content], Iterator[Finding]]
# By layout, in this order: what is small and near comes before what reads long indices.
CHECKS: Mapping[str, tuple[Check, ...]] = {
    layouts.ENTERPRISE: (tree.check, repodata.check),
    layouts.ENTERPRISE_BOOT: (tree.absent,),
    layouts.UBUNTU_LIVE: (md5sums.check, suites.check),
    layouts.UBUNTU_SERVER: (md5sums.check, suites.check),
    layouts.DEBIAN: (md5sums.check, suites.check),
}


def run(content: Content) -> list[Finding]:
    """What was verified and what could not be; raises Invalid for the first thing that does not match."""
    return [finding for check in CHECKS[content.medium.layout] for finding in check(content)]
