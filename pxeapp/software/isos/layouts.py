"""The media that we know, as a table: what each is recognised by, and how it is described.

A medium whose layout nobody here knows is refused with what it seems to be; `SEEMS` is the table for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from pxeapp import systems
from pxeapp.errors import Invalid
from pxeapp.software.isos import treeinfo
from pxeapp.software.isos.image import Image, refused
from pxeapp.software.isos.listing import Listing
from pxeapp.software.isos.medium import BOOT, CD, DVD, LIVE_SERVER, MINIMAL, NETINST, SERVER, Medium, Repository
from pxeapp.systems import AUTOINSTALL, KICKSTART, PRESEED

ENTERPRISE, ENTERPRISE_BOOT = "enterprise", "enterprise-boot"
UBUNTU_LIVE, UBUNTU_SERVER, DEBIAN = "ubuntu-live", "ubuntu-server", "debian"
DISC, DISK = ".discinfo", ".disk/info"
REPOMD = "repodata/repomd.xml"
PXEBOOT = "images/pxeboot"
NETBOOT = "install/netboot/ubuntu-installer/amd64"
# Ubuntu-Server 24.04.1 LTS "Noble Numbat" - Release amd64 (20240827)
UBUNTU = re.compile(
    r'Ubuntu-Server (?P<version>[0-9]{2}\.[0-9]{2}(\.[0-9]+)?)[^"]*"(?P<codename>[^"]*)" - .*\bamd64 \('
)
# Debian GNU/Linux 12.11.0 "Bookworm" - Official amd64 NETINST with firmware 20250517-09:51
DEBIAN_SAYS = re.compile(
    r'Debian GNU/Linux (?P<version>[0-9]+(\.[0-9]+)*) "(?P<codename>[^"]*)" - (Official|Unofficial) amd64 '
    r"(?P<kind>NETINST|(CD|DVD|BD|DLBD)(?! Binary-(?!1\b)))"
)
DEBIAN_KINDS = {"NETINST": NETINST, "CD": CD}  # all others are DVDs or more
NAMES = {
    DVD: "DVD", BOOT: "boot", MINIMAL: "minimal", NETINST: "netinst", LIVE_SERVER: "live server", SERVER: "server",
    CD: "CD",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class About:
    """What a layout is recognised from: the list of files, the volume's label, and the file that says what it is."""

    image: Image
    listing: Listing
    text: bytes

    @property
    def says(self) -> str:
        """The text on one line."""
        return " ".join(self.text.decode(errors="replace").split())


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout: `about` is the file that says what the medium is, `needs` are others without which it is another."""

    key: str
    about: str
    needs: tuple[str, ...]
    installer: str
    describe: Callable[[About], Medium | None]  # None: it says that it is something else


@dataclass(frozen=True, slots=True)
class Seems:
    """What a medium of a layout that we do not know seems to be, by a file on it."""

    file: str
    what: str


SEEMS: tuple[Seems, ...] = (
    Seems("casper/vmlinuz", "a live session of Ubuntu or a relative of it"),
    Seems("live/filesystem.squashfs", "a live session of Debian or a relative of it"),
    Seems("LiveOS/squashfs.img", "a live session of Fedora or a relative of it"),
    Seems(REPOMD, "a repository of packages without an installer"),
    Seems("BaseOS/" + REPOMD, "a repository of packages without an installer"),
    Seems("dists", "a further disc of a set: packages without an installer"),
    Seems("sources/install.wim", "Windows"),
    Seems("sources/boot.wim", "Windows"),
    Seems("bootmgr", "Windows"),
    Seems("boot.cfg", "VMware ESXi"),
    Seems(".pve-cd-id.txt", "Proxmox VE"),
    Seems("boot/loader.conf", "FreeBSD"),
    Seems("bsd.rd", "OpenBSD"),
    Seems("arch/boot/x86_64/vmlinuz-linux", "Arch Linux"),
    Seems("boot/grub/grub.cfg", "a Linux whose layout is not known here"),
)


def recognise(image: Image, listing: Listing, read: Callable[[str], bytes]) -> Medium:
    """The medium; `read` gives a small file of it. Raises Invalid with what it seems to be instead."""
    for layout in LAYOUTS:
        if not listing.has(layout.about) or not all(map(listing.has, layout.needs)):
            continue
        medium = layout.describe(About(image, listing, read(layout.about)))
        if medium is not None:
            try:
                systems.check(layout.installer, medium.family, medium.version)
            except Invalid as error:
                raise refused(
                    f"{image.name} is {medium.title}, which cannot be installed from here: {error.sentence}",
                    "Take a medium of another version or kind; docs/software.md lists which can be installed.",
                ) from error
            return replace(medium, layout=layout.key)
    raise _unknown(image, listing, read)


def _unknown(image: Image, listing: Listing, read: Callable[[str], bytes]) -> Invalid:
    says = " ".join(read(DISK)[:500].decode(errors="replace").split()) if listing.has(DISK) else ""
    there = {*listing.files, *listing.same, *listing.folders}
    seems = next((each.what for each in SEEMS if each.file in there), "nothing that an installer boots from")
    what = f"says that it is {says[:120]!r}" if says else f"seems to be {seems}"
    label = f" (its label is {image.label})" if image.label else ""
    return refused(
        f"{image.name} is no medium that is known here: it {what}{label}.",
        "Take a DVD, boot or minimal ISO of CentOS, Rocky or Alma, Ubuntu's live server, or Debian's netinst or DVD 1, "
        "each for amd64 (x86_64).",
    )


def _enterprise(about: About) -> Medium | None:
    tree = treeinfo.read(about.text, where=about.image.name)
    if not tree.family or not tree.version or tree.architecture != treeinfo.ARCHITECTURE:
        raise refused(
            f"{about.image.name} is {tree.name or 'a product without a name'} {tree.version} for "
            f"{tree.architecture or 'no processor'}, which cannot be installed from here.",
            "Take CentOS, Rocky or Alma for x86_64.",
        )
    for what, path in (("kernel", tree.kernel), ("initrd", tree.initrd)):
        if not about.listing.has(path):
            raise refused(
                f"{about.image.name} has no {what}: its {treeinfo.NAME} names {path or 'none'}.",
                "Take a medium that boots: the DVD, boot or minimal ISO.",
            )
    repositories = _repositories(about.listing)
    return _titled(tree.name, Medium(
        ENTERPRISE, tree.family, _plain(tree.version), _enterprise_kind(repositories), "", kernel=tree.kernel,
        initrd=tree.initrd, stage2=tree.stage2, repositories=repositories,
    ))  # fmt: skip


def _enterprise_kind(repositories: tuple[Repository, ...]) -> str:
    if not repositories:
        return BOOT
    return MINIMAL if any(each.name.lower() == "minimal" for each in repositories) else DVD


def _enterprise_boot(about: About) -> Medium | None:
    """lorax's boot.iso has no .treeinfo: `.discinfo` holds a time, the version and the architecture, each on a line."""
    lines = about.text.decode(errors="replace").splitlines()
    family = treeinfo.family_of(about.image.label)
    if len(lines) < 3 or not family:
        return None
    version = re.search(r"[0-9]+(\.[0-9]+)?", lines[1])
    if version is None or lines[2].strip() != treeinfo.ARCHITECTURE:
        return None
    title = {"centos": "CentOS", "rocky": "Rocky Linux", "alma": "AlmaLinux"}[family]
    stage2 = next((each for each in ("images/install.img", "LiveOS/squashfs.img") if about.listing.has(each)), "")
    return _titled(title, Medium(
        ENTERPRISE_BOOT, family, version[0], BOOT, "", kernel=f"{PXEBOOT}/vmlinuz", initrd=f"{PXEBOOT}/initrd.img",
        stage2=stage2,
    ))  # fmt: skip


