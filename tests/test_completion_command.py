"""`pxeapp completion`: scripts that the shells themselves can read, and that ask for the commands there really are."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from click.testing import CliRunner

from pxeapp.cli import main


def script(shell: str) -> str:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_can_read_its_script(shell: str) -> None:
    text = script(shell)
    assert f"_PXEAPP_COMPLETE={shell}_complete" in text
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here; its script is made, and not read")
    done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_completed_are_our_commands() -> None:
    asked = {"_PXEAPP_COMPLETE": "bash_complete", "COMP_WORDS": "pxeapp mach", "COMP_CWORD": "1"}
    done = CliRunner().invoke(main, [], prog_name="pxeapp", env=asked)
    assert done.output.split() == ["plain,machine"]


def test_another_shell_is_refused() -> None:
    done = CliRunner().invoke(main, ["completion", "csh"])
    assert done.exit_code == 2
    assert "fish" in done.output
