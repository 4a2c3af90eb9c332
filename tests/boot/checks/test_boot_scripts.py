"""Boot scripts: each golden one passes, and each way to break one is found by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxeapp.answers import checks as answer_checks
from pxeapp.answers import render
from pxeapp.boot import checks
from pxeapp.faults.programs import installed
from pxeapp.provisioning.makers import BOOT_KINDS

GOLDEN = Path(__file__).parent.parent / "golden"


def kind_of(path: Path) -> str:
    return "grub" if path.name.endswith(".grub.cfg") else path.suffix[1:]


GOLDENS = [path for path in sorted(GOLDEN.iterdir()) if kind_of(path) in checks.CHECKERS]
BREAKS = [
    ("install.ipxe", "#!ipxe\n", "", "not #!ipxe"),
    ("install.ipxe", "goto again", "goto agian", "no such label"),
    ("install.ipxe", ":fetch", ":fecth", "no such label"),
    ("install.ipxe", ":give_up", ":fetch", "in line"),
    ("install.ipxe", "imgfree\n", "imgfre\n", "Write imgfree"),
    ("install.ipxe", "sleep 3", "sleep a", "no number of seconds"),
    ("install.ipxe", "${attempt}", "${attempt", "without its }"),
    ("install.ipxe", "kernel --name kernel", "kernel --name kernel " + "x" * 2100, "the kernel reads"),
    ("local.ipxe", "exit 1", "echo gone", "runs out of lines"),
    ("install.grub.cfg", "fi\n", "\n", "GRUB cannot read"),
    ("install.grub.cfg", "done\n", "\n", "GRUB cannot read"),
    ("install.grub.cfg", "sleep ", "slep ", "no command"),
    ("install.grub.cfg", "if linux ", 'if linux "($netroot)/x" ds=nocloud;s=http://10.0.0.1/ ', "in single quotes"),
    ("install.grub.cfg", "if linux ", 'if linux "($netroot)/x" \'' + "y" * 2100 + "' ", "characters"),
    ("install.pxelinux", "LABEL install", "LABEL instal", "no such label"),
    ("install.pxelinux", "LABEL local", "LABEL disk", "no such label"),
    ("install.pxelinux", "TIMEOUT 100", "TIMEOUT soon", "takes a number"),
    ("install.pxelinux", "DEFAULT install\n", "", "no DEFAULT"),
    ("install.pxelinux", "  LINUX ", "  LINUXX ", "Write LINUX"),
    ("install.pxelinux", "  LINUX ", "  SAY ", "boots nothing"),
    ("install.pxelinux", "  APPEND ", "  APPEND " + "x" * 2100, "PXELINUX reads"),
    ("install.pxelinux", "  INITRD ", "  INITRD a b ", "takes one word"),
]


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.name)
def test_every_script_of_ours_passes(path: Path) -> None:
    assert checks.check(kind_of(path), path.read_text()) == []


@pytest.mark.parametrize(("name", "old", "new", "said"), BREAKS)
def test_each_break_is_found(name: str, old: str, new: str, said: str) -> None:
    if said == "GRUB cannot read" and installed("grub-script-check") is None:
        pytest.skip("grub-script-check is not installed")
    text = (GOLDEN / name).read_text()
    assert old in text
    found = [
        str(fault)
        for fault in checks.check(
            kind_of(GOLDEN / name), (text.replace(old, new, 1) if old != "exit 1" else text.replace(old, new))
        )
    ]
    assert any(said in fault for fault in found), found


def test_blocks_are_counted_where_grub_has_no_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pxeapp.boot.checks.grub.installed", lambda _name: None)
    text = (GOLDEN / "install.grub.cfg").read_text()
    assert checks.check("grub", text) == []
    assert any("lacks its fi" in fault.problem for fault in checks.check("grub", text.replace("fi\n", "\n", 1)))


@pytest.mark.parametrize("kind", BOOT_KINDS)
@pytest.mark.parametrize("hostile", ["", "\x00", "'", '"' * 3, "a" * 5000, "; ; ;", "if", "\u202e", "goto", "LABEL"])
def test_hostile_texts_end_in_faults_and_not_in_errors(kind: str, hostile: str) -> None:
    assert all(fault.problem.isprintable() for fault in checks.check(kind, hostile))


def test_every_kind_of_file_that_a_machine_is_given_has_a_checker() -> None:
    kinds = {kind for _installer, kind in render.RENDERERS}
    assert kinds <= set(answer_checks.CHECKERS)
    assert set(BOOT_KINDS) == set(checks.CHECKERS)
