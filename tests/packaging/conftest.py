"""A wheel of this checkout, and fresh environments that hold it and nothing but what requirements.lock names."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

from tests.packaging import locks

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Built:
    """What `python -m build` makes: the source archive, and the wheel made from that."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Installed:
    """A fresh environment outside the checkout, with the wheel in it."""

    folder: Path
    packages: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def pxeapp(self) -> Path:
        return self.folder / "bin" / "pxeapp"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Source archive and wheel, built once."""
    if not (ROOT / "web" / "vendor" / "version").is_file():
        pytest.skip("web/vendor is not built (make web), so there is no wheel")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return Built(next(folder.glob("*.tar.gz")), next(folder.glob("*.whl")))


def install(wheel: Path, folder: Path, python: str = sys.executable) -> Installed:
    """Make an environment with this Python, put the locked packages into it as links, and install the wheel with pip.

    The links stand for half a minute of downloads. Only what requirements.lock names is linked, so that an import of
    something that merely the tests need does fail here.
    """
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    packages = next((folder / "lib").glob("python3*/site-packages"))
    for name in locks.read("requirements.lock"):
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # meant for another platform or Python
            continue
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(distribution.locate_file(top))))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, timeout=120)
    return Installed(folder, packages)


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a fresh environment."""
    return install(built.wheel, tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that any user may enter, which pytest's own are not."""
    folder = Path("/var/tmp") / f"pxeapp-{tmp_path_factory.getbasetemp().name}-open"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
