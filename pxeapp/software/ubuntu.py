"""Ubuntu's live server as a release: kernel and initrd out of the ISO, and the ISO itself, which machines load whole.

Kernel and initrd must be of that very ISO: the initrd looks for the file system that belongs to it and finds no other.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pxeapp import systems
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, FieldProblem, Invalid
from pxeapp.software import fetch, media, releases
from pxeapp.software.models import Release
from pxeapp.systems import AUTOINSTALL

ABOUT = ".disk/info"
KERNEL, INITRD = "casper/vmlinuz", "casper/initrd"
EXTRACT_TIMEOUT_S = 600.0
# `Ubuntu-Server 24.04.1 LTS "Noble Numbat" - Release amd64 (20240827)`
SAID = re.compile(
    r'(?P<flavor>\S+) (?P<version>[0-9]{2}\.[0-9]{2})(\.[0-9]+)?[^"]*"[^"]*" - .*\b(?P<arch>amd64|arm64|\S+) \('
)
FLAVOR = "Ubuntu-Server"
SPARE_MIB = 1024  # what the live session itself needs, besides the ISO twice


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator may say; the rest stands in the ISO."""

    name: str = ""  # empty: ubuntu-VERSION
    sha256: str = ""  # of the ISO; needed where it is downloaded
    hwe: bool = False  # the newer kernel, where the ISO has one
    kernel_args: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def add(
    database: Database,
    settings: Settings,
    iso: str,
    wanted: Wanted = Wanted(),
    *,
    actor: str,
    now: dt.datetime,
    replace_existing: bool = False,
    progress: releases.Progress = lambda _line: None,
) -> Release:
    """Add a release from an ISO, a path or an http(s) URL. Takes as long as the ISO takes to copy, twice."""
    settings.media_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".staging-iso-", dir=settings.media_dir) as folder:
        work = Path(folder)
        path = _local(iso, wanted.sha256, settings, work, progress)
        version = _version(path)
        name = wanted.name or f"ubuntu-{systems.major('ubuntu', version)}"
        prefix = "casper/hwe-" if wanted.hwe else "casper/"
        progress(f"Taking kernel and initrd of Ubuntu {version} out of {path.name}")
        kernel, initrd = (_extract(path, f"{prefix}{file}", work / file) for file in ("vmlinuz", "initrd"))
        needed = 2 * path.stat().st_size // 1024**2 + SPARE_MIB
        description = releases.Description(
            name=name,
            family="ubuntu",
            version=version,
            installer=AUTOINSTALL,
            kernel_args=wanted.kernel_args,
            install_url=f"{releases.MEDIA}/{path.name}",
            settings={**wanted.settings, "memory_mib": needed},
        )
        progress(f"Copying {path.name} ({path.stat().st_size // 1024**2} MiB)")
        release = releases.register(
            database,
            settings,
            description,
            kernel=kernel,
            initrd=initrd,
            files=[path],
            origin=iso,
            actor=actor,
            now=now,
            replace_existing=replace_existing,
        )
    progress(f"{name} is ready. A machine needs {needed} MiB of memory to install it: it loads the ISO whole.")
    return release


def _local(iso: str, sha256: str, settings: Settings, work: Path, progress: releases.Progress) -> Path:
    """The ISO as a file with a name that can stand in a URL, of the checksum that was said."""
    plain = re.sub(r"[^A-Za-z0-9._+~-]", "-", iso.rstrip("/").rpartition("/")[2]).lstrip(".") or "ubuntu.iso"
    name = plain if plain.endswith(".iso") else f"{plain}.iso"
    if re.match(r"https?://", iso):
        progress(f"Fetching {iso}")
        limits = fetch.Limits(max_bytes=releases.MAX_FILE_BYTES, deadline_s=4 * 3600.0)
        fetch.fetch(iso, work / name, sha256=sha256, networks=settings.fetch_networks, limits=limits)
        return work / name
    path = Path(iso)
    if not path.is_file():
        raise _refused("iso", f"{iso} is not a file.", "Name the live server's ISO, or give its http:// address.")
    if sha256 and (found := media.digest(path)) != sha256:
        raise _refused(
            "sha256", f"{iso} has SHA-256 {found}, not {sha256}.", "Compare with the publisher's SHA256SUMS."
        )
    if path.name == name:
        return path
    (work / name).symlink_to(path.resolve())
    return work / name


def _version(iso: Path) -> str:
    """The version that the ISO says it is; raises Invalid for anything but a server's that we can install."""
    try:
        about = _bsdtar(iso, ABOUT).decode(errors="replace").strip()
    except subprocess.CalledProcessError as error:
        fix = "Download it again and compare its checksum."
        raise _refused("iso", f"{iso.name} is no Ubuntu ISO: it has no {ABOUT}.", fix) from error
    said = SAID.match(about)
    if said is None or said["flavor"] != FLAVOR or said["arch"] != "amd64":
        fix = f"Take ubuntu-VERSION-live-server-amd64.iso; {FLAVOR} ... amd64 stands in it."
        raise _refused("iso", f"{iso.name} is {about[:80]!r}, not a live server for amd64.", fix)
    systems.check(AUTOINSTALL, "ubuntu", said["version"])
    return said["version"]


def _extract(iso: Path, name: str, target: Path) -> Path:
    try:
        target.write_bytes(_bsdtar(iso, name))
    except subprocess.CalledProcessError as error:
        fix = "Leave --hwe out: this ISO has one kernel." if "hwe-" in name else "Take the live server's ISO."
        raise _refused("iso", f"{iso.name} has no {name}.", fix) from error
    return target


def _bsdtar(iso: Path, name: str) -> bytes:
    if shutil.which("bsdtar") is None:
        raise Conflict("bsdtar is needed to look into an ISO.", hint="Install libarchive-tools.")
    command = ["bsdtar", "-xOf", str(iso), name]
    return subprocess.run(command, capture_output=True, timeout=EXTRACT_TIMEOUT_S, check=True).stdout


def _refused(where: str, problem: str, fix: str) -> Invalid:
    return Invalid(f"The release was not added: {problem}", problems=[FieldProblem(where, problem, fix)], hint=fix)
