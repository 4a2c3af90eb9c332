"""The table of systems in docs/ubuntu-autoinstall.md is the one that the appliance goes by."""

from __future__ import annotations

from pathlib import Path

from pxeapp.answers.releases import DIALECTS
from pxeapp.systems import SYSTEMS

PAGE = Path(__file__).parents[2] / "docs/ubuntu-autoinstall.md"


def test_every_system_and_installer_stands_in_the_table() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.count("|") == 6][2:]
    assert rows == [
        f"| {system.title} | {installer} | {DIALECTS[*key, installer].memory_mib} MiB | {system.cpu} | {system.until} |"
        for key, system in SYSTEMS.items()
        for installer in system.installers
    ]


def test_answers_are_known_for_exactly_the_systems_that_can_be_added() -> None:
    assert set(DIALECTS) == {(*key, installer) for key, found in SYSTEMS.items() for installer in found.installers}
