"""A small disk of our own, which can be full, gone, or broken, and is mended by whoever owns it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SIZE_MB = 24


class Disk:
    """An ext4 file system in a file, mounted at `place`."""

    def __init__(self, folder: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("Only root can mount a disk to break.")
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("mkfs.ext4 is not installed; install the package e2fsprogs.")
        folder.mkdir(parents=True, exist_ok=True)
        self.place = folder / "disk"
        self.place.mkdir()
        self._folder = folder
        self._number = 0
        with self._image.open("wb") as image:
            image.truncate(SIZE_MB * 1024 * 1024)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        if _run("mount", "-o", "loop", str(self._image), str(self.place), check=False):
            pytest.skip("No loop device can be mounted here.")

    @property
    def _image(self) -> Path:
        return self._folder / f"{self._number}.img"

    @property
    def _filler(self) -> Path:
        return self.place / "filler"

    def fill(self) -> None:
        """Not a byte is free."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (1024 * 1024, 4096, 512):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
        os.sync()

    def empty(self) -> None:
        """There is room again."""
        self._filler.unlink()

    def break_down(self) -> None:
        """As the kernel does after an error: from now on nothing is written, whoever has files open."""
        _run("mount", "-o", "remount,abort", str(self.place))

    def mend(self) -> None:
        """As an operator does: taken away under whoever still uses it, checked, mounted again."""
        _run("umount", "-l", str(self.place))
        before = self._image
        self._number += 1
        shutil.copyfile(before, self._image)
        _run("e2fsck", "-fy", str(self._image), check=False)  # 1: it was mended
        _run("mount", "-o", "loop", str(self._image), str(self.place))

    def read_only(self, *, read_only: bool) -> None:
        """Only possible while nobody writes."""
        _run("mount", "-o", f"remount,{'ro' if read_only else 'rw'}", str(self.place))

    def take_away(self) -> None:
        """At the end."""
        _run("umount", "-l", str(self.place), check=False)


def _run(*argv: str, check: bool = True) -> int:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert not check or done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.returncode
