"""patch.sh with a real dnf and rpm: tiny packages of a local repository, in a system that is a folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pxeapp.rollouts.steps.patch_result import Change
from tests.rollouts.steps.dnf_root import build, index, installed, needs_dnf, run

pytestmark = needs_dnf


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """alpha, beta and gamma 1.0 with newer ones to be had; gamma's has a script that fails."""
    folder = tmp_path_factory.mktemp("dnf")
    build(folder, "repo", "alpha", "1.1")
    build(folder, "repo", "beta", "2.0")
    build(folder, "repo", "gamma", "1.1", post="%post -p <lua>\nerror('no database')\n")
    index(folder / "repo")
    return installed(folder, "alpha", "beta", "gamma")


@pytest.fixture(scope="module")
def advised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """alpha, beta and systemd 1.0; of the newer ones only beta's mends something."""
    folder = tmp_path_factory.mktemp("advised")
    for name in ("alpha", "beta", "systemd"):
        build(folder, "repo", name, "2.0")
    index(folder / "repo", advisory="2.0")
    return installed(folder, "alpha", "beta", "systemd")


def test_dnf_tells_upgrades_and_names_a_script_that_fails_though_it_succeeds_itself(system: Path) -> None:
    told = run(system, "simulate", exclude=["gamma"])
    assert told.tool == "dnf"
    assert told.changes == (Change("alpha.noarch", "1.0-1", "1.1-1"), Change("beta.noarch", "1.0-1", "2.0-1"))
    named = run(system, "apply", packages=["alpha", "delta"])
    assert (named.changed, named.absent, named.trouble) == (
        [Change("alpha.noarch", "1.0-1", "1.1-1")], ("delta",), None
    )  # fmt: skip
    assert (named.before["beta.noarch"], named.reboot) == ("1.0-1", False)
    rest = run(system, "apply")
    assert rest.trouble is not None
    assert rest.trouble.code == "package_script"
    assert "gamma" in rest.trouble.sentence
    assert len(rest.changed) == 2


def test_dnf_is_held_to_a_snapshot_of_the_appliance(system: Path) -> None:
    below = system / "served/repo"
    shutil.copytree(system / "repo", below / "company")
    build(system, "older", "beta", "2.5")
    shutil.copytree(system / "older", below / "snapshots/2026-10/company")
    index(below / "snapshots/2026-10/company")
    own = system / "root/etc/yum.repos.d/t.repo"
    before = own.read_text()
    try:
        own.write_text(before.replace(f"{system}/repo", f"{below}/company"))
        told = run(system, "simulate", snapshot="2026-10")
        assert [(change.name, change.new) for change in told.changes] == [("beta.noarch", "2.5-1")]
        own.write_text(before)
        trouble = run(system, "simulate", snapshot="2026-10").trouble
    finally:
        own.write_text(before)
    assert trouble is not None
    assert trouble.code == "snapshot"


def test_security_is_what_an_advisory_names_and_nothing_else(advised: Path) -> None:
    told = run(advised, "simulate", packages="security")
    assert told.changes == (Change("beta.noarch", "1.0-1", "2.0-1"),)
    done = run(advised, "apply", packages="security")
    assert done.changed == [Change("beta.noarch", "1.0-1", "2.0-1")]
    assert run(advised, "simulate", packages="security").changes == ()


def test_what_the_machine_has_locked_is_told_and_stays(advised: Path) -> None:
    dnf = str(advised / "bin/dnf")
    lock = [dnf, "-q", "versionlock", "add", "alpha"]
    subprocess.run(lock, check=True, capture_output=True, timeout=60)
    told = run(advised, "simulate")
    assert [name.split("-")[0] for name in told.held] == ["alpha"]
    assert "alpha.noarch" not in [each.name for each in told.changes]


def test_a_restart_is_asked_for_as_dnf_tells_it(advised: Path) -> None:
    """needs-restarting looks at when packages that only a restart renews were installed."""
    done = run(advised, "apply", packages=["systemd"])
    assert done.changed == [Change("systemd.noarch", "1.0-1", "2.0-1")]
    assert done.reboot
    assert "systemd" in done.reboot_why
