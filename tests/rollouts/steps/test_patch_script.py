"""patch.sh run for real: apt and dpkg upgrade tiny packages in a system that is a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pxeapp.rollouts.spec import Patch
from pxeapp.rollouts.steps import patch, patch_result
from pxeapp.rollouts.steps.patch_result import Change, Patched
from tests.rollouts.steps.apt_root import AptRoot

HERE = Path(patch.__file__).parent
HOLD = (
    "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); "
    "time.sleep(600)"
)
NEEDED = ("apt-get", "dpkg-deb", "dpkg-scanpackages")
pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in NEEDED) or os.geteuid() != 0,
    reason=f"needs root and {', '.join(NEEDED)} (apt install dpkg-dev)",
)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """alpha, beta and gamma 1.0; newer ones: of beta for security, of alpha not, of gamma both."""
    made = AptRoot(tmp_path_factory.mktemp("built"))
    for name in ("alpha", "gamma"):
        made.build(name, "1.0")
    made.build("beta", "1.0", conffile="ours\n")
    made.build("alpha", "1.1")
    made.build("beta", "2.0", "stable-security", conffile="theirs\n")
    made.build("gamma", "1.5")
    made.build("gamma", "1.2", "stable-security")
    made.index("stable")
    made.index("stable-security")
    return made.repo


@pytest.fixture
def system(repo: Path, tmp_path: Path) -> AptRoot:
    """A system with the oldest of each."""
    made = AptRoot(tmp_path / "system", repo)
    made.install(*sorted(repo.glob("pool/stable/*_1.0_all.deb")))
    return made


def run(system: AptRoot, mode: str, **said: object) -> Patched:
    """As the node's job, or as a dry run."""
    log, result = system.folder / "log", system.folder / "result"
    log.write_text("")
    result.unlink(missing_ok=True)
    arguments = patch.arguments_of(mode, Patch.model_validate(said), f"file://{system.folder}/served")
    ran = subprocess.run(
        ["bash", str(HERE / "patch.sh"), *arguments],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, **system.environment, "PXEAPP_LOG": str(log), "PXEAPP_RESULT": str(result)},
    )  # fmt: skip
    told = patch_result.read(result.read_text() if mode == "apply" else ran.stdout)
    assert (ran.returncode == 0) == (told.trouble is None), ran.stderr + log.read_text()
    return told


def changes(told: Patched) -> dict[str, str]:
    return {change.name: change.new for change in told.changes}


def test_a_dry_run_tells_what_would_change_and_changes_nothing(system: AptRoot) -> None:
    assert changes(run(system, "simulate")) == {"alpha": "1.1", "beta": "2.0", "gamma": "1.5"}
    assert changes(run(system, "simulate", packages="security")) == {"beta": "2.0", "gamma": "1.2"}
    assert changes(run(system, "simulate", exclude=["alp*"])) == {"beta": "2.0", "gamma": "1.5"}
    named = run(system, "simulate", packages=["alpha", "delta"])
    assert (changes(named), named.absent) == ({"alpha": "1.1"}, ("delta",))
    assert set(system.versions().values()) == {"1.0"}


def test_security_takes_the_version_of_the_security_suite_and_keeps_changed_files(system: AptRoot) -> None:
    kept = system.folder / "etc/demo/beta.conf"
    kept.write_text("changed by the site\n")
    told = run(system, "apply", packages="security")
    assert told.changed == [Change("beta", "1.0", "2.0"), Change("gamma", "1.0", "1.2")]
    assert (told.before["alpha"], told.after["alpha"]) == ("1.0", "1.0")
    assert system.versions() == {"alpha": "1.0", "beta": "2.0", "gamma": "1.2"}
    assert kept.read_text() == "changed by the site\n"
    assert not told.reboot


def test_what_is_held_stays_and_is_told(system: AptRoot) -> None:
    subprocess.run(
        ["dpkg", f"--root={system.folder}", "--set-selections"], input=b"alpha hold\n", check=True, timeout=60
    )
    told = run(system, "apply")
    assert told.held == ("alpha",)
    assert system.versions() == {"alpha": "1.0", "beta": "2.0", "gamma": "1.5"}
    assert run(system, "apply", packages=["alpha"]).changed == []


