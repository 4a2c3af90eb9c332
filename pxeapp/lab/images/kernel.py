"""The distribution's cloud kernel, taken out of its package without installing it."""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pxeapp.errors import Unavailable

META = ("linux-image-cloud-amd64", "linux-image-virtual", "linux-image-generic")
WANTED = (
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio_rng",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_iso8859_1",
    "button",
    "evdev",
)
DOWNLOAD_S = 300


@dataclass(frozen=True, slots=True)
class Linux:
    """A kernel and its modules."""

    version: str
    image: Path
    modules: Path  # .../lib/modules/VERSION

    def copy_modules(self, target: Path) -> None:
        """Copy the wanted modules, what they need first, and the order to load them in."""
        needs = {}
        for line in (self.modules / "modules.dep").read_text().splitlines():
            name, _, rest = line.partition(":")
            needs[name] = rest.split()
        by_name = {_name(path): path for path in needs}
        order: list[str] = []
        for wanted in WANTED:
            path = by_name.get(wanted)
            if path is None:
                continue  # built in, or not there: virtio is built into some kernels
            for each in [*reversed(needs[path]), path]:
                if each not in order:
                    order.append(each)
        lines = []
        for path in order:
            source = self.modules / path
            name = Path(path).name.removesuffix(".xz")
            if source.suffix == ".xz":
                (target / name).write_bytes(lzma.decompress(source.read_bytes()))
            else:
                shutil.copy(source, target / name)
            lines.append(name)
        (target / "order").write_text("".join(f"{line}\n" for line in lines))


def fetch(cache: Path) -> Linux:
    """The kernel from the cache, or from the package that apt offers now."""
    cache.mkdir(parents=True, exist_ok=True)
    package = _package()
    tree = cache / package
    if not (tree / "done").exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            for name in (package, package.replace("linux-image-", "linux-modules-")):
                subprocess.run(
                    ["apt-get", "-q", "download", name],
                    cwd=scratch,
                    capture_output=True,
                    check=False,
                    timeout=DOWNLOAD_S,
                )
            debs = sorted(Path(scratch).glob("*.deb"))
            if not debs:
                raise Unavailable(f"The package {package} cannot be downloaded.", hint="Run: apt-get update")
            for deb in debs:
                subprocess.run(["dpkg-deb", "-x", str(deb), str(tree)], check=True, timeout=120)
        (tree / "done").touch()
    modules = next(iter([*tree.glob("lib/modules/*"), *tree.glob("usr/lib/modules/*")]), None)
    image = next(tree.glob("boot/vmlinuz-*"), None)
    if modules is None or image is None:
        raise Unavailable(f"The package {package} holds no kernel.")
    if not (modules / "modules.dep").exists():
        subprocess.run(["depmod", "-b", str(_root(modules)), modules.name], check=False, timeout=120)
    if not (modules / "modules.dep").exists():
        raise Unavailable("depmod is missing.", hint="Install the package kmod.")
    return Linux(modules.name, image, modules)


def _root(modules: Path) -> Path:
    """The folder that depmod calls the base: above lib/modules."""
    return modules.parent.parent.parent


def _package() -> str:
    for meta in META:
        said = subprocess.run(["apt-cache", "depends", meta], capture_output=True, text=True, check=False, timeout=60)
        if found := re.search(r"Depends: (linux-image-\S*\d\S*)", said.stdout):
            return found[1]
    raise Unavailable("apt knows no kernel package.", hint="Run: apt-get update")


def _name(path: str) -> str:
    return Path(path).name.split(".ko", 1)[0].replace("-", "_")
