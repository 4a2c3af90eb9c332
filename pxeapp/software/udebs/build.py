"""Find out whether a mirror's installer components are whole, and make them whole where they are not."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import http.client
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pxeapp.config import Settings
from pxeapp.errors import Conflict, Unavailable
from pxeapp.software import upstreams
from pxeapp.software.apt_sources import stanzas
from pxeapp.software.private_apt import PrivateApt
from pxeapp.software.udebs import index, repack
from pxeapp.software.udebs.index import Udeb
from pxeapp.software.udebs.plan import Plan, plan
from pxeapp.software.udebs.suite import Member, write
from pxeapp.software.upstreams import Upstream

INDEX = "main/debian-installer/binary-amd64/Packages.gz"
STATUS = "var/lib/dpkg/status"
EMPTY_VERSION = "1"
MAX_UDEB_BYTES = 256 * 1024**2

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Site:
    """Where to look and where to work: the mirror as machines will see it, and an apt for .debs."""

    settings: Settings
    upstream: Upstream
    apt: PrivateApt
    work: Path


@dataclass(frozen=True, slots=True)
class Components:
    """Which way the installer gets its components; `udeb_suite` is ours where the mirror's would not do."""

    sentence: str
    udeb_suite: str = ""

    def as_settings(self) -> dict[str, Any]:
        """What the release remembers of it, for its answer file."""
        if not self.udeb_suite:
            return {"installer_components": "mirror"}
        return {"installer_components": "rebuilt", "udeb_suite": self.udeb_suite, "allow_unauthenticated": True}


@dataclass(frozen=True, slots=True)
class Initrd:
    """What the initrd brings: its packages, and the names of its files."""

    status: Mapping[str, Udeb]
    files: frozenset[str]


def suites_dir(settings: Settings, mirror: str) -> Path:
    """Where our own suites for a mirror lie; nginx serves its `dists` and `pool` inside `/mirror/NAME/`."""
    return settings.data_dir / "udebs" / mirror


def is_in_place(settings: Settings, release_settings: Mapping[str, Any]) -> bool:
    """Whether the components that a release relies on are still there (those of the mirror are not asked for)."""
    suite = release_settings.get("udeb_suite")
    return not suite or any((settings.data_dir / "udebs").glob(f"*/dists/{suite}/Release"))


def make_whole(
    site: Site,
    *,
    name: str,
    suite: str,
    initrd: Path,
    now: dt.datetime,
    progress: Progress,
    accept_unsigned: bool,
) -> Components:
    """See what the mirror has; where that does not do, build the suite `name` beside it. Says which way was taken."""
    content, signed = _index(site, suite)
    have = read_initrd(initrd)
    needed = plan(index.read(content), have.status)
    if not signed:
        progress(
            f"The mirror's index of installer components ({INDEX}) does not match its signed Release file: "
            "an unfinished sync, or altered"
        )
    absent = [udeb.name for udeb in needed.wanted if not _has(site.upstream, udeb)]
    missing = sorted([*absent, *needed.modules, *needed.absent])
    if signed and not missing:
        return Components(f"all {len(needed.wanted)} installer components are on the mirror")
    progress(_shortage(needed, missing))
    if not signed and not accept_unsigned:
        raise Conflict(
            f"The installer components on {site.upstream} cannot be verified: their index does not match the signed "
            "Release file, and the installer itself would refuse them.",
            hint="Wait until the mirror has synced, name another one in PXEAPP_MIRROR_UPSTREAMS, or accept what its "
            "index says with --accept-unsigned-udebs.",
        )
    if impossible := repack.unmakeable(missing):
        raise Conflict(
            f"The mirror {site.upstream} lacks installer components that cannot be made from packages: "
            f"{', '.join(impossible)}.",
            hint="Name a mirror that carries udebs in PXEAPP_MIRROR_UPSTREAMS.",
        )
    members = [
        *_taken(site, [udeb for udeb in needed.wanted if udeb.name not in absent], progress),
        *_made(site, needed, [*absent, *needed.absent], have.files, progress),
    ]
    write(suites_dir(site.settings, site.upstream.name), name, members, now=now)
    return Components(
        f"installer components made whole ({len(members) - len(missing)} from the mirror, {len(missing)} repacked "
        f"from packages: {', '.join(missing)})",
        udeb_suite=name,
    )


