"""A throwaway copy of this very system, in which scripts for installed systems run for real."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Everything happens in a mount namespace of its own, in memory; what has changed is copied out before it goes away.
RUN = """
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
mount -t proc proc /mnt/root/proc
mount --bind /dev /mnt/root/dev
cp -a "$1/into/." /mnt/root/
result=0
chroot /mnt/root /bin/bash /script >"$1/said" 2>&1 </dev/null || result=$?
cp -a /mnt/upper/. "$1/changed/"
exit $result
"""


TRY = (
    "mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/r && "
    "mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r"
)


@dataclass
class Ran:
    """What a script said, how it ended, and the files that it changed."""

    status: int
    said: str
    changed: Path

    def text(self, path: str) -> str:
        """A file that it wrote."""
        return self.bytes(path).decode()

    def bytes(self, path: str) -> bytes:
        """The same, byte for byte."""
        return (self.changed / path.lstrip("/")).read_bytes()

    def mode(self, path: str) -> str:
        """Its permissions."""
        return f"{(self.changed / path.lstrip('/')).stat().st_mode & 0o7777:04o}"


@cache
def impossible() -> str:
    """Why nothing can run here in this way, or the empty text."""
    if os.geteuid() != 0:
        return "not root: no throwaway copy of this system can be made"
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c",
         TRY],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return "" if tried.returncode == 0 else "this kernel gives no overlay of the root file system here"


def run(script: str, folder: Path, *, programs: dict[str, str] | None = None) -> Ran:
    """Run it as root in a copy of this system; `programs` stand in for what a Debian does not have."""
    into = folder / "into"
    (folder / "changed").mkdir(parents=True)
    for name, text in (programs or {}).items():
        path = into / "usr/local/sbin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    into.mkdir(exist_ok=True)
    into.chmod(0o755)
    (into / "script").write_text(script)
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", RUN, "bash", str(folder)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = (folder / "said").read_text(errors="replace") if (folder / "said").exists() else done.stderr
    return Ran(done.returncode, said, folder / "changed")
