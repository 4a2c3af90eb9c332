"""Which medium an image is: the layouts of real ones, and what else people take for one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pxeapp.errors import Invalid
from pxeapp.software.isos import contents, image, layouts, listing
from pxeapp.software.isos.medium import Medium, Repository
from tests.software.isos import making
from tests.software.isos.making import Tree

pytestmark = making.needs_programs


def recognised(path: Path) -> Medium:
    iso = image.look(path)
    found = listing.read(iso)
    return layouts.recognise(iso, found, lambda name: contents.small(iso, found, name))


def test_a_dvd_has_both_repositories_and_its_kernel_where_its_treeinfo_says(dvd: Path) -> None:
    medium = recognised(dvd)
    assert (medium.layout, medium.family, medium.version, medium.kind) == ("enterprise", "rocky", "9.4", "dvd")
    assert (medium.kernel, medium.initrd) == ("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img")
    assert medium.stage2 == "images/install.img"
    assert medium.repositories == (Repository("AppStream", "AppStream"), Repository("BaseOS", "BaseOS"))
    assert (medium.title, medium.proposal) == ("Rocky Linux 9.4 DVD", "rocky-9.4")


@pytest.mark.parametrize(
    ("tree", "label", "title", "proposal"),
    [
        (lambda at: making.el(at, name="AlmaLinux", version="10.0"), "ALMA", "AlmaLinux 10.0 boot", "alma-10.0-boot"),
        (lambda at: making.debian(at), "Debian 12", "Debian 12.11 DVD", "debian-12.11"),
        (lambda at: making.debian(at, "NETINST", "13.1.0"), "D", "Debian 13.1 netinst", "debian-13.1-netinst"),
        (lambda at: making.debian(at, "CD Binary-1", "12.11.0"), "D", "Debian 12.11 CD", "debian-12.11-cd"),
        (lambda at: making.ubuntu_live(at), "U", "Ubuntu 24.04.1 live server", "ubuntu-24.04.1"),
        (lambda at: making.ubuntu_server(at), "U", "Ubuntu 18.04.6 server", "ubuntu-18.04.6"),
    ],
)
def test_each_layout_is_recognised(tree: Tree, label: str, title: str, proposal: str, tmp_path: Path) -> None:
    medium = recognised(making.iso(tree(tmp_path / "tree"), tmp_path / "x.iso", label))
    assert (medium.title, medium.proposal) == (title, proposal)


def test_minimal_has_a_repository_of_its_own_and_el7_one_in_its_root(rpms: tuple[Path, Path], tmp_path: Path) -> None:
    making.repository(tmp_path / "minimal/Minimal", rpms[0])
    minimal = recognised(making.iso(making.el(tmp_path / "minimal"), tmp_path / "minimal.iso"))
    assert (minimal.kind, minimal.repositories) == ("minimal", (Repository("Minimal", "Minimal"),))
    old = recognised(making.iso(making.el7(tmp_path / "el7", *rpms), tmp_path / "el7.iso"))
    assert (old.title, old.stage2, old.repositories) == (
        "CentOS 7 DVD",
        "LiveOS/squashfs.img",
        (Repository("base", ""),),
    )


def test_a_boot_medium_without_a_treeinfo_is_told_by_its_label(tmp_path: Path) -> None:
    tree = making.el(tmp_path / "tree")
    (tree / ".treeinfo").unlink()
    medium = recognised(making.iso(tree, tmp_path / "boot.iso", "Rocky-9-4-x86_64-boot"))
    assert (medium.layout, medium.title) == ("enterprise-boot", "Rocky Linux 9.4 boot")
    with pytest.raises(Invalid, match=r"no medium that is known here.*its label is SOMETHING"):
        recognised(making.iso(tree, tmp_path / "other.iso", "SOMETHING"))


CASPER = {"casper/vmlinuz": "k", "casper/initrd": "i"}
DEBIAN_DISC = {"install.amd/vmlinuz": "k", "install.amd/initrd.gz": "i"}
FURTHER_DISC = 'Debian GNU/Linux 12.11.0 "Bookworm" - Official amd64 DVD Binary-2'
DESKTOP = 'Ubuntu 24.04 LTS "Noble Numbat" - Release amd64 (2)'
OTHERS: list[tuple[dict[str, str | bytes], str]] = [
    ({".disk/info": DESKTOP, **CASPER}, r"says that it is 'Ubuntu 24.04 LTS \"Noble Numbat\" - Release amd64 \(2\)'"),
    ({".disk/info": FURTHER_DISC, "pool/x": ""}, "DVD Binary-2"),
    ({".disk/info": FURTHER_DISC.replace("amd64", "arm64"), **DEBIAN_DISC}, "arm64"),
    ({".disk/info": 'Ubuntu-Server 18.04.6 LTS "Bionic" - Release amd64 (2)', **CASPER},
     "Ubuntu 18.04.6 live server, which cannot be installed from here"),
    ({".disk/info": 'Debian GNU/Linux 9.13.0 "Stretch" - Official amd64 NETINST', **DEBIAN_DISC},
     "Debian 9.13 netinst, which cannot be installed"),
    ({"sources/boot.wim": "x", "bootmgr": "x"}, "seems to be Windows"),
    ({"readme": "x"}, "seems to be nothing that an installer boots from"),
    ({".treeinfo": "[general]\nfamily = Fedora\nversion = 40\narch = x86_64\n"}, "is Fedora 40 for x86_64"),
    ({".treeinfo": "[general]\nfamily = CentOS\nversion = 7\narch = aarch64\n"}, "CentOS 7 for aarch64"),
    ({".treeinfo": "[general]\nfamily = CentOS\nversion = 7\narch = x86_64\n"}, "has no kernel"),
    ({".treeinfo": b"\xff\xfe"}, "cannot be read"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "said"), OTHERS)
def test_what_is_something_else_is_refused_with_what_it_seems_to_be(
    files: dict[str, str | bytes], said: str, tmp_path: Path
) -> None:
    with pytest.raises(Invalid, match=said):
        recognised(making.quick(making.write(tmp_path / "tree", files), tmp_path / "x.iso"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no ISO image: it is empty"),
        (b"\x1f\x8b" + bytes(40_000), "compressed with gzip"),
        (b"QFI\xfb" + bytes(40_000), "a qcow2 disk image"),
        (b"<!doctype html><title>Sign in</title>", "a web page"),
        (bytes(257) + b"ustar" + bytes(40_000), "a tar archive"),
        (bytes(40_000), "something else"),
    ],
)
def test_what_is_no_image_is_turned_away_before_anybody_reads_it(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.iso").write_bytes(content)
    with pytest.raises(Invalid, match=said):
        image.look(tmp_path / "x.iso")


def test_an_image_that_is_cut_off_says_how_much_is_there(dvd: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.iso"
    shutil.copyfile(dvd, path)
    with path.open("r+b") as handle:
        handle.truncate(dvd.stat().st_size // 2)
    with pytest.raises(Invalid, match=rf"cut off: its file system has \d+ bytes, and {path.stat().st_size} are here"):
        image.look(path)
