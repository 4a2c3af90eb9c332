"""Make the installer components a mirror lacks from the .debs it has.

A udeb is a .deb without documentation and with few dependencies, built from the same source; what we write holds the
very files of the .debs. No root is needed. Which component comes from what is a table.
"""

from __future__ import annotations

import fnmatch
import lzma
import re
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pxeapp.errors import PxeError

DPKG_TIMEOUT_S = 300.0
MAINTAINER = "pxeapp <root@localhost>"


class RepackFailed(PxeError):
    """A component could not be made from the packages at hand."""

    title = "Installer component not made"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A component made from files of .debs (globs over their paths); without any it is empty, and `why` says why.

    `a|b` is whichever of the two the release has: Debian 13 renamed libraries with 64-bit time to ...t64.
    """

    debs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    depends: str = ""
    why: str = ""


LIBRARIES = "usr/lib/x86_64-linux-gnu"
RECIPES: dict[str, Recipe] = {
    "e2fsprogs-udeb": Recipe(
        debs=("e2fsprogs", "libext2fs2t64|libext2fs2", "libss2", "libcom-err2"),
        files=(
            *("*sbin/mke2fs", "*sbin/mkfs.ext[234]", "*sbin/e2fsck", "*sbin/fsck.ext[234]", "*sbin/tune2fs"),
            *("*sbin/resize2fs", "*sbin/badblocks", "etc/mke2fs.conf"),
            *("*lib/x86_64-linux-gnu/libext2fs.so.*", "*lib/x86_64-linux-gnu/libe2p.so.*"),
            *("*lib/x86_64-linux-gnu/libss.so.*", "*lib/x86_64-linux-gnu/libcom_err.so.*"),
        ),
        depends="libblkid1-udeb, libc6-udeb, libuuid1-udeb",
    ),
    "xfsprogs-udeb": Recipe(
        debs=("xfsprogs", "libedit2", "libbsd0", "libmd0"),
        files=("*sbin/mkfs.xfs", "*sbin/xfs_repair", "*sbin/fsck.xfs"),
        depends="libblkid1-udeb, libc6-udeb, libuuid1-udeb, libinih1-udeb, liburcu8-udeb",
    ),
    "dosfstools-udeb": Recipe(
        debs=("dosfstools",), files=("*sbin/mkfs.fat", "*sbin/mkfs.vfat", "*sbin/fsck.fat"), depends="libc6-udeb"
    ),
    "ntfs-3g-udeb": Recipe(why="only for resizing Windows partitions, which an unattended installation never does"),
    "os-prober-udeb": Recipe(why="only for finding other systems on the disk, which this installation replaces"),
    "dmidecode-udeb": Recipe(why="only for a report that this installation does not write"),
}

# Kernel modules by kind, as paths below kernel/; what they depend on comes along by itself.
MODULES: dict[str, tuple[str, ...]] = {
    "ext4-modules": ("fs/ext4/*",),
    "xfs-modules": ("fs/xfs/*",),
    "fat-modules": ("fs/fat/*", "fs/nls/nls_cp437.*", "fs/nls/nls_ascii.*", "fs/nls/nls_utf8.*"),
    "ata-modules": ("drivers/ata/libata.*",),
    "sata-modules": ("drivers/ata/*",),
    "scsi-core-modules": ("drivers/scsi/scsi_mod.*", "drivers/scsi/sd_mod.*"),
    "scsi-modules": (
        *("drivers/scsi/*", "drivers/message/fusion/*", "drivers/nvme/host/*", "drivers/virtio/*"),
        *("drivers/block/virtio_blk.*", "drivers/block/xen-blkfront.*"),
    ),
    "md-modules": ("drivers/md/*",),
    "crypto-dm-modules": ("drivers/md/dm-crypt.*", "crypto/xts.*"),
    "loop-modules": ("drivers/block/loop.*",),
    "cdrom-core-modules": ("drivers/cdrom/*", "drivers/scsi/sr_mod.*", "fs/isofs/*"),
    "btrfs-modules": ("fs/btrfs/*",),
}
MODULE_PROVIDES = {"ext4-modules": ("ext2-modules", "ext3-modules")}
# Test drivers, and those of hardware that no server we install boots from.
NEVER = ("*/scsi_debug.*", "*/drivers/scsi/pcmcia/*", "*/drivers/ata/pata_pcmcia.*", "*/fs/ext4/*-test.*", "*/target/*")

_INFO = re.compile(rb"\0(depends|softdep)=([^\0]*)")
_SOFTDEP_WORD = re.compile(r"(?:pre|post):")


def unmakeable(names: Iterable[str]) -> tuple[str, ...]:
    """Those components for which there is no recipe."""
    return tuple(name for name in names if name not in RECIPES and name not in MODULES)


def component(name: str, version: str, debs: Mapping[str, Path], work: Path) -> Path:
    """Make one component by its recipe from downloaded .debs; returns the udeb."""
    recipe, tree = RECIPES[name], work / name
    taken: list[str] = []
    tree.mkdir(parents=True)
    for deb in recipe.debs:
        with _contents(debs[deb], work) as archive:
            names = [entry.name.removeprefix("./") for entry in archive]
            taken += extract(archive, [path for path in names if _matches(path, recipe.files)], tree)
    if recipe.files and not taken:
        raise RepackFailed(
            f"None of the files of {name} is in {', '.join(recipe.debs)}.", hint="Use a mirror that carries udebs."
        )
    fields = {
        "Architecture": "amd64",
        "Depends": recipe.depends,
        "Description": f"made from {', '.join(recipe.debs)}" if recipe.debs else f"empty: {recipe.why}",
    }
    return _pack(tree, name, version, fields, work)


def modules(kernel: str, kinds: Sequence[str], version: str, image: Path, work: Path, have: frozenset[str]) -> Path:
    """Make one component that provides these kinds of modules for a kernel, from its linux-image package.

    One for all kinds, because each that is configured makes the installer run depmod, which takes seconds. `have`
    are file names that the initrd brings already.
    """
    name, tree = f"storage-modules-{kernel}-di", work / "modules"
    tree.mkdir(parents=True)
    with _contents(image, work) as archive:
        paths = {entry.name.removeprefix("./"): entry for entry in archive if f"/modules/{kernel}/" in entry.name}
        wanted = with_dependencies(_wanted(paths, kinds), paths, archive)
        chosen = sorted(path for path in wanted if PurePosixPath(path).name not in have)
        extract(archive, chosen, tree)
    missing = [kind for kind in kinds if not _wanted(paths, [kind])]
    if missing:
        raise RepackFailed(f"The kernel package {image.name} has none of the modules of {', '.join(missing)}.")
    provides = [alias for kind in kinds for alias in (kind, *MODULE_PROVIDES.get(kind, ()))]
    fields = {
        "Architecture": "amd64",
        "Depends": f"kernel-image-{kernel}-di",
        "Provides": ", ".join(provides),
        "Kernel-Version": kernel,
        "Priority": "standard",
        "Description": f"storage and file system modules from linux-image-{kernel}",
    }
    return _pack(tree, name, version, fields, work, postinst=f"#!/bin/sh\nset -e\ndepmod -a {kernel}\n")


def _wanted(paths: Iterable[str], kinds: Sequence[str]) -> set[str]:
    globs = [f"*/kernel/{glob}" for kind in kinds for glob in MODULES[kind]]
    return {
        path
        for path in paths
        if ".ko" in path and _matches(path, globs) and not any(fnmatch.fnmatch(path, glob) for glob in NEVER)
    }


def with_dependencies(start: Iterable[str], paths: Iterable[str], archive: tarfile.TarFile) -> set[str]:
    """The modules' paths with those they depend on, hard and soft, as their own .modinfo says (no depmod needed)."""
    by_name = {_module_name(path): path for path in paths if ".ko" in path}
    members = {entry.name.removeprefix("./"): entry for entry in archive}
    found: set[str] = set()
    queue = list(start)
    while queue:
        path = queue.pop()
        if path in found:
            continue
        found.add(path)
        handle = archive.extractfile(members[path])
        content = handle.read() if handle is not None else b""
        queue += [by_name[name] for name in dependencies(content) if name in by_name]
    return found