def _ubuntu_live(about: About) -> Medium | None:
    return _ubuntu(about, UBUNTU_LIVE, LIVE_SERVER, "casper/vmlinuz", "casper/initrd")


def _ubuntu_server(about: About) -> Medium | None:
    return _ubuntu(about, UBUNTU_SERVER, SERVER, f"{NETBOOT}/linux", f"{NETBOOT}/initrd.gz")


def _ubuntu(about: About, layout: str, kind: str, kernel: str, initrd: str) -> Medium | None:
    said = UBUNTU.match(about.says)
    if said is None:
        return None
    codename = said["codename"].split(" ")[0].lower()
    return _titled("Ubuntu", Medium(
        layout, "ubuntu", said["version"], kind, "", kernel=kernel, initrd=initrd, codename=codename
    ))  # fmt: skip


def _debian(about: About) -> Medium | None:
    said = DEBIAN_SAYS.match(about.says)
    if said is None:
        return None
    version = re.sub(r"^([0-9]+\.[0-9]+)\.0$", r"\1", said["version"])  # it calls 12.11 12.11.0
    kind = DEBIAN_KINDS.get(said["kind"], DVD)
    return _titled("Debian", Medium(DEBIAN, "debian", version, kind, "", codename=said["codename"].lower()))


def _repositories(listing: Listing) -> tuple[Repository, ...]:
    """Every folder with an index: BaseOS and AppStream of a DVD, the root of EL7's, Minimal of that medium."""
    found = (path.removesuffix(REPOMD).rstrip("/") for path in sorted({*listing.files, *listing.same})
             if path == REPOMD or path.endswith(f"/{REPOMD}"))  # fmt: skip
    return tuple(Repository(path.rpartition("/")[2] or "base", path) for path in found)


def _titled(product: str, medium: Medium) -> Medium:
    return replace(medium, title=f"{product} {medium.version} {NAMES[medium.kind]}")


def _plain(version: str) -> str:
    return version.removesuffix("-stream")


LAYOUTS: tuple[Layout, ...] = (
    Layout(ENTERPRISE, treeinfo.NAME, (), KICKSTART, _enterprise),
    Layout(ENTERPRISE_BOOT, DISC, (f"{PXEBOOT}/vmlinuz", f"{PXEBOOT}/initrd.img"), KICKSTART, _enterprise_boot),
    Layout(UBUNTU_LIVE, DISK, ("casper/vmlinuz", "casper/initrd"), AUTOINSTALL, _ubuntu_live),
    Layout(UBUNTU_SERVER, DISK, (f"{NETBOOT}/linux", f"{NETBOOT}/initrd.gz"), PRESEED, _ubuntu_server),
    Layout(DEBIAN, DISK, ("install.amd/vmlinuz", "install.amd/initrd.gz"), PRESEED, _debian),
)
