"""The shell scripts, and the helper that carries pip's configuration into an image build."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT

SETUP = ROOT / "packaging" / "setup.sh"
SCRIPTS = sorted([*(ROOT / "packaging").glob("*.sh"), ROOT / "web" / "build.sh"])


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    verdict = subprocess.run(["shellcheck", script], capture_output=True, text=True, timeout=60)
    assert (verdict.returncode, verdict.stdout) == (0, "")


def test_an_unknown_purpose_is_refused_with_those_there_are() -> None:
    refused = subprocess.run([SETUP, "everything"], capture_output=True, text=True, timeout=60)
    assert (refused.returncode, refused.stderr.strip()) == (
        2,
        "setup: I know run, demo, test and bench, not 'everything'.",
    )


def test_each_purpose_adds_to_the_one_before_it() -> None:
    run, demo, test = (_packages(purpose) for purpose in ("run", "demo", "test"))
    assert run < demo < test
    assert {"dnsmasq-base", "nginx-light", "ipxe", "grub-efi-amd64-bin"} <= run


def test_an_old_python_is_refused_before_anything_is_installed(tmp_path: Path) -> None:
    for name in ("sh", "dirname", "find"):
        (tmp_path / name).symlink_to(shutil.which(name) or pytest.fail(f"{name} is missing"))
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit\nexit 1\n')
    old.chmod(0o755)
    environment = {"PATH": str(tmp_path), "VENV": str(tmp_path / "venv")}
    refused = subprocess.run([SETUP, "run"], env=environment, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert refused.stderr.strip() == "setup: Python 3.11 or newer is needed; this machine has Python 3.9.2."
    assert not (tmp_path / "venv").exists()


def test_pips_configuration_goes_into_the_image_build_whole_and_unreadable_to_others(tmp_path: Path) -> None:
    index, wheels, bundle = tmp_path / "index" / "simple", tmp_path / "wheels", tmp_path / "bundle.crt"
    index.mkdir(parents=True)
    wheels.mkdir()
    bundle.touch()
    configuration = tmp_path / "pip.conf"
    configuration.write_text(
        f"[global]\ncert = {bundle}\nextra-index-url =\n    file://{index}\n    https://user:secret@index.invalid/simple\n"
    )
    target = tmp_path / "target"
    target.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    environment |= {"PIP_CONFIG_FILE": str(configuration), "PIP_FIND_LINKS": str(wheels)}
    printed = subprocess.run(
        [sys.executable, ROOT / "packaging" / "host_pip.py", target],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    written = target / "pip.conf"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    text = written.read_text()
    for carried in (f"file://{index}", "https://user:secret@index.invalid/simple", f"find-links = {wheels}\n"):
        assert carried in text
    assert f"cert = {target}/ca.crt\n" in text
    assert {
        f"{index.parent}:{index.parent}:ro",  # the packages lie beside the index
        f"{wheels}:{wheels}:ro",
        f"{bundle}:{target}/ca.crt:ro",
    } <= set(printed.split())


def _packages(purpose: str) -> set[str]:
    listed = subprocess.run([SETUP, purpose, "--packages"], capture_output=True, text=True, check=True, timeout=60)
    return set(listed.stdout.split())