def dependencies(module: bytes) -> set[str]:
    """The names a kernel module (.ko, or .ko.xz) says it depends on; `-` and `_` are one."""
    content = lzma.decompress(module) if module.startswith(b"\xfd7zXZ\0") else module
    names: set[str] = set()
    for _kind, value in _INFO.findall(content):
        names.update(re.split(r"[,\s]+", _SOFTDEP_WORD.sub(" ", value.decode("ascii", "replace"))))
    return {name.replace("-", "_") for name in names if name}


def extract(archive: tarfile.TarFile, paths: Iterable[str], tree: Path) -> list[str]:
    """Write regular files and links of the archive below `tree`, nothing outside it, without owners."""
    members = {entry.name.removeprefix("./"): entry for entry in archive}
    done = []
    for path in paths:
        entry, target = members[path], tree / path
        if ".." in PurePosixPath(path).parts or path.startswith("/"):
            raise RepackFailed(f"The package holds a path that leaves it: {path!r}.")
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.issym():
            target.symlink_to(entry.linkname)
        elif entry.isfile() or entry.islnk():
            source = archive.extractfile(entry)
            if source is None:
                continue
            with source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
            target.chmod(stat.S_IMODE(entry.mode) & 0o755)
        else:
            continue
        done.append(path)
    return done


def _matches(path: str, globs: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(path, glob) for glob in globs)


def _module_name(path: str) -> str:
    return PurePosixPath(path).name.partition(".ko")[0].replace("-", "_")


def _contents(deb: Path, work: Path) -> tarfile.TarFile:
    """A .deb's files, as an archive that can be read in any order."""
    plain = work / f"{deb.name}.tar"
    with plain.open("wb") as out:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=out, timeout=DPKG_TIMEOUT_S, check=True)
    archive = tarfile.open(plain)  # noqa: SIM115 - callers close it
    plain.unlink()
    return archive


def _pack(tree: Path, name: str, version: str, fields: Mapping[str, str], work: Path, *, postinst: str = "") -> Path:
    control = tree / "DEBIAN"
    control.mkdir()
    control.chmod(0o755)  # dpkg-deb refuses what a stricter umask makes
    head = {"Package": name, "Version": version, "Maintainer": MAINTAINER, "Section": "debian-installer"}
    lines = [f"{key}: {value}" for key, value in {**head, "Priority": "optional", **fields}.items() if value]
    (control / "control").write_text("\n".join(lines) + "\n")
    if postinst:
        (control / "postinst").write_text(postinst)
        (control / "postinst").chmod(0o755)
    target = work / f"{name}_{version.rpartition(':')[2]}_amd64.udeb"
    subprocess.run(
        # xz at its lowest: the modules inside are compressed already.
        ["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", str(tree), str(target)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=DPKG_TIMEOUT_S,
        check=True,
    )
    return target