def read_initrd(path: Path) -> Initrd:
    """Read an initrd's package status and file names; cpio is bsdtar's, nothing is unpacked."""
    listed = _bsdtar("-tf", path).decode(errors="replace").splitlines()
    prefix = "./" if any(line.startswith("./") for line in listed) else ""
    status = _bsdtar("-xOf", path, prefix + STATUS).decode(errors="replace")
    return Initrd(index.read(status), frozenset(PurePosixPath(line).name for line in listed))


def components(site: Site, suite: str) -> list[Udeb]:
    """Every installer component in the mirror's index."""
    return list(index.read(_index(site, suite)[0]).values())


def fetcher(site: Site) -> Callable[[Udeb], bytes | None]:
    """Gets a component from the mirror, checked by its SHA-256; None when it is not there, or is something else."""

    def fetch(udeb: Udeb) -> bytes | None:
        try:
            with upstreams.request(site.upstream, udeb.filename) as response:
                content = response.read(MAX_UDEB_BYTES)
        except (Unavailable, OSError, http.client.HTTPException):
            return None
        whole = response.status == 200 and hashlib.sha256(content).hexdigest() == udeb.sha256
        return content if whole else None

    return fetch


def digests(release: str) -> dict[str, str]:
    """The SHA-256 that a Release file gives for each of its files."""
    found: dict[str, str] = {}
    section = ""
    for line in release.splitlines():
        if line[:1] != " ":
            section = line.partition(":")[0]
        elif section == "SHA256" and len(parts := line.split()) == 3:
            found[parts[2]] = parts[0]
    return found


def _bsdtar(option: str, archive: Path, *names: str) -> bytes:
    try:
        result = subprocess.run(["bsdtar", option, str(archive), *names], capture_output=True, timeout=120, check=True)
    except FileNotFoundError as error:
        raise Conflict("bsdtar is needed to read the initrd.", hint="Install libarchive-tools.") from error
    return result.stdout


def _index(site: Site, suite: str) -> tuple[str, bool]:
    """The mirror's index of udebs, and whether the signed Release file vouches for it."""
    with upstreams.request(site.upstream, f"dists/{suite}/{INDEX}") as response:
        content = response.read(MAX_UDEB_BYTES) if response.status == 200 else gzip.compress(b"")
    known = digests(site.apt.signed_release()).get(INDEX)
    return gzip.decompress(content).decode(), hashlib.sha256(content).hexdigest() == known


def _has(upstream: Upstream, udeb: Udeb) -> bool:
    with upstreams.request(upstream, udeb.filename, method="HEAD") as response:
        return response.status == 200 and response.headers.get("Content-Length", str(udeb.size)) == str(udeb.size)


def _shortage(needed: Plan, missing: Sequence[str]) -> str:
    total = len(needed.wanted) + len(needed.modules) + len(needed.absent)
    return f"The mirror lacks {len(missing)} of {total} installer components for {needed.kernel}: {', '.join(missing)}"


def _taken(site: Site, udebs: Sequence[Udeb], progress: Progress) -> Iterator[Member]:
    progress(f"Taking {len(udebs)} installer components from the mirror, each checked by its SHA-256")
    folder = site.work / "udebs"
    folder.mkdir()
    for udeb in udebs:
        with upstreams.request(site.upstream, udeb.filename) as response:
            content = response.read(MAX_UDEB_BYTES)
        if response.status != 200 or hashlib.sha256(content).hexdigest() != udeb.sha256:
            raise Conflict(f"{udeb.filename} on {site.upstream} is not what its index says.", hint="Try again later.")
        path = folder / PurePosixPath(udeb.filename).name
        path.write_bytes(content)
        yield Member(path, udeb.fields)


def _made(
    site: Site, needed: Plan, components: Sequence[str], have: frozenset[str], progress: Progress
) -> Iterator[Member]:
    folder = site.work / "made"
    folder.mkdir()
    for name in components:
        recipe = repack.RECIPES[name]
        progress(f"Making {name} from the package {recipe.debs[0]}" if recipe.debs else f"Making an empty {name}")
        version = site.apt.version(recipe.debs[0]) if recipe.debs else EMPTY_VERSION
        yield _member(repack.component(name, version, site.apt.download(recipe.debs), folder))
    if needed.modules:
        image = f"linux-image-{needed.kernel}"
        progress(f"Making {', '.join(needed.modules)} from {image}")
        deb = site.apt.download([image])[image]
        yield _member(repack.modules(needed.kernel, needed.modules, site.apt.version(image), deb, folder, have))


def _member(path: Path) -> Member:
    result = subprocess.run(["dpkg-deb", "--field", str(path)], capture_output=True, text=True, timeout=60, check=True)
    return Member(path, next(iter(stanzas(result.stdout))))
