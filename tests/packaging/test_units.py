"""The systemd units: systemd itself reads them, rates them, and they know every part."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pxeapp import supervisor
from tests.packaging.conftest import ROOT

UNITS = ROOT / "packaging" / "systemd"
WHOLE, PART = "pxeapp.service", "pxeapp-part@.service"
PARTS = [part.name for part in supervisor.parts(front=True, dhcp=True)]
MOST_EXPOSURE = 2.5  # systemd's scale of 0 to 10; its own rating "OK" ends at 5

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@needs_systemd
@pytest.mark.parametrize("instance", [WHOLE, *(f"pxeapp-part@{name}.service" for name in PARTS)])
def test_systemd_reads_the_unit_without_complaint(instance: str, tmp_path: Path) -> None:
    source = UNITS / (WHOLE if instance == WHOLE else PART)
    # It also looks whether the program is there, which it need not be on this machine.
    (tmp_path / instance).write_text(source.read_text().replace("/opt/pxeapp/bin/pxeapp", "/bin/true"))
    verdict = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / instance], capture_output=True, text=True, timeout=60
    )
    assert (verdict.returncode, _about(instance, verdict.stderr)) == (0, [])


@needs_systemd
@pytest.mark.parametrize("name", [WHOLE, PART])
def test_the_unit_is_confined(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name.replace("@", "@web")
    unit.write_text((UNITS / name).read_text())
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSURE * 10:.0f}", "--no-pager", unit],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "Overall exposure" not in rated.stdout:
        pytest.skip("this systemd cannot rate a unit that is not installed")
    assert rated.returncode == 0, rated.stdout


def test_both_units_are_confined_alike() -> None:
    confinement = re.compile(
        r"^(?:Protect|Private|Restrict|System|Lock|NoNew|Remove|Ambient|Capability|UMask|State)\w*=.*", re.MULTILINE
    )
    whole, part = (confinement.findall((UNITS / name).read_text()) for name in (WHOLE, PART))
    assert len(whole) > 20
    assert whole == part


def test_the_template_names_every_part() -> None:
    comment = re.search(r"^# Parts: (.*)\.\s", (UNITS / PART).read_text(), re.MULTILINE)
    assert comment is not None
    assert set(comment[1].split(". ")[0].split(", ")) == set(PARTS)


def test_systemd_waits_longer_than_the_supervisor_takes_to_stop() -> None:
    seconds = re.search(r"^TimeoutStopSec=(\d+)$", (UNITS / WHOLE).read_text(), re.MULTILINE)
    assert seconds is not None
    assert int(seconds[1]) > supervisor.STOP_WITHIN_S


def _about(instance: str, said: str) -> list[str]:
    """What was said of this unit; systemd-analyze also complains about others that it loads on its way."""
    return [line for line in said.splitlines() if instance in line]
