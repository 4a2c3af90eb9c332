"""salt.sh with a real salt-call, alone as on a machine without a master: what it says is what the step tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pxeapp.rollouts.steps import patch, salt_result
from pxeapp.rollouts.steps.salt_result import Applied

pytestmark = pytest.mark.soak  # 240 MB of packages
SALT = "salt==3008.4"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Salt in an environment of its own, and two states."""
    folder = tmp_path_factory.mktemp("salt")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, timeout=300)
    subprocess.run([folder / "venv/bin/pip", "-q", "install", SALT], check=True, timeout=1800)
    for part in ("states", "etc", "bin"):
        (folder / part).mkdir()
    managed = f"{folder}/motd:\n  file.managed:\n    - contents: hello\n"
    (folder / "states/good.sls").write_text(managed)
    (folder / "states/bad.sls").write_text(f"{managed}bad:\n  cmd.run:\n    - name: exit 3\n")
    (folder / "etc/minion").write_text(
        f"file_client: local\nroot_dir: {folder}/root\nfile_roots: {{base: [{folder}/states]}}\n"
    )
    (folder / "bin/salt-call").write_text(f'#!/bin/sh\nexec {folder}/venv/bin/salt-call -c {folder}/etc "$@"\n')
    (folder / "bin/salt-call").chmod(0o755)
    return folder


def apply(folder: Path, state: str) -> tuple[int, Applied]:
    result = folder / "result"
    ran = subprocess.run(
        ["bash", "-c", patch.SALT, "salt.sh", state], capture_output=True, timeout=300, check=False,
        env={**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "PXEAPP_RESULT": str(result)},
    )  # fmt: skip
    return ran.returncode, salt_result.read(result.read_text())


def test_a_state_changes_once_and_then_nothing(system: Path) -> None:
    assert apply(system, "good") == (0, Applied(1, (f"file.managed {system}/motd",)))
    assert (system / "motd").read_text().strip() == "hello"
    assert apply(system, "good") == (0, Applied(1))


def test_a_state_that_fails_is_told_by_its_name(system: Path) -> None:
    code, told = apply(system, "bad")
    assert code != 0
    assert told.failed == ('cmd.run bad: Command "exit 3" run',)


def test_a_state_that_nobody_has_written_is_told(system: Path) -> None:
    code, told = apply(system, "nothere")
    assert code != 0
    assert told.problem == "No matching sls found for 'nothere' in env 'base'"
