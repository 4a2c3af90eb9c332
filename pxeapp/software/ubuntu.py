"""Ubuntu's live server as a release: kernel and initrd out of the ISO, and the ISO itself, which machines load whole.

Kernel and initrd must be of that very ISO: the initrd looks for the file system that belongs to it and finds no other.
"""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pxeapp import systems
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software import adding, fetch, media, releases
from pxeapp.software.isos import contents, image, layouts, listing, live_server
from pxeapp.software.models import Release


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
    progress: adding.Progress = lambda _line: None,
) -> Release:
    """Add a release from an ISO, a path or an http(s) URL. Takes as long as the ISO takes to copy, twice."""
    settings.media_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".staging-iso-", dir=settings.media_dir) as folder:
        work = Path(folder)
        path = _local(iso, wanted.sha256, settings, work, progress)
        iso_image = image.look(path)
        found = listing.read(iso_image)
        medium = layouts.recognise(iso_image, found, lambda name: contents.small(iso_image, found, name))
        if medium.layout != layouts.UBUNTU_LIVE:
            raise image.refused(
                f"{path.name} is {medium.title}, not Ubuntu's live server.", f"Import it: pxeapp media import {iso}"
            )
        name = wanted.name or f"ubuntu-{systems.major('ubuntu', medium.version)}"
        progress(f"Taking kernel and initrd of {medium.title} out of {path.name}")
        kernel, initrd = (
            contents.copy(iso_image, found, each, work / each.rpartition("/")[2])
            for each in live_server.boots(medium, found, hwe=wanted.hwe)
        )
        description = live_server.description(
            name,
            medium,
            iso_url=f"{releases.MEDIA}/{path.name}",
            iso_bytes=iso_image.size,
            kernel_args=wanted.kernel_args,
            settings=wanted.settings,
        )
        progress(f"Copying {path.name} ({path.stat().st_size // 1024**2} MiB)")
        release = adding.register(
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
    needed = description.settings["memory_mib"]
    progress(f"{name} is ready. A machine needs {needed} MiB of memory to install it: it loads the ISO whole.")
    return release


def _local(iso: str, sha256: str, settings: Settings, work: Path, progress: adding.Progress) -> Path:
    """The ISO as a file with a name that can stand in a URL, of the checksum that was said."""
    plain = media.plain(iso.rstrip("/").rpartition("/")[2]).lstrip(".") or "ubuntu.iso"
    name = plain if plain.endswith(".iso") else f"{plain}.iso"
    if re.match(r"https?://", iso):
        progress(f"Fetching {iso}")
        limits = fetch.Limits(max_bytes=adding.MAX_FILE_BYTES, deadline_s=4 * 3600.0)
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


def _refused(where: str, problem: str, fix: str) -> Invalid:
    return Invalid(f"The release was not added: {problem}", problems=[FieldProblem(where, problem, fix)], hint=fix)
