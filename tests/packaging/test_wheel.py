"""The wheel: it carries all that it serves and nothing else, and it serves outside the checkout."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Built

DATA_FOLDERS = (
    "kickstarts",
    "preseeds",
    "boot",
    "roles",
    "web/templates",
    "web/static",
    "web/translations",
    "web/vendor",
)
STRAYS = ("__pycache__", ".pyc", "package.json", "build.sh", "node_modules", "conftest", "test_", ".DS_Store", "~")


def test_the_wheel_carries_every_template_page_and_script(built: Built) -> None:
    wanted = {f"pxeapp/_data/{name}" for folder in DATA_FOLDERS for name in _files(folder)}
    assert {"pxeapp/_data/kickstarts/base.ks", "pxeapp/_data/web/vendor/htmx.min.js"} <= wanted
    assert wanted - _wheel_names(built) == set()


def test_the_wheel_carries_the_code_the_migrations_and_the_labs_guest(built: Built) -> None:
    wanted = set(_files("pxeapp"))
    assert "pxeapp/migrations/script.py.mako" in wanted
    assert "pxeapp/lab/images/guest/udhcpc.script" in wanted
    assert wanted - _wheel_names(built) == set()


def test_nothing_stray_is_in_the_wheel(built: Built) -> None:
    names = _wheel_names(built)
    assert [name for name in names if not name.startswith(("pxeapp/", "pxeapp-"))] == []
    assert [name for name in names if any(stray in name for stray in STRAYS)] == []
    data = {name.removeprefix("pxeapp/_data/") for name in names if name.startswith("pxeapp/_data/")}
    assert {name for name in data if not name.startswith(DATA_FOLDERS)} == set()


def test_the_guests_programs_stay_executable(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        mode = wheel.getinfo("pxeapp/lab/images/guest/init").external_attr >> 16
    assert bool(mode & 0o100) == bool((ROOT / "pxeapp/lab/images/guest/init").stat().st_mode & 0o100)


def test_the_source_archive_has_no_tests_and_no_documents(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        tops = {Path(name).parts[1] for name in archive.getnames()}
    assert tops >= {"pxeapp", "kickstarts", "preseeds", "boot", "roles", "web", "pyproject.toml", "LICENSE"}
    assert tops & {"tests", "docs", ".ci", ".venv", "Dockerfile"} == set()


def test_no_package_registry_is_named_in_what_is_shipped(built: Built) -> None:
    index = pytest.importorskip("pip._internal.models.index")  # knows their names, so that we need not write them
    hosts = {host.encode() for host in (index.PyPI.netloc, index.PyPI.file_storage_domain, index.TestPyPI.netloc)}
    with zipfile.ZipFile(built.wheel) as wheel:
        named = [name for name in wheel.namelist() if any(host in wheel.read(name) for host in hosts)]
    assert named == []


def _wheel_names(built: Built) -> set[str]:
    with zipfile.ZipFile(built.wheel) as wheel:
        return set(wheel.namelist())


def _files(folder: str) -> list[str]:
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return [str(path.relative_to(ROOT)) for path in found]
