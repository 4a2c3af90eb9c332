"""A Debian disc becomes a release with the network installer of its kernel, or says what it lacks."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.software import debian, releases
from pxeapp.software.udebs.plan import MODULE_ROOTS, ROOTS
from tests.software.isos import making
from tests.software.isos.conftest import Importer

pytestmark = [
    making.needs_programs,
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed"),
]
KERNEL = "6.1.0-35-amd64"
COMPONENTS = (*ROOTS, *(f"{kind}-{KERNEL}-di" for kind in MODULE_ROOTS))


def installer(folder: Path, disc: Path) -> None:
    """The network installer's package in the disc's pool; its initrd says which kernel it is of."""
    status = f"Package: kernel-image-{KERNEL}-di\nStatus: install ok installed\nVersion: 1\n"
    files = making.write(folder / "initrd", {"var/lib/dpkg/status": status})
    cpio = subprocess.run(
        ["bsdtar", "--format=newc", "-cf", "-", "-C", str(files), "."], check=True, capture_output=True, timeout=60
    ).stdout
    inside = f"{str(debian.INSTALLED).lstrip('/')}/{debian.INSIDE.format(version='12')}"
    package = making.write(folder / "package", {
        f"{inside}/linux": b"the disc's own", f"{inside}/initrd.gz": gzip.compress(cpio, mtime=0),
        "DEBIAN/control": f"Package: {debian.PACKAGE.format(version='12')}\nVersion: 20230607+deb12u11\n"
        "Architecture: all\nMaintainer: Test <t@example.org>\nDescription: installer\n",
    })  # fmt: skip
    pool = disc / "pool/main/d/debian-installer-netboot-images"
    pool.mkdir(parents=True)
    made = pool / f"{debian.PACKAGE.format(version='12')}_20230607+deb12u11_all.deb"
    subprocess.run(["dpkg-deb", "-Znone", "-b", str(package), str(made)], check=True, capture_output=True, timeout=60)


def test_a_disc_that_fits_installs_from_its_own_tree(
    importing: Importer, settings: Settings, database: Database, tmp_path: Path
) -> None:
    disc = making.debian(tmp_path / "disc", udebs=COMPONENTS)
    installer(tmp_path, disc)
    task = importing(making.iso(disc, tmp_path / "debian-12.11.0-amd64-DVD-1.iso", "Debian"))
    assert task["result"] == {"media": "debian-12.11", "release": "debian-12.11", "remark": ""}
    with database.read() as session:
        made = releases.wire(releases.get(session, "debian-12.11"))
    assert (made["installer"], made["version"], made["ready"]) == ("preseed", "12.11", True)
    assert made["install_url"] == "{node_url}/repo/media/debian-12.11"
    assert made["settings"]["suite"] == "bookworm"
    assert made["settings"]["installer_version"] == "20230607+deb12u11"
    assert made["settings"]["allow_unauthenticated"] is True  # Debian signs no disc
    assert (settings.media_dir / "debian-12.11" / made["kernel"]).read_bytes() == b"the disc's own"
    assert not list((settings.data_dir / "cache").glob("netboot-*"))


def test_a_disc_of_another_point_release_says_what_it_lacks(importing: Importer, tmp_path: Path) -> None:
    older = tuple(name.replace(KERNEL, "6.1.0-9-amd64") for name in COMPONENTS if name != "partman-xfs")
    disc = making.debian(tmp_path / "disc", udebs=older)
    installer(tmp_path, disc)
    remark = importing(making.iso(disc, tmp_path / "dvd.iso", "Debian"))["result"]["remark"]
    assert remark.startswith(f"No release was made: The network installer 20230607+deb12u11 (Linux {KERNEL}) needs ")
    assert "what the disc does not have: ata-modules, ext4-modules, " in remark
