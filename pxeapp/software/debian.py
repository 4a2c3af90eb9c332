"""Debian's installer as a release: netboot files from the package, components from the mirror or made whole.

Kernel and initrd are served as the package has them, unmodified. The package is the installed one where there is one,
else it is downloaded with an apt of our own (private_apt.py).
"""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import FieldProblem, Invalid, PxeError
from pxeapp.software import adding, apt_sources, media, questions, releases, upstreams
from pxeapp.software.models import Release
from pxeapp.software.private_apt import PrivateApt
from pxeapp.software.udebs import build
from pxeapp.software.upstreams import Upstream

CODENAMES = {"12": "bookworm", "13": "trixie"}
INSTALLED = Path("/usr/lib/debian-installer/images")
INSIDE = "{version}/amd64/text/debian-installer/amd64"
PACKAGE = "debian-installer-{version}-netboot-amd64"
MIRROR = "debian"
SECURITY = "debian-security"
EXTRACT_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Netboot:
    """The two files and the version of the package they come from."""

    kernel: Path
    initrd: Path
    version: str


def add(
    database: Database,
    settings: Settings,
    version: str,
    *,
    actor: str,
    now: dt.datetime,
    name: str = "",
    remember: Mapping[str, Any] = {},
    progress: adding.Progress = lambda _line: None,
    accept_unsigned: bool = False,
) -> Release:
    """Add or refresh `debian-VERSION`, or another `name`; idempotent: when nothing is new, nothing is changed.

    `accept_unsigned` allows installer components that only the mirror's own index vouches for, where that index does
    not match the signed Release file. `remember` goes into its settings. Takes a minute or two, most of it downloading.
    """
    if version not in CODENAMES:
        known = f"Use one of: {', '.join(CODENAMES)}."
        problem = FieldProblem("version", f"Debian {version!r} has no netboot package.", known)
        raise Invalid("The release was not added.", problems=[problem], hint=known)
    name, suite = name or f"debian-{version}", CODENAMES[version]
    with _workshop(settings) as work:
        upstream, apt = _reading(settings, suite, work, progress)
        netboot = _netboot(apt, version, work, progress)
        if (present := _unchanged(database, settings, name, netboot)) is not None:
            progress(f"{name} is up to date ({netboot.version})")
            return present
        site = build.Site(settings, upstream, apt, work)
        components = build.make_whole(
            site,
            name=f"pxeapp-{name}",
            suite=suite,
            initrd=netboot.initrd,
            now=now,
            progress=progress,
            accept_unsigned=accept_unsigned,
        )
        description = releases.Description(
            name=name,
            family="debian",
            version=version,
            install_url=f"{{node_url}}/mirror/{MIRROR}",
            repositories=_repositories(settings, suite),
            settings={
                "suite": suite,
                "installer_version": netboot.version,
                **components.as_settings(),
                **remember,
            },
        )
        release = adding.register(
            database,
            settings,
            description,
            kernel=netboot.kernel,
            initrd=netboot.initrd,
            origin=f"{PACKAGE.format(version=version)} {netboot.version}",
            actor=actor,
            now=now,
        )
        _catalogue(site, suite, release, netboot.initrd, progress)
    progress(f"{name} is ready: kernel and initrd verified, {components.sentence}")
    return release


def netboot(settings: Settings, version: str, work: Path, progress: adding.Progress) -> Netboot:
    """The network installer's files alone: of the package that is installed here, or else the mirror's."""
    if (here := _installed(version, progress)) is not None:
        return here
    _, apt = _reading(settings, CODENAMES[version], work, progress)
    return _netboot(apt, version, work, progress)


def unpack(deb: Path, version: str, work: Path, package_version: str) -> Netboot:
    """The network installer's files out of its package, into `work`."""
    target = work / "netboot"
    target.mkdir()
    inside = INSTALLED.relative_to("/") / INSIDE.format(version=version)
    _extract(deb, {f"./{inside}/{file}": target / file for file in ("linux", "initrd.gz")})
    return Netboot(target / "linux", target / "initrd.gz", package_version)


