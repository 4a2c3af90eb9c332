"""A system that is a folder, with a real dnf and rpm, its plugins included, and tiny packages to upgrade."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pxeapp.rollouts.spec import Patch
from pxeapp.rollouts.steps import patch, patch_result
from pxeapp.rollouts.steps.patch_result import Patched

NEEDED = ("dnf", "rpm", "rpmbuild", "createrepo_c", "modifyrepo_c")
PLUGINS = Path("/usr/lib/python3/dist-packages/dnf-plugins")
needs_dnf = pytest.mark.skipif(
    any(shutil.which(name) is None for name in NEEDED) or not PLUGINS.is_dir() or os.geteuid() != 0,
    reason="needs root and dnf, rpm, createrepo-c (apt install dnf dnf-plugins-core rpm createrepo-c)",
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
ADVISORY = """\
<updates><update from="t" status="final" type="security" version="1"><id>T-2026:1</id><title>beta</title>
<severity>Important</severity><issued date="2026-11-01"/><pkglist><collection short="t"><name>t</name>
<package name="beta" version="{version}" release="1" epoch="0" arch="noarch"><filename>beta.rpm</filename></package>
</collection></pkglist></update></updates>
"""


def build(folder: Path, into: str, name: str, version: str, post: str = "") -> None:
    """A package of this name in folder/into."""
    (folder / "build").mkdir(exist_ok=True)
    spec = folder / "build" / f"{name}-{version}.spec"
    spec.write_text(SPEC.format(name=name, version=version, post=post))
    defined = (f"_topdir {folder}/build", f"_rpmdir {folder}/{into}")
    words = [word for each in defined for word in ("--define", each)]
    subprocess.run(["rpmbuild", "-bb", *words, str(spec)], check=True, capture_output=True, timeout=120)


def index(repository: Path, advisory: str = "") -> None:
    """Its metadata; with an advisory that this version of beta mends something."""
    subprocess.run(["createrepo_c", "-q", str(repository)], check=True, timeout=60)
    if advisory:
        (repository / "updateinfo.xml").write_text(ADVISORY.format(version=advisory))
        words = ["modifyrepo_c", str(repository / "updateinfo.xml"), str(repository / "repodata")]
        subprocess.run(words, check=True, capture_output=True, timeout=60)


def installed(folder: Path, *names: str) -> Path:
    """A system with 1.0 of each, whose repository is folder/repo. `dnf` and `rpm` of its bin are about it."""
    root = folder / "root"
    for part in ("etc/yum.repos.d", "etc/dnf/plugins", "var/lib/rpm", "boot"):
        (root / part).mkdir(parents=True)
    for name in names:
        build(folder, "old", name, "1.0")
    (root / "etc/yum.repos.d/t.repo").write_text(f"[t]\nname=t\nbaseurl=file://{folder}/repo\ngpgcheck=0\nenabled=1\n")
    locks = root / "etc/dnf/plugins/versionlock.list"
    locks.write_text("")
    (root / "etc/dnf/plugins/versionlock.conf").write_text(f"[main]\nenabled=1\nlocklist={locks}\n")
    (folder / "bin").mkdir()
    own = (
        f"--installroot={root} --releasever=9 --setopt=reposdir={root}/etc/yum.repos.d --setopt=cachedir={folder}/cache"
        f" --setopt=pluginconfpath={root}/etc/dnf/plugins"
    )
    for name, words in (("dnf", own), ("rpm", f"--root {root}")):
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {shutil.which(name)} {words} "$@"\n')
        program.chmod(0o755)
    old = sorted(map(str, folder.glob("old/noarch/*.rpm")))
    subprocess.run([str(folder / "bin/rpm"), "--nodeps", "-i", *old], check=True, capture_output=True, timeout=60)
    return folder


def run(folder: Path, mode: str, **said: object) -> Patched:
    """What patch.sh found."""
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