def test_done_again_it_changes_nothing(system: AptRoot) -> None:
    assert len(run(system, "apply").changed) == 3
    assert run(system, "apply").changed == []


def test_a_restart_is_needed_when_the_system_says_so_or_a_newer_kernel_is_there(system: AptRoot) -> None:
    (system.folder / "run/reboot-required").touch()
    (system.folder / "run/reboot-required.pkgs").write_text("linux-base\nlinux-base\n")
    told = run(system, "apply", packages=["alpha"])
    assert (told.reboot, told.reboot_why) == (True, "The system asks for it: linux-base")
    (system.folder / "run/reboot-required").unlink()
    assert not run(system, "reboot").reboot
    (system.folder / "boot/vmlinuz-999.1-generic").touch()
    told = run(system, "reboot")
    assert told.reboot
    assert told.reboot_why.startswith("Linux 999.1-generic is installed and ")


def test_a_failing_script_is_named_and_the_next_run_mends_it(system: AptRoot, tmp_path: Path) -> None:
    flag = tmp_path / "mended"
    own = AptRoot(system.folder, tmp_path / "repo")
    own.build("alpha", "1.2", postinst=f"[ -e {flag} ] || {{ echo no database; exit 1; }}")
    own.index("stable")
    own.index("stable-security")
    told = run(system, "apply", packages=["alpha"])
    assert told.trouble is not None
    assert (told.trouble.code, told.trouble.sentence) == (
        "package_script", "The package alpha cannot be set up: its script failed."
    )  # fmt: skip
    broken = run(system, "simulate")
    assert broken.trouble is not None
    assert broken.trouble.code == "broken_packages"
    flag.touch()
    assert run(system, "apply", packages=["alpha"]).trouble is None
    assert system.versions()["alpha"] == "1.2"


def test_a_lock_that_is_held_is_waited_for_and_then_named(system: AptRoot) -> None:
    lock = str(system.folder / "var/lib/apt/lists/lock")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, lock], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        told = run(system, "apply")
    finally:
        holder.kill()
        holder.communicate()
    assert told.trouble is not None
    assert told.trouble.code == "locked"


def test_a_repository_that_is_gone_is_named(system: AptRoot, tmp_path: Path) -> None:
    AptRoot(system.folder, tmp_path / "nothing-here")
    told = run(system, "apply")
    assert told.trouble is not None
    assert told.trouble.code == "repository"


def test_the_scripts_for_machines_have_nothing_that_shellcheck_complains_of() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: apt install shellcheck")
    scripts = [*HERE.glob("*.sh"), *(HERE.parents[1] / "nodes").glob("*.sh")]
    assert len(scripts) == 4
    done = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def served(system: AptRoot, repo: Path) -> None:
    """As the appliance serves a repository: now, and as it was in the snapshot 2026-10."""
    below = system.folder / "served/repo"
    shutil.copytree(repo, below / "company")
    old = AptRoot(system.folder / "old", below / "snapshots/2026-10/company")
    for name, version in (("alpha", "1.0"), ("gamma", "1.1")):
        old.build(name, version)
    for suite in ("stable", "stable-security"):
        old.index(suite)
    sources = system.folder / "etc/apt/sources.list"
    sources.write_text(sources.read_text().replace(str(repo), str(below / "company")))


def test_a_system_is_held_to_a_snapshot_of_the_appliance_and_keeps_its_own_sources(system: AptRoot, repo: Path) -> None:
    served(system, repo)
    sources = (system.folder / "etc/apt/sources.list").read_text()
    assert changes(run(system, "simulate", snapshot="2026-10")) == {"gamma": "1.1"}
    told = run(system, "apply", snapshot="2026-10")
    assert [str(change) for change in told.changed] == ["gamma 1.0 -> 1.1"]
    assert (system.folder / "etc/apt/sources.list").read_text() == sources
    assert changes(run(system, "simulate")) == {"alpha": "1.1", "beta": "2.0", "gamma": "1.5"}


def test_a_system_that_reads_nothing_of_the_appliance_cannot_be_held_to_its_snapshot(system: AptRoot) -> None:
    told = run(system, "apply", snapshot="2026-10")
    assert told.trouble is not None
    assert told.trouble.code == "snapshot"
    assert "reads no repository of the appliance's" in told.trouble.sentence
    assert told.changed == []
