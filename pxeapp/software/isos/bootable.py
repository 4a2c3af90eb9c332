"""The release that is made of a medium: one way for each layout, as a table.

A medium is worth keeping without one, so what stands in the way is a sentence beside it and no failed import.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pxeapp import systems
from pxeapp.errors import Conflict
from pxeapp.software import adding, debian, questions, upstreams
from pxeapp.software.content.manifest import Manifest
from pxeapp.software.isos import layouts, live_server, netboot, service
from pxeapp.software.isos.listing import Listing
from pxeapp.software.isos.medium import BOOT, NETINST, Medium
from pxeapp.software.isos.orders import Wanted
from pxeapp.software.models import Release
from pxeapp.software.releases import Description
from pxeapp.software.tasks.running import Run
from pxeapp.systems import KICKSTART, PRESEED

SQUASHFS = "install/filesystem.squashfs"
# Where the packages for a boot medium are, below a mirror of that name: what it is called by whom, and the tree in it.
MIRRORS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "centos": (("centos-stream", "centos"), "{major}-stream/BaseOS/x86_64/os"),
    "rocky": (("rocky",), "{version}/BaseOS/x86_64/os"),
    "alma": (("alma", "almalinux"), "{version}/BaseOS/x86_64/os"),
}
EL7 = "7"  # its archive has another shape, and its mirrors are switched off


@dataclass(frozen=True, slots=True)
class Making:
    """What a release is made of: a medium that is served already."""

    run: Run
    wanted: Wanted
    name: str  # the medium's
    release: str  # the name of the release to be
    medium: Medium
    listing: Listing
    manifest: Manifest
    iso: str  # its path in the tree, where it is served whole
    iso_bytes: int
    made_of: Mapping[str, Any]  # what the release remembers of it, see service.made_of
    replace: bool  # a release of that name, if there is one

    @property
    def tree(self) -> str:
        """The URL of the medium's tree."""
        return service.url(self.name)

    @contextmanager
    def files(self, *paths: str) -> Iterator[tuple[Path, ...]]:
        """Files of the medium under their own names, until the block ends."""
        root = self.run.settings.media_dir
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".staging-medium-", dir=root) as folder:
            made = []
            for path in paths:
                entry = self.manifest.get(path)
                if entry is None:
                    raise Conflict(f"{self.medium.title} has no {path}.", hint="Was it imported whole?")
                target = Path(folder) / path.rpartition("/")[2]
                self.run.store.link(entry.sha256, target)
                made.append(target)
            yield tuple(made)


def make(making: Making) -> Release:
    """Make the release; raises what stands in its way."""
    return MAKERS[making.medium.layout](making)


def _enterprise(making: Making) -> Release:
    medium, wanted = making.medium, making.wanted
    install_url, kernel_args = wanted.install_url or making.tree, wanted.kernel_args
    if medium.kind == BOOT:
        install_url = wanted.install_url or _packages(making)
        # Its own runtime image: another build's has no modules for this kernel.
        kernel_args = f"inst.stage2={making.tree} {kernel_args}".strip()
    repositories = [
        {"name": each.name, "url": service.url(making.name, each.path)} for each in medium.repositories if each.path
    ]
    said = Description(
        name=making.release, family=medium.family, version=medium.version, installer=KICKSTART,
        kernel_args=kernel_args, install_url=install_url, repositories=repositories,
    )  # fmt: skip
    return _registered(making, said, medium.kernel, medium.initrd)


def _packages(making: Making) -> str:
    """The mirror's tree for a boot medium; raises Conflict when there is none."""
    medium = making.medium
    names, tree = MIRRORS[medium.family]
    known = upstreams.configured(making.run.settings)
    name = next((each for each in names if each in known), "")
    major = systems.major(medium.family, medium.version)
    if not name or major == EL7:
        raise Conflict(
            f"{medium.title} has no packages, and no mirror of {medium.family} {major} is known here.",
            hint="Import the DVD, or say where its packages are: --install-url http://HOST/.../BaseOS/x86_64/os",
        )
    return f"{{node_url}}/mirror/{name}/{tree.format(version=medium.version, major=major)}"


def _live_server(making: Making) -> Release:
    medium, wanted = making.medium, making.wanted
    kernel, initrd = live_server.boots(medium, making.listing, hwe=wanted.hwe)
    said = live_server.description(
        making.release, medium, iso_url=service.url(making.name, making.iso), iso_bytes=making.iso_bytes,
        kernel_args=wanted.kernel_args,
    )  # fmt: skip
    return _registered(making, said, kernel, initrd)


def _ubuntu_server(making: Making) -> Release:
    medium = making.medium
    image = {"net_image": service.url(making.name, SQUASHFS)} if making.manifest.get(SQUASHFS) else {}
    said = Description(
        name=making.release, family=medium.family, version=systems.major(medium.family, medium.version),
        installer=PRESEED, kernel_args=making.wanted.kernel_args, install_url=making.wanted.install_url or making.tree,
        settings={"suite": medium.codename, **image, **_trust(making)},
    )  # fmt: skip
    return _registered(making, said, medium.kernel, medium.initrd)


def _debian(making: Making) -> Release:
    run, medium = making.run, making.medium
    major = systems.major(medium.family, medium.version)
    if medium.kind == NETINST:
        # It installs a base system and asks a mirror for the rest, so a machine needs the mirror anyway.
        return debian.add(
            run.database, run.settings, major, name=making.release, remember=making.made_of, actor=run.actor,
            now=run.now(), progress=run.says,
        )  # fmt: skip
    with netboot.found(run, making.manifest, major) as installer:
        netboot.refuse_misfit(run.store, making.manifest, medium.codename, installer)
        said = Description(
            name=making.release, family=medium.family, version=medium.version, installer=PRESEED,
            kernel_args=making.wanted.kernel_args, install_url=making.wanted.install_url or making.tree,
            settings={
                "suite": medium.codename, "installer_version": installer.version, "installer_components": "medium",
                **_trust(making),
            },
        )  # fmt: skip
        return _register(making, said, installer.kernel, installer.initrd)


def _trust(making: Making) -> dict[str, bool]:
    """Debian signs no disc: its installer takes one only when told that it need not be signed."""
    release = f"dists/{making.medium.codename}/Release"
    signed = making.manifest.get(f"{release}.gpg") is not None
    return {} if signed else {"allow_unauthenticated": True}


def _registered(making: Making, said: Description, kernel: str, initrd: str) -> Release:
    with making.files(kernel, initrd) as (kernel_file, initrd_file):
        return _register(making, said, kernel_file, initrd_file)


def _register(making: Making, said: Description, kernel: Path, initrd: Path) -> Release:
    run = making.run
    said = replace(said, settings={**said.settings, **making.made_of})
    row = adding.register(
        run.database, run.settings, said, kernel=kernel, initrd=initrd, origin=f"media:{making.name}",
        actor=run.actor, now=run.now(), replace_existing=making.replace,
    )  # fmt: skip
    if row.installer == PRESEED:
        questions.make_from_initrd(run.settings, row)
    return row


MAKERS: Mapping[str, Callable[[Making], Release]] = {
    layouts.ENTERPRISE: _enterprise,
    layouts.ENTERPRISE_BOOT: _enterprise,
    layouts.UBUNTU_LIVE: _live_server,
    layouts.UBUNTU_SERVER: _ubuntu_server,
    layouts.DEBIAN: _debian,
}