def _reading(settings: Settings, suite: str, work: Path, progress: adding.Progress) -> tuple[Upstream, PrivateApt]:
    """The mirror, and an apt that has read it."""
    upstream = upstreams.named(settings, MIRROR)
    own = apt_sources.mirrors(apt_sources.read()).get(MIRROR)
    # apt cannot go through a mirror door's socket; this machine's own mirror has the same packages.
    url = own.url if upstream.scheme == "unix" and own is not None else str(upstream)
    apt = PrivateApt(work, url=url, suite=suite, keyring=own.signed_by if own is not None else "")
    progress(f"Reading {url} {suite}")
    apt.update()
    return upstream, apt


def _unchanged(database: Database, settings: Settings, name: str, netboot: Netboot) -> Release | None:
    """The release when it has these very files, all of them whole, and its components are where it says."""
    with database.read() as session:
        release = session.scalar(select(Release).where(Release.name == name, Release.ready))
        if release is None:
            return None
        session.expunge(release)
    found = (media.digest(netboot.kernel), media.digest(netboot.initrd))
    if found != (release.kernel_sha256, release.initrd_sha256) or media.problem(settings, release):
        return None
    catalogue = questions.place(settings, release)
    if catalogue is None or not questions.is_whole(catalogue):
        return None
    return release if build.is_in_place(settings, release.settings) else None


def _catalogue(site: build.Site, suite: str, release: Release, initrd: Path, progress: adding.Progress) -> None:
    """Keep what this installer can be asked; preseeds are checked against it. A release is added without it too."""
    progress("Reading which questions the installer knows")
    path = questions.place(site.settings, release)
    try:
        found = questions.of_initrd(initrd)
        status = build.read_initrd(initrd).status
        questions.add_components(found, build.components(site, suite), build.fetcher(site), status)
    except (PxeError, OSError, subprocess.SubprocessError) as error:
        progress(f"Not all questions are known, so preseeds are checked less strictly: {error}")
        return
    if path is not None:
        questions.write(path, found)
        progress(f"Known: {found.sentence}")


def _netboot(apt: PrivateApt, version: str, work: Path, progress: adding.Progress) -> Netboot:
    if (here := _installed(version, progress)) is not None:
        return here
    package = PACKAGE.format(version=version)
    progress(f"Downloading {package} {apt.version(package)}")
    return unpack(apt.download([package])[package], version, work, apt.version(package))


def _installed(version: str, progress: adding.Progress) -> Netboot | None:
    installed = INSTALLED / INSIDE.format(version=version)
    if not (installed / "linux").is_file() or not (installed / "initrd.gz").is_file():
        return None
    package = PACKAGE.format(version=version)
    progress(f"Using the installed package {package}")
    return Netboot(installed / "linux", installed / "initrd.gz", _installed_version(package))


def _extract(deb: Path, wanted: dict[str, Path]) -> None:
    """Take single files out of a .deb while it streams by: the whole of it is four times their size."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as process:
        left = dict(wanted)
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for entry in archive:
                target = left.pop(entry.name, None)
                if target is not None and (source := archive.extractfile(entry)) is not None:
                    with source, target.open("wb") as out:
                        shutil.copyfileobj(source, out, 1024 * 1024)
                if not left:
                    break
        process.kill()  # the rest is of no interest
        process.wait(EXTRACT_TIMEOUT_S)
    if left:
        raise PxeError(f"{deb.name} does not hold {', '.join(left)}.", hint="Report this: the package has changed.")


def _installed_version(package: str) -> str:
    result = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, timeout=30, check=False
    )
    return result.stdout.strip() or "installed"


def _repositories(settings: Settings, suite: str) -> list[dict[str, str]]:
    """What the installed system reads besides the mirror itself: updates, and security where that is mirrored."""
    found = [
        {"name": "updates", "url": f"{{node_url}}/mirror/{MIRROR}", "suite": f"{suite}-updates", "components": "main"}
    ]
    if SECURITY in upstreams.configured(settings):
        security = {"name": "security", "url": f"{{node_url}}/mirror/{SECURITY}", "suite": f"{suite}-security"}
        found.append({**security, "components": "main"})
    return found


@contextmanager
def _workshop(settings: Settings) -> Iterator[Path]:
    root = settings.data_dir / "cache"
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="installer-", dir=root) as name:
        yield Path(name)
