"""ISO images in the layouts of real media, made by xorriso of small files; their indices by createrepo_c."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

PROGRAMS = ("xorriso", "bsdtar", "createrepo_c", "rpmbuild")
needs_programs = pytest.mark.skipif(
    any(shutil.which(name) is None for name in PROGRAMS), reason=f"one of {', '.join(PROGRAMS)} is not installed"
)
KERNEL, INITRD, STAGE2 = b"kernel " * 999, b"initrd " * 9999, b"runtime " * 99999


def write(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """Files by path below a folder."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def iso(tree: Path, target: Path, label: str = "TEST", *more: str) -> Path:
    """The tree as an image with Rock Ridge and Joliet, as distributions make theirs."""
    subprocess.run(
        ["xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-joliet-long", "-V", label, *more, "-o", str(target),
         str(tree)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return target


def quick(tree: Path, target: Path) -> Path:
    """The tree as an image, for whom it does not matter who made it: xorriso takes a rest each time."""
    subprocess.run(
        ["bsdtar", "--format=iso9660", "-cf", str(target), "-C", str(tree), "."],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return target


def rpm(folder: Path, name: str) -> Path:
    """A package of nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / f"{name}.spec"
    spec.write_text(
        f"Name: {name}\nVersion: 1.0\nRelease: 1\nSummary: {name}\nLicense: MIT\nBuildArch: noarch\n"
        f"%description\n{name}\n%files\n"
    )
    command = ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {folder}", str(spec)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return next(folder.glob(f"RPMS/noarch/{name}-*.rpm"))


def repository(folder: Path, *rpms: Path) -> Path:
    """A yum repository with its packages in Packages/, as media have them."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in rpms:
        place = folder / "Packages" / each.name[0] / each.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(each, place)
    subprocess.run(["createrepo_c", "-q", str(folder)], check=True, capture_output=True, timeout=60)
    return folder


def el(
    folder: Path, *, name: str = "Rocky Linux", version: str = "9.4", arch: str = "x86_64", kernel: bytes = KERNEL
) -> Path:
    """What every tree of the CentOS family boots from; `finish_el` writes its .treeinfo."""
    write(folder, {
        "images/pxeboot/vmlinuz": kernel, "images/pxeboot/initrd.img": INITRD, "images/install.img": STAGE2,
        ".discinfo": f"1700000000.1\n{version}\n{arch}\nALL\n", "EFI/BOOT/grub.cfg": "set timeout=60\n",
        "LICENSE": "GPL",
    })  # fmt: skip
    (folder / "isolinux").mkdir()
    (folder / "isolinux/vmlinuz").hardlink_to(folder / "images/pxeboot/vmlinuz")
    return finish_el(folder, name=name, version=version, arch=arch)


def finish_el(folder: Path, *, name: str, version: str, arch: str = "x86_64") -> Path:
    """The .treeinfo of what is there, in productmd's form as of EL8 and later."""
    sums = "".join(
        f"{path} = sha256:{hashlib.sha256((folder / path).read_bytes()).hexdigest()}\n"
        for path in ("images/pxeboot/initrd.img", "images/pxeboot/vmlinuz", "images/install.img")
    )
    variants = sorted(path.parent.parent.name for path in folder.glob("*/repodata/repomd.xml"))
    sections = "".join(
        f"[variant-{each}]\nid = {each}\nname = {each}\npackages = {each}/Packages\nrepository = {each}\n"
        f"type = variant\nuid = {each}\n\n"
        for each in variants
    )
    write(folder, {".treeinfo": (
        f"[checksums]\nimages/boot.iso = sha256:{'0' * 64}\n{sums}\n"
        f"[general]\n; WARNING.0 = This section provides compatibility with pre-productmd treeinfos.\n"
        f"arch = {arch}\nfamily = {name}\nname = {name} {version}\nversion = {version}\n\n"
        f"[header]\ntype = productmd.treeinfo\nversion = 1.2\n\n"
        f"[images-{arch}]\ninitrd = images/pxeboot/initrd.img\nkernel = images/pxeboot/vmlinuz\n\n"
        f"[release]\nname = {name}\nshort = {name.partition(' ')[0]}\nversion = {version}\n\n"
        f"[stage2]\nmainimage = images/install.img\n\n[tree]\narch = {arch}\nvariants = {','.join(variants)}\n\n"
        f"{sections}"
    )})  # fmt: skip
    return folder


def el7(folder: Path, *rpms: Path) -> Path:
    """CentOS 7: one repository in the root, the older .treeinfo, squashfs.img as the runtime image."""
    write(folder, {
        "images/pxeboot/vmlinuz": KERNEL, "images/pxeboot/initrd.img": INITRD, "LiveOS/squashfs.img": STAGE2,
        ".discinfo": "1587405659.3\n7.8\nx86_64\n",
    })  # fmt: skip
    repository(folder, *rpms)
    names = ("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img", "LiveOS/squashfs.img", "repodata/repomd.xml")
    sums = "".join(f"{each} = sha256:{hashlib.sha256((folder / each).read_bytes()).hexdigest()}\n" for each in names)
    return write(folder, {".treeinfo": (
        "[general]\nname = CentOS-7\nfamily = CentOS\ntimestamp = 1587405659.3\nvariant = \nversion = 7\n"
        "packagedir = \narch = x86_64\n\n[stage2]\nmainimage = LiveOS/squashfs.img\n\n"
        "[images-x86_64]\nkernel = images/pxeboot/vmlinuz\ninitrd = images/pxeboot/initrd.img\n"
        f"boot.iso = images/boot.iso\n\n[checksums]\n{sums}"
    )})  # fmt: skip


def deb(folder: Path, name: str, version: str = "1.0", *, ending: str = "deb") -> tuple[str, str]:
    """A file below pool/ that stands for a package, and its paragraph of an index."""
    path = f"pool/main/{name[0]}/{name}/{name}_{version}_amd64.{ending}"
    content = f"{name} {version}\n".encode() * 50
    write(folder, {path: content})
    return path, (
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: {path}\nSize: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\nDescription: {name}\n"
    )


def suite(folder: Path, codename: str, indices: Mapping[str, str]) -> Path:
    """dists/CODENAME with these indices, compressed, and a Release that names them."""
    lines = []
    for path, text in indices.items():
        content = gzip.compress(text.encode(), mtime=0)
        write(folder, {f"dists/{codename}/{path}.gz": content})
        lines.append(f" {hashlib.sha256(content).hexdigest()} {len(content):>8} {path}.gz")
        lines.append(f" {hashlib.sha256(text.encode()).hexdigest()} {len(text):>8} {path}")
    return write(folder, {f"dists/{codename}/Release": (
        f"Origin: Test\nSuite: stable\nCodename: {codename}\nDate: Sat, 17 May 2025 09:51:00 UTC\n"
        f"Architectures: amd64\nComponents: main\nSHA256:\n" + "\n".join(lines) + "\n"
    )})  # fmt: skip


def debian(folder: Path, kind: str = "DVD Binary-1", version: str = "12.11.0", udebs: tuple[str, ...] = ()) -> Path:
    """A Debian disc: install.amd, pool, dists, and the symbolic links that its discs have."""
    codename = {"12": "bookworm", "13": "trixie"}[version.partition(".")[0]]
    write(folder, {
        ".disk/info": f'Debian GNU/Linux {version} "{codename.title()}" - Official amd64 {kind} with firmware 20250517',
        "install.amd/vmlinuz": KERNEL, "install.amd/initrd.gz": gzip.compress(INITRD, mtime=0), "README.txt": "hello",
    })  # fmt: skip
    packages = "\n".join(deb(folder, name)[1] for name in ("base-files", "grub-pc"))
    components = "\n".join(deb(folder, name, ending="udeb")[1] for name in udebs)
    suite(folder, codename, {
        "main/binary-amd64/Packages": packages, "main/debian-installer/binary-amd64/Packages": components,
    })  # fmt: skip
    md5sums(folder)
    (folder / "debian").symlink_to(".")
    (folder / "dists/stable").symlink_to(codename)
    return folder


def ubuntu_live(folder: Path, version: str = "24.04.1", *, hwe: bool = False) -> Path:
    """Ubuntu's live server: casper with a runtime image that is most of it, and a pool."""
    files: dict[str, bytes | str] = {
        ".disk/info": f'Ubuntu-Server {version} LTS "Noble Numbat" - Release amd64 (20240827)',
        "casper/vmlinuz": KERNEL, "casper/initrd": INITRD, "casper/ubuntu-server-minimal.squashfs": STAGE2,
    }  # fmt: skip
    if hwe:
        files |= {"casper/hwe-vmlinuz": b"newer", "casper/hwe-initrd": b"newer too"}
    write(folder, files)
    suite(folder, "noble", {"main/binary-amd64/Packages": deb(folder, "openssh-server")[1]})
    return md5sums(folder)


def ubuntu_server(folder: Path) -> Path:
    """Ubuntu's server of before: debian-installer, with its network image on the disc."""
    write(folder, {
        ".disk/info": 'Ubuntu-Server 18.04.6 LTS "Bionic Beaver" - Release amd64 (20210915)',
        "install/netboot/ubuntu-installer/amd64/linux": KERNEL,
        "install/netboot/ubuntu-installer/amd64/initrd.gz": gzip.compress(INITRD, mtime=0),
        "install/filesystem.squashfs": STAGE2,
    })  # fmt: skip
    suite(folder, "bionic", {"main/binary-amd64/Packages": deb(folder, "openssh-server")[1]})
    return md5sums(folder)


def md5sums(folder: Path) -> Path:
    """md5sum.txt of what is there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "md5sum.txt")
    lines = [
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  ./{path.relative_to(folder)}\n"
        for path in files
    ]
    return write(folder, {"md5sum.txt": "".join(lines)})


def changed(path: Path, before: bytes, after: bytes) -> Path:
    """The image with other bytes at one place, and nothing else moved."""
    assert len(before) == len(after)
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after, 1))
    return path


Tree = Callable[[Path], Path]
