"""Takes a rendered answer file apart into its shell scripts, and runs the shells' own checks over them."""

from __future__ import annotations

import re
import subprocess
from functools import cache

HEREDOC = re.compile(r"cat >+\"?(\S+?)\"? <<'?(\w+)'?\n(.*?)\n\2\n", re.DOTALL)


@cache
def check(shell: tuple[str, ...], script: str) -> None:
    """The shell reads the script to its end without running it."""
    done = subprocess.run([*shell, "-n"], input=script, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


@cache
def lint(shell: str, script: str) -> None:
    """shellcheck has nothing to say; what our own scripts leave out on purpose is named here."""
    leave = {
        "SC1003",  # a backslash at the end of tr's set is meant
        "SC2015",  # A && B || C: only where C is harmless
        "SC2034",  # functions that all sections share; not every one uses all
        "SC3043",  # `local` is in every shell we meet
        "SC2329",  # the same for functions
        "SC2317",
        "SC1091",
    }
    done = subprocess.run(
        ["shellcheck", f"--shell={shell}", f"--exclude={','.join(sorted(leave))}", "-"],
        input=script, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def inner(script: str) -> dict[str, str]:
    """The files that a script writes from here-documents, by their path."""
    return {path: text for path, _, text in HEREDOC.findall(script)}
