"""A Debian disc becomes a release with the network installer of its kernel, or says what it lacks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict
from pxeapp.software import debian, releases
from pxeapp.software.content.manifest import Entry, Manifest
from pxeapp.software.content.store import Store
from pxeapp.software.isos import netboot
from pxeapp.software.tasks.running import Run
from pxeapp.software.udebs import build
from pxeapp.software.udebs.plan import MODULE_ROOTS, ROOTS, kernel_version
from tests.software.isos import making
from tests.software.isos.conftest import Importer

INSTALLER = debian.INSTALLED / debian.INSIDE.format(version="12")
pytestmark = [
    making.needs_programs,
    pytest.mark.skipif(
        not (INSTALLER / "linux").is_file(), reason="debian-installer-12-netboot-amd64 is not installed"
    ),
]


@pytest.fixture(scope="module")
def components() -> tuple[str, ...]:
    """What a disc of that installer's point release has, by name."""
    kernel = kernel_version(build.read_initrd(INSTALLER / "initrd.gz").status)
    return (*ROOTS, *(f"{kind}-{kernel}-di" for kind in MODULE_ROOTS))


def test_a_disc_that_fits_installs_from_its_own_tree(
    importing: Importer, settings: Settings, database: Database, components: tuple[str, ...], tmp_path: Path
) -> None:
    disc = making.debian(tmp_path / "disc", udebs=components)
    task = importing(making.iso(disc, tmp_path / "debian-12.11.0-amd64-DVD-1.iso", "Debian"))
    assert task["result"] == {"media": "debian-12.11", "release": "debian-12.11", "remark": ""}
    with database.read() as session:
        made = releases.wire(releases.get(session, "debian-12.11"))
    assert (made["installer"], made["version"], made["ready"]) == ("preseed", "12.11", True)
    assert made["install_url"] == "{node_url}/repo/media/debian-12.11"
    assert made["settings"]["suite"] == "bookworm"
    assert made["settings"]["allow_unauthenticated"] is True  # Debian signs no disc
    kernel = settings.media_dir / "debian-12.11" / made["kernel"]
    assert kernel.read_bytes() == (INSTALLER / "linux").read_bytes()


def test_a_disc_of_another_point_release_says_what_it_lacks(
    store: Store, components: tuple[str, ...], tmp_path: Path
) -> None:
    older = tuple(name.replace("-6.", "-5.") for name in components if name != "partman-xfs")
    disc = making.debian(tmp_path / "disc", version="12.1.0", udebs=older)
    manifest = Manifest(
        Entry(str(path.relative_to(disc)), blob.sha256, blob.size)
        for path in disc.rglob("*") if path.is_file() and not path.is_symlink() for blob in [store.add_file(path)]
    )  # fmt: skip
    installer = debian.Netboot(INSTALLER / "linux", INSTALLER / "initrd.gz", "20230607+deb12u11")
    with pytest.raises(Conflict, match=r"needs what the disc does not have: ata-modules, ext4-modules, .* more"):
        netboot.refuse_misfit(store, manifest, "bookworm", installer)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_the_package_on_the_disc_itself_is_the_first_choice(
    settings: Settings, database: Database, store: Store, tmp_path: Path
) -> None:
    package = making.write(tmp_path / "package", {
        f"{str(INSTALLER).lstrip('/')}/linux": b"the disc's own",
        f"{str(INSTALLER).lstrip('/')}/initrd.gz": b"its initrd",
        "DEBIAN/control": "Package: debian-installer-12-netboot-amd64\nVersion: 20230607+deb12u99\nArchitecture: all\n"
        "Maintainer: Test <t@example.org>\nDescription: installer\n",
    })  # fmt: skip
    made = tmp_path / "made.deb"
    subprocess.run(["dpkg-deb", "-Znone", "-b", str(package), str(made)], check=True, capture_output=True, timeout=60)
    blob = store.add_file(made)
    name = "debian-installer-12-netboot-amd64_20230607+deb12u99_all.deb"
    manifest = Manifest([Entry(f"pool/main/d/debian-installer-netboot-images/{name}", blob.sha256, blob.size)])
    run = Run(settings, database, store, 1, "x", {}, "user:ops", "test")
    with netboot.found(run, manifest, "12") as installer:
        assert installer.kernel.read_bytes() == b"the disc's own"
        assert installer.version == "20230607+deb12u99"
    assert not installer.kernel.exists()
