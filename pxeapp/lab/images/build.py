"""Builds the stand-in: kernel and initrd. Needs no root; takes programs from this host and the kernel from its package.

The result is kept in a cache by a digest of everything that goes in.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pxeapp.errors import Unavailable
from pxeapp.lab.images import kernel, runtime

GUEST = Path(__file__).parent / "guest"
MIB = 1024 * 1024
PARTITION_START = MIB
PARTITION_SIZE = 62 * MIB
RECIPE = (Path(__file__), Path(runtime.__file__))  # the image is built anew when one of these changes
SYSLINUX_MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")
ARGS = "console=tty0 console=ttyS0,115200 mitigations=off quiet"
SYSLINUX_CONFIG = f"""DEFAULT linux
PROMPT 0
TIMEOUT 1
LABEL linux
  KERNEL /vmlinuz
  INITRD /initrd.img
  APPEND {ARGS}
"""
PROGRAMS = ("bash", "curl", "install")
EXECUTABLE = ("init", "udhcpc.script", "system-init", "systemctl", "lsblk")
GRUB_MODULES = (
    "normal",
    "linux",
    "fat",
    "part_msdos",
    "part_gpt",
    "search",
    "search_fs_file",
    "echo",
    "boot",
    "reboot",
)


@dataclass(frozen=True, slots=True)
class StandIn:
    """The files that make a release of the stand-in."""

    kernel: Path
    initrd: Path


def build(cache: Path) -> StandIn:
    """The stand-in's files, built if they are not in the cache yet; raises Unavailable with what is missing."""
    linux = kernel.fetch(cache)
    folder = cache / f"standin-{_digest(linux)}"
    made = StandIn(folder / "vmlinuz-standin", folder / "initrd-standin.img")
    if made.kernel.exists() and made.initrd.exists():
        return made
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        work = Path(scratch)
        tree = work / "tree"
        _tree(tree, linux)
        _disk(work / "disk.img", linux.image)
        (tree / "payload").mkdir()
        with (work / "disk.img").open("rb") as source, gzip.open(tree / "payload/disk.img.gz", "wb", 1) as packed:
            shutil.copyfileobj(source, packed)
        folder.mkdir(parents=True, exist_ok=True)
        _pack(tree, work / "initrd")
        shutil.copy(linux.image, made.kernel)
        os.replace(work / "initrd", made.initrd)  # noqa: PTH105 - last of all: its presence means that all is there
    return made


def _digest(linux: kernel.Linux) -> str:
    digest = hashlib.sha256(f"{linux.version} {sys.version} {metadata.version('pykickstart')}".encode())
    for path in (*RECIPE, *sorted(GUEST.iterdir())):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _tree(tree: Path, linux: kernel.Linux) -> None:
    """The initrd's tree: busybox, bash, curl, the kernel's modules, Python with pykickstart, and our own files."""
    for folder in ("bin", "sbin", "usr/bin", "usr/sbin", "etc", "installer", "lib/modules", "root", "tmp", "mnt"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    busybox = shutil.which("busybox")
    if busybox is None:
        raise Unavailable("busybox is missing.", hint="Install the package busybox-static.")
    shutil.copy(busybox, tree / "bin/busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True, timeout=30).stdout.split()
    for applet in applets:
        if applet not in ("busybox", *PROGRAMS):
            (tree / "bin" / applet).symlink_to("busybox")
    for program in PROGRAMS:
        runtime.copy_program(program, tree)
    (tree / "bin/bash").unlink(missing_ok=True)
    (tree / "bin/bash").symlink_to("/usr/bin/bash")
    for name in EXECUTABLE:
        target = {"init": "init", "system-init": "installer/system-init", "udhcpc.script": "etc/udhcpc.script"}.get(
            name, f"usr/bin/{name}"
        )
        (tree / target).unlink(missing_ok=True)
        shutil.copy(GUEST / name, tree / target)
        (tree / target).chmod(0o755)
    for name in ("lsblk", "systemctl"):
        (tree / "bin" / name).unlink(missing_ok=True)
    shutil.copy(GUEST / "standin-common", tree / "etc/standin-common")
    shutil.copy(GUEST / "installer.py", tree / "installer/installer.py")
    for name, value in (("passwd", "root:x:0:0:root:/root:/bin/bash\n"), ("group", "root:x:0:\n")):
        (tree / "etc" / name).write_text(value)
    linux.copy_modules(tree / "lib/modules")
    runtime.copy_python(tree, GUEST)


def _disk(image: Path, linux: Path) -> None:
    """A disk with one FAT partition that BIOS (SYSLINUX) and UEFI (GRUB) boot: kernel there, initrd to come."""
    with image.open("wb") as disk:
        disk.truncate(PARTITION_START + PARTITION_SIZE)
        disk.write(_boot_record())
    offset = f"{image}@@{PARTITION_START}"
    tools = {**os.environ, "MTOOLS_SKIP_CHECK": "1"}

    def tool(*command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=tools, timeout=120)
        if done.returncode:
            raise Unavailable(f"`{' '.join(command[:2])}` failed: {done.stderr.strip()}")

    tool("mformat", "-i", offset, "-T", str(PARTITION_SIZE // 512), "-h", "16", "-s", "63", "::")
    tool("syslinux", "--install", "--offset", str(PARTITION_START), str(image))
    tool("mmd", "-i", offset, "::/EFI", "::/EFI/BOOT")
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "syslinux.cfg"
        config.write_text(SYSLINUX_CONFIG)
        loader = Path(scratch) / "BOOTX64.EFI"
        early = Path(scratch) / "early.cfg"
        early.write_text(
            f"search --file --set=root /standin.id\nlinux /vmlinuz {ARGS}\ninitrd /initrd.img\nboot\necho no system\n"
        )
        mark = Path(scratch) / "standin.id"
        mark.write_text("pxeapp stand-in\n")
        tool("grub-mkimage", "-O", "x86_64-efi", "-p", "/EFI/BOOT", "-c", str(early), "-o", str(loader), *GRUB_MODULES)
        for source, target in (
            (config, "syslinux.cfg"),
            (loader, "EFI/BOOT/BOOTX64.EFI"),
            (mark, "standin.id"),
            (linux, "vmlinuz"),
        ):
            tool("mcopy", "-i", offset, str(source), f"::/{target}")


def _boot_record() -> bytes:
    """SYSLINUX's boot code and one active partition of type 0xEF, which both kinds of firmware accept."""
    if not SYSLINUX_MBR.exists():
        raise Unavailable(f"{SYSLINUX_MBR} is missing.", hint="Install the package syslinux-common.")
    entry = struct.pack(
        "<B3sB3sII", 0x80, b"\xfe\xff\xff", 0xEF, b"\xfe\xff\xff", PARTITION_START // 512, PARTITION_SIZE // 512
    )
    return SYSLINUX_MBR.read_bytes()[:440].ljust(446, b"\0") + entry + b"\0" * 48 + b"\x55\xaa"


def _pack(tree: Path, target: Path) -> None:
    names = subprocess.run(["find", ".", "-print0"], cwd=tree, capture_output=True, check=True).stdout
    archive = subprocess.run(
        ["cpio", "--null", "-o", "-H", "newc", "--quiet", "--owner", "0:0"],
        cwd=tree,
        input=names,
        capture_output=True,
        check=True,
    ).stdout
    with gzip.open(target, "wb", 6) as packed:
        packed.write(archive)
