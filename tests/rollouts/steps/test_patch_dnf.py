"""patch.sh with a real dnf and rpm: tiny packages of a local repository, in a system that is a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pxeapp.rollouts.spec import Patch
from pxeapp.rollouts.steps import patch, patch_result
from pxeapp.rollouts.steps.patch_result import Change, Patched

NEEDED = ("dnf", "rpm", "rpmbuild", "createrepo_c")
pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in NEEDED) or os.geteuid() != 0,
    reason="needs root and dnf, rpm, createrepo-c (apt install dnf rpm createrepo-c)",
)
SPEC = """\
Name: {name}
Version: {version}
Release: 1
Summary: tiny
License: MIT
BuildArch: noarch
%description
tiny
{post}
%install
mkdir -p %{{buildroot}}/usr/share/{name}
echo {version} >%{{buildroot}}/usr/share/{name}/version
%files
/usr/share/{name}/version
"""


def build(folder: Path, into: str, name: str, version: str, post: str = "") -> None:
    (folder / "build").mkdir(exist_ok=True)
    spec = folder / "build" / f"{name}-{version}.spec"
    spec.write_text(SPEC.format(name=name, version=version, post=post))
    defined = (f"_topdir {folder}/build", f"_rpmdir {folder}/{into}")
    words = [word for each in defined for word in ("--define", each)]
    subprocess.run(["rpmbuild", "-bb", *words, str(spec)], check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """alpha, beta and gamma 1.0 with newer ones to be had; gamma's has a script that fails."""
    folder = tmp_path_factory.mktemp("dnf")
    root = folder / "root"
    for part in ("etc/yum.repos.d", "var/lib/rpm", "boot"):
        (root / part).mkdir(parents=True)
    for name in ("alpha", "beta", "gamma"):
        build(folder, "old", name, "1.0")
    build(folder, "repo", "alpha", "1.1")
    build(folder, "repo", "beta", "2.0")
    build(folder, "repo", "gamma", "1.1", post="%post -p <lua>\nerror('no database')\n")
    subprocess.run(["createrepo_c", "-q", str(folder / "repo")], check=True, timeout=60)
    (root / "etc/yum.repos.d/t.repo").write_text(f"[t]\nname=t\nbaseurl=file://{folder}/repo\ngpgcheck=0\nenabled=1\n")
    (folder / "bin").mkdir()
    own = (
        f"--installroot={root} --releasever=9 --setopt=reposdir={root}/etc/yum.repos.d --setopt=cachedir={folder}/cache"
    )
    for name, words in (("dnf", f"{own} --setopt=pluginpath=/nonexistent"), ("rpm", f"--root {root}")):
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {shutil.which(name)} {words} "$@"\n')
        program.chmod(0o755)
    old = sorted(map(str, folder.glob("old/noarch/*.rpm")))
    subprocess.run([str(folder / "bin/rpm"), "--nodeps", "-i", *old], check=True, capture_output=True, timeout=60)
    return folder


def run(folder: Path, mode: str, **said: object) -> Patched:
    log, result = folder / "log", folder / "result"
    log.write_text("")
    arguments = patch.arguments_of(mode, Patch.model_validate(said), f"file://{folder}/served")
    ran = subprocess.run(
        ["bash", str(Path(patch.__file__).parent / "patch.sh"), *arguments],
        capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "DPKG_ROOT": str(folder / "root"), "PATH": f"{folder}/bin:{os.environ['PATH']}",
             "PXEAPP_LOG": str(log), "PXEAPP_RESULT": str(result), "PXEAPP_LOCK_WAIT": "2"},
    )  # fmt: skip
    return patch_result.read(result.read_text() if mode == "apply" else ran.stdout)


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
    subprocess.run(["createrepo_c", "-q", str(below / "snapshots/2026-10/company")], check=True, timeout=60)
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
