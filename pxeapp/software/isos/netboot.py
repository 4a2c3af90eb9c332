"""The network installer that fits a Debian disc: discs carry one that reads from a drive, which machines do not have.

It comes out of the package debian-installer-VERSION-netboot-amd64: the disc's own, the one installed here, or the
mirror's. Its kernel must be the one that the disc's installer components were built for.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pxeapp.errors import Conflict
from pxeapp.sentences import few
from pxeapp.software import debian
from pxeapp.software.content.manifest import Manifest
from pxeapp.software.content.store import Store
from pxeapp.software.repositories import unpacking
from pxeapp.software.tasks.running import Run
from pxeapp.software.udebs import build, index
from pxeapp.software.udebs.plan import plan

INDICES = ("Packages", "Packages.gz", "Packages.xz")


@contextmanager
def found(run: Run, manifest: Manifest, version: str) -> Iterator[debian.Netboot]:
    """Kernel and initrd, until the block ends; raises when they are nowhere to be had."""
    root = run.settings.data_dir / "cache"
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="netboot-", dir=root) as folder:
        work = Path(folder)
        own = _on_the_disc(run.store, manifest, version, work)
        yield own or debian.netboot(run.settings, version, work, run.says)


def refuse_misfit(store: Store, manifest: Manifest, codename: str, netboot: debian.Netboot) -> None:
    """Raises Conflict when the disc lacks components that this network installer needs."""
    folder = f"dists/{codename}/main/debian-installer/binary-amd64"
    path = next((each for name in INDICES if manifest.get(each := f"{folder}/{name}")), "")
    entry = manifest.get(path)
    text = unpacking.unpacked(store.read(entry.sha256), path, name=path).decode(errors="replace") if entry else ""
    needed = plan(index.read(text), build.read_initrd(netboot.initrd).status)
    absent = [udeb.name for udeb in needed.wanted if manifest.get(udeb.filename.removeprefix("./")) is None]
    if missing := sorted([*absent, *needed.modules, *needed.absent]):
        raise Conflict(
            f"The network installer {netboot.version} (Linux {needed.kernel}) needs what the disc does not have: "
            f"{few(missing, 5)}.",
            hint="Take the disc of that installer's point release, or install from a mirror: pxeapp release add-debian",
        )


def _on_the_disc(store: Store, manifest: Manifest, version: str, work: Path) -> debian.Netboot | None:
    name = re.compile(rf"pool/.*/debian-installer-{re.escape(version)}-netboot-amd64_(?P<version>[^/_]+)_all\.deb")
    for entry in manifest:
        if (said := name.fullmatch(entry.path)) is not None:
            return debian.unpack(store.path(entry.sha256), version, work, said["version"].replace("%3a", ":"))
    return None
