"""What real package files are told to be; and what is refused, by the file's name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pxeapp.errors import Invalid
from pxeapp.software.content.store import Store
from pxeapp.software.packages import Kind
from pxeapp.software.repositories import package_files
from pxeapp.software.repositories.package_files import Inspected
from tests.software.repositories import built

needs_rpm = pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="needs rpmbuild (apt install rpm)")
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")


def inspect(kind: Kind, path: Path, store: Store) -> Inspected:
    blob = store.add_file(path)
    return package_files.inspect(kind, store.path(blob.sha256), blob, name=path.name)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "software")


@needs_dpkg
def test_a_deb_is_told_with_its_whole_paragraph(tmp_path: Path, store: Store) -> None:
    path = built.deb(tmp_path, "libtiny", "2:1.0-1", more="Source: tiny (9)\nSection: net\n")
    found = inspect("deb", path, store).package
    assert (found.identity, found.source, found.summary) == (("libtiny", "2:1.0-1", "all"), "tiny", "tiny libtiny")
    assert found.stanza.endswith("Description: tiny libtiny\n of no use\n .\n at all\n")
    assert package_files.placed(found, "main", ()).path == "pool/main/t/tiny/libtiny_1.0-1_all.deb"
    taken = {"pool/main/t/tiny/libtiny_1.0-1_all.deb"}
    again = package_files.placed(found, "main", taken).path
    assert again == f"pool/main/t/tiny/{found.sha256[:12]}/libtiny_1.0-1_all.deb"


@needs_dpkg
def test_an_installer_component_keeps_its_ending(tmp_path: Path, store: Store) -> None:
    path = built.deb(tmp_path, "tiny-udeb", more="Package-Type: udeb\n", arch="amd64", end="udeb")
    found = inspect("deb", path, store).package
    assert package_files.placed(found, "main", ()).path == "pool/main/t/tiny-udeb/tiny-udeb_1.0_amd64.udeb"


@needs_rpm
def test_an_rpm_is_told_with_its_epoch_where_it_has_one(tmp_path: Path, store: Store) -> None:
    path = built.rpm(tmp_path, "tiny", "1.2", more="Epoch: 3")
    found = inspect("rpm", path, store)
    package = found.package
    assert (package.identity, package.source) == (("tiny", "3:1.2-1", "noarch"), "tiny-1.2-1.src.rpm")
    assert (package.summary, found.signed) == ("tiny tiny", "")
    assert package_files.placed(package, "main", ()).path == "Packages/t/tiny-1.2-1.noarch.rpm"


@needs_dpkg
@needs_rpm
def test_what_is_no_whole_package_of_the_kind_is_refused_by_its_name(tmp_path: Path, store: Store) -> None:
    deb, rpm = built.deb(tmp_path, "tiny"), built.rpm(tmp_path, "tiny")
    kinds: tuple[tuple[Kind, Path, Path], ...] = (("deb", deb, rpm), ("rpm", rpm, deb))
    for kind, own, other in kinds:
        cut = tmp_path / f"cut.{kind}"
        cut.write_bytes(own.read_bytes()[:-600])
        text = tmp_path / f"text.{kind}"
        text.write_text("no package\n")
        altered = bytearray(own.read_bytes())
        altered[-300] ^= 0xFF
        for bad in (cut, text, other):
            with pytest.raises(Invalid, match=f"^{bad.name} is (no|damaged)") as refused:
                inspect(kind, bad, store)
            assert refused.value.problems[0].field == bad.name
            assert str(store.root) not in refused.value.in_full
    (tmp_path / "altered.rpm").write_bytes(altered)
    with pytest.raises(Invalid, match=r"altered\.rpm is damaged"):
        inspect("rpm", tmp_path / "altered.rpm", store)


def test_limits_are_put_on_what_looks_at_a_file(tmp_path: Path) -> None:
    """A file that makes its reader write without end is ended with it."""
    with pytest.raises(Invalid, match="is too large"):
        package_files._run(
            ["dd", "if=/dev/zero", f"of={tmp_path}/endless", "bs=1M", "count=100"], "bomb.deb", "too large", 60.0
        )
    assert (tmp_path / "endless").stat().st_size <= 64 * 1024**2
