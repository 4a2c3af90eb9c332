"""docs/lifecycle.md is what the tables say; `PXEAPP_GOLDEN=1` writes it anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pxeapp.machines.lifecycle import FAILED, TRANSITIONS, State
from pxeapp.provisioning import diagram
from pxeapp.provisioning.steps import ORDER

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"


def test_the_page_is_not_stale() -> None:
    text = diagram.document()
    if os.environ.get("PXEAPP_GOLDEN"):
        PAGE.write_text(text)
    assert PAGE.exists(), f"no {PAGE}; write it with PXEAPP_GOLDEN=1"
    assert text == PAGE.read_text()


def test_every_state_step_and_transition_is_on_it() -> None:
    text = diagram.document()
    for name in (*State, *ORDER):
        assert f"`{name}`" in text
    for (before, verb), after in TRANSITIONS.items():
        assert f"{verb} → `{after}`" in text
        if not {before, after} & FAILED:
            assert f"{before} --> {after}: {verb}\n" in text


def test_the_module_prints_the_page() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pxeapp.provisioning.diagram"], capture_output=True, check=True, timeout=60
    )
    assert done.stdout.decode() == diagram.document()
