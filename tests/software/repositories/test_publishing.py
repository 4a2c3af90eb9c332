"""Publishing, and what real clients make of it: apt and dnf install, and refuse what was tampered with."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from pxeapp.audit import AuditRow
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid, PxeError
from pxeapp.software import packages as lists
from pxeapp.software.content.store import Store
from pxeapp.software.packages import Kind, Package
from pxeapp.software.repositories import openpgp, package_files, publishing
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.repositories.publishing import Generation
from pxeapp.software.repositories.signing import Signer
from tests.software.repositories import built, served
from tests.software.repositories.conftest import NOW

NEEDED = ("apt-get", "dpkg-deb", "createrepo_c", "dnf", "rpm", "rpmbuild")
pytestmark = pytest.mark.skipif(
    bool(served.missing(NEEDED)) or os.geteuid() != 0,
    reason=f"needs root and {' '.join(NEEDED)} (apt install apt dpkg createrepo-c dnf rpm)",
)


class Published:
    """A repository and how it is published in these tests."""

    def __init__(self, kind: Kind, settings: Settings, database: Database, folder: Path) -> None:
        self.kind: Kind = kind
        self.settings, self.database, self.folder = settings, database, folder
        self.store = Store(settings.data_dir / "software")
        self.times = 0
        with database.write() as session:
            session.add(
                SoftwareRepository(
                    name="tools", kind=kind, origin="local", suite="stable" if kind == "deb" else "",
                    components=["main"] if kind == "deb" else [],
                    architectures=["amd64" if kind == "deb" else "x86_64"], created_at=NOW, updated_at=NOW,
                )
            )  # fmt: skip

    def package(self, name: str, version: str = "1.0", content: str = "") -> Package:
        made = (built.deb if self.kind == "deb" else built.rpm)(self.folder, name, version, content=content)
        blob = self.store.add_file(made)
        return package_files.placed(
            package_files.inspect(self.kind, self.store.path(blob.sha256), blob, name=made.name).package, "main", ()
        )

    def publish(self, *packages: Package, again: bool = False) -> SoftwareRepository:
        self.times += 1
        how = Generation("ann", NOW + dt.timedelta(minutes=self.times), again=again)
        return publishing.publish(self.settings, self.database, self.store, "tools", packages, how)

    def row(self) -> SoftwareRepository:
        with self.database.read() as session:
            return publishing.get(session, "tools")

    @property
    def root(self) -> Path:
        return self.settings.data_dir / "repo"

    def files(self) -> dict[str, bytes]:
        tree = self.root / "tools"
        return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


@pytest.fixture
def deb(settings: Settings, database: Database, tmp_path: Path, signer: Signer) -> Published:
    return Published("deb", settings, database, tmp_path)


@pytest.fixture
def rpm(settings: Settings, database: Database, tmp_path: Path, signer: Signer) -> Published:
    return Published("rpm", settings, database, tmp_path)


def test_apt_installs_and_upgrades_from_it_with_its_signature_verified(deb: Published, tmp_path: Path) -> None:
    one, two = deb.package("alpha"), deb.package("beta")
    deb.publish(one, two)
    with built.served(deb.root) as url:
        apt = served.Apt(tmp_path / "apt", f"{url}/tools", "stable", deb.root / "keys/pxeapp.gpg")
        ran = apt.run("update")
        assert ran.returncode == 0, ran.stderr
        ran = apt.run("-y", "install", "alpha")
        assert (ran.returncode, apt.installed("alpha"), apt.installed("beta")) == (0, "1.0", ""), ran.stderr
        time.sleep(1.1)  # apt asks whether it was modified since, and HTTP counts in seconds
        deb.publish(one, two, deb.package("alpha", "1.1"))
        assert apt.run("update").returncode == 0
        assert apt.run("-y", "upgrade").returncode == 0
        assert apt.installed("alpha") == "1.1"


def test_apt_refuses_what_was_tampered_with(deb: Published, tmp_path: Path) -> None:
    deb.publish(deb.package("alpha"))
    tree, keys = deb.root / "tools", deb.root / "keys/pxeapp.gpg"
    other = tmp_path / "other.gpg"
    other.write_bytes(openpgp.binary_keyring(openpgp.make("other", algorithm="rsa2048").public.encode()))
    package, release = next(tree.rglob("*.deb")), tree / "dists/stable/InRelease"
    with built.served(deb.root) as url:
        apt = served.Apt(tmp_path / "apt", f"{url}/tools", "stable", keys)
        assert apt.run("update").returncode == 0
        overwrite(package, package.read_bytes().replace(b"1.0", b"6.6"))
        ran = apt.run("-y", "install", "alpha")
        assert ran.returncode != 0
        assert "Hash Sum mismatch" in ran.stderr
        assert apt.installed("alpha") == ""
        whole = release.read_bytes()
        overwrite(release, whole.replace(b"Label: tools", b"Label: fools"))
        ran = served.Apt(tmp_path / "apt2", f"{url}/tools", "stable", keys).run("update")
        assert ran.returncode != 0
        assert "BADSIG" in ran.stderr or "is not signed" in ran.stderr
        overwrite(release, whole)
        ran = served.Apt(tmp_path / "apt3", f"{url}/tools", "stable", other).run("update")
        assert ran.returncode != 0
        assert "NO_PUBKEY" in ran.stderr


def test_apt_that_has_read_the_index_before_an_update_finishes_its_work(deb: Published, tmp_path: Path) -> None:
    deb.publish(deb.package("alpha"))
    with built.served(deb.root) as url:
        apt = served.Apt(tmp_path / "apt", f"{url}/tools", "stable", deb.root / "keys/pxeapp.gpg")
        assert apt.run("update").returncode == 0
        deb.publish(deb.package("beta"))
        assert apt.run("-y", "install", "alpha").returncode == 0
        assert apt.installed("alpha") == "1.0"
    deb.publish(deb.package("gamma"))
    assert not [path for path in deb.files() if "alpha" in path]


def test_dnf_installs_from_it_with_its_signature_verified(rpm: Published, tmp_path: Path) -> None:
    one = rpm.package("alpha")
    rpm.publish(one, rpm.package("beta"))
    with built.served(rpm.root) as url:
        dnf = served.Dnf(tmp_path / "dnf", f"{url}/tools", f"{url}/keys/pxeapp.asc")
        ran = dnf.run("install", "alpha")
        assert (ran.returncode, dnf.installed("alpha")) == (0, "1.0"), ran.stderr
        rpm.publish(one, rpm.package("alpha", "1.1"))
        ran = dnf.run("upgrade")
        assert (ran.returncode, dnf.installed("alpha")) == (0, "1.1"), ran.stderr


def test_dnf_refuses_what_was_tampered_with(rpm: Published, tmp_path: Path) -> None:
    rpm.publish(rpm.package("alpha"))
    tree = rpm.root / "tools"
    package, index = next(tree.rglob("*.rpm")), tree / "repodata/repomd.xml"
    with built.served(rpm.root) as url:
        overwrite(package, bytes([*package.read_bytes()[:-1], 7]))
        dnf = served.Dnf(tmp_path / "dnf", f"{url}/tools", f"{url}/keys/pxeapp.asc")
        ran = dnf.run("install", "alpha")
        assert ran.returncode != 0
        assert "checksum doesn't match" in ran.stdout + ran.stderr
        assert dnf.installed("alpha") == ""
        whole = index.read_bytes()
        overwrite(index, whole.replace(b"<revision>", b"<revision>6"))
        ran = served.Dnf(tmp_path / "dnf2", f"{url}/tools", f"{url}/keys/pxeapp.asc").run("makecache")
        assert ran.returncode != 0
        assert "repomd.xml GPG signature verification error: Bad GPG signature" in ran.stderr
        (rpm.root / "other.asc").write_text(openpgp.make("other", algorithm="rsa2048").public)
        overwrite(index, whole)
        ran = served.Dnf(tmp_path / "dnf3", f"{url}/tools", f"{url}/other.asc").run("makecache")
        assert ran.returncode != 0
        assert "repomd.xml GPG signature verification error" in ran.stderr


def overwrite(path: Path, content: bytes) -> None:
    """In its place only: the file is a link into the store."""
    path.unlink()
    path.write_bytes(content)


def test_metadata_of_packages_that_were_there_is_taken_over(rpm: Published) -> None:
    one = rpm.package("alpha")
    rpm.publish(one)
    two = rpm.package("beta")
    rpm.publish(one, two)
    assert sorted(path for path in rpm.files() if path.endswith(".rpm")) == [
        "Packages/a/alpha-1.0-1.noarch.rpm", "Packages/b/beta-1.0-1.noarch.rpm",
    ]  # fmt: skip
    row = rpm.row()
    assert (row.package_count, row.bytes, row.problem) == (2, one.size + two.size, "")
    assert lists.load(rpm.store, row.packages) == [one, two]


def test_a_version_never_gets_another_content(deb: Published) -> None:
    one = deb.package("alpha")
    deb.publish(one)
    served_before = deb.files()
    with pytest.raises(Conflict, match=r"alpha 1\.0 \(all\) is there already, with another content"):
        deb.publish(deb.package("alpha", content="other"))
    assert deb.files() == served_before
    assert "alpha 1.0" in deb.row().problem
    assert deb.publish(one).problem == ""


@pytest.mark.parametrize("kind", ["deb", "rpm"])
def test_what_fails_leaves_what_was_served(kind: str, request: pytest.FixtureRequest) -> None:
    published: Published = request.getfixturevalue(kind)
    one = published.package("alpha")
    published.publish(one)
    before, row = published.files(), published.row()
    two = published.package("beta")
    published.store.path(two.sha256).unlink()
    with pytest.raises(Invalid, match="1 packages are not in the store"):
        published.publish(one, two)
    assert published.files() == before
    assert (published.row().manifest, published.row().package_count) == (row.manifest, 1)
    assert "not in the store" in published.row().problem


def test_a_row_that_cannot_follow_takes_the_new_tree_back(deb: Published) -> None:
    one = deb.package("alpha")
    deb.publish(one)
    before = set(deb.files())

    def remove_it(_says: str) -> None:
        with deb.database.write() as session:
            session.delete(publishing.get(session, "tools"))

    how = Generation("ann", NOW, again=True, tell=remove_it)
    with pytest.raises(PxeError):
        publishing.publish(deb.settings, deb.database, deb.store, "tools", [one, deb.package("beta")], how)
    assert set(deb.files()) == before


def test_the_same_packages_are_not_published_anew_unless_somebody_says_so(deb: Published) -> None:
    one = deb.package("alpha")
    first = deb.publish(one)
    assert deb.publish(one).manifest == first.manifest
    again = deb.publish(one, again=True)
    assert again.manifest != first.manifest
    assert again.previous == first.manifest
    with deb.database.read() as session:
        told = session.scalars(select(AuditRow).where(AuditRow.action == "repository.published")).all()
    assert len(told) == 2


def test_a_tree_that_was_lost_is_there_again(deb: Published) -> None:
    deb.publish(deb.package("alpha"))
    before = deb.files()
    (deb.root / "tools").rename(deb.folder / "lost")
    publishing.keep_served(deb.settings, deb.database, NOW)
    assert deb.files() == before


def test_a_tree_whose_store_was_lost_too_says_so(deb: Published) -> None:
    deb.publish(deb.package("alpha"))
    (deb.root / "tools").rename(deb.folder / "lost")
    deb.store.root.rename(deb.folder / "store")
    publishing.keep_served(deb.settings, deb.database, NOW)
    assert "The store has no file" in deb.row().problem
    assert not (deb.root / "tools").exists()


def test_more_metadata_stays_until_somebody_says_otherwise(rpm: Published) -> None:
    """What a mirror has brought, such as advisories, is not lost when its index is only signed anew."""
    one = rpm.package("alpha")
    advisories = b'<?xml version="1.0"?><updates><update type="security"><id>TEST-1</id></update></updates>'

    def publish(number: int, extra: dict[str, bytes] | None) -> dict[str, bytes]:
        how = Generation("ann", NOW + dt.timedelta(hours=number), extra=extra, again=True)
        publishing.publish(rpm.settings, rpm.database, rpm.store, "tools", [one], how)
        index = rpm.files()["repodata/repomd.xml"].decode()
        return {path: content for path, content in rpm.files().items() if "updateinfo" in path and path in index}

    for number, extra in enumerate(({"updateinfo": advisories}, None)):
        (content,) = publish(number, extra).values()
        assert gzip.decompress(content) == advisories
    assert publish(2, {}) == {}
