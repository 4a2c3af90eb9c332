"""Builds `localdisk.efi`: a small GRUB that starts the system installed on a UEFI machine's disk.

iPXE can start no file from a local disk (Debian 12's has no such driver), and handing back to the firmware makes it try
every other network entry first. So iPXE fetches this one. It is made from the distribution's GRUB modules when the
appliance starts. It is not signed: under Secure Boot machines come through shim and the signed GRUB, never here.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from pxeapp.boot import firmware, grub, loaders
from pxeapp.errors import Unavailable
from pxeapp.templates import Templates

log = logging.getLogger(__name__)

NAME = firmware.LOCAL_DISK_PROGRAM
PACKAGES = "grub-common grub-efi-amd64-bin"

_MODULES = (
    "normal", "memdisk", "tar", "minicmd", "search", "search_fs_file", "regexp", "chain", "boot", "echo", "test",
    "part_gpt", "part_msdos", "fat", "mdraid1x",
)  # fmt: skip
_TIMEOUT_SECONDS = 60


def programs(folder: Path, templates: Templates, imported: Path | None = None) -> dict[str, Path]:
    """Every boot program that is served, by name: those of this host or imported, and `localdisk.efi` made here.

    To be called once per process at its start. What is missing is logged with its package; the rest still works.
    """
    found = loaders.find(imported=imported)
    if sentence := loaders.report(found):
        log.warning("%s", sentence)
    try:
        found[NAME] = build(folder, grub.render_local_disk(templates))
    except Unavailable as error:
        log.warning("%s", error)
    except OSError as error:  # a full disk keeps nobody from TFTP; there is one of an earlier start
        log.warning("%s cannot be made anew: %s", NAME, error)
        if (folder / NAME).is_file():
            found[NAME] = folder / NAME
    return found


def build(folder: Path, config: str) -> Path:
    """Make `localdisk.efi` in this folder around this GRUB configuration; done again, it replaces the file whole.

    Raises Unavailable with the packages to install where GRUB's tools are missing.
    """
    program = shutil.which("grub-mkimage") or shutil.which("grub2-mkimage")
    if program is None:
        raise Unavailable(
            f"{NAME} cannot be made: grub-mkimage is not on this host.",
            hint=f"Install it with: apt-get install {PACKAGES}. Until then UEFI machines go back to their firmware.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        (Path(scratch) / "grub.cfg").write_text(config)
        memdisk = Path(scratch) / "memdisk.tar"
        with tarfile.open(memdisk, "w", format=tarfile.USTAR_FORMAT) as archive:
            archive.add(Path(scratch) / "grub.cfg", "grub.cfg")
        # What GRUB runs first is read by its rescue parser, which knows neither `for` nor `if`.
        early = Path(scratch) / "early.cfg"
        early.write_text("normal (memdisk)/grub.cfg\n")
        image = Path(scratch) / NAME
        result = subprocess.run(
            [program, "-O", "x86_64-efi", "-p", "(memdisk)/", "-c", early, "-m", memdisk, "-o", image, *_MODULES],
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
        )
        if result.returncode != 0:
            raise Unavailable(
                f"{NAME} cannot be made: {result.stderr.strip()[-300:]}",
                hint=f"Install what it needs with: apt-get install {PACKAGES}.",
            )
        target = folder / NAME
        image.replace(target)
    return target
