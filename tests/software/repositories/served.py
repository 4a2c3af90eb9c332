"""Real clients of a published repository: an apt and a dnf with folders of their own, which nothing here can change."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

TIMEOUT_S = 120.0


class Apt:
    """An apt for one source; installs into a folder by the real dpkg."""

    def __init__(self, folder: Path, url: str, suite: str, keyring: Path, components: str = "main") -> None:
        self.folder = folder
        for part in ("etc/apt/preferences.d", "etc/apt/apt.conf.d", "etc/apt/trusted.gpg.d", "var/lib/dpkg/updates",
                     "var/lib/dpkg/info", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt",
                     "tmp"):  # fmt: skip
            (folder / part).mkdir(parents=True, exist_ok=True)
        for name in ("status", "available"):
            (folder / "var/lib/dpkg" / name).touch()
        (folder / "etc/apt/sources.list").write_text(f"deb [signed-by={keyring}] {url} {suite} {components}\n")
        (folder / "apt.conf").write_text(
            f'Dir "{folder}";\nDir::State::status "{folder}/var/lib/dpkg/status";\n'
            f'DPkg::Options {{ "--root={folder}"; "--force-not-root"; "--force-script-chrootless"; }};\n'
            'APT::Architecture "amd64";\nAPT::Architectures { "amd64"; };\nAPT::Sandbox::User "";\n'
            'Acquire::http::Proxy "DIRECT";\nAcquire::Retries "0";\n'
            'DPkg::Pre-Install-Pkgs ""; DPkg::Post-Invoke ""; APT::Update::Post-Invoke "";\n'
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """apt-get, which must not take a warning for a success."""
        return subprocess.run(
            ["apt-get", "-q", "-o", "APT::Update::Error-Mode=any", *words],
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
            env={**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C", "DPKG_ROOT": ""},
        )  # fmt: skip

    def installed(self, name: str) -> str:
        """What the package's one file says."""
        path = self.folder / "usr/share" / name / "version"
        return path.read_text().strip() if path.exists() else ""


class Dnf:
    """A dnf for one repository; installs into a folder. It checks packages' hashes and the index's signature."""

    def __init__(self, folder: Path, url: str, key_url: str) -> None:
        self.folder = folder
        (folder / "repos").mkdir(parents=True)
        (folder / "log").mkdir()
        (folder / "root/var/lib/rpm").mkdir(parents=True)
        (folder / "repos/t.repo").write_text(
            f"[t]\nname=t\nbaseurl={url}\nenabled=1\ngpgcheck=0\nrepo_gpgcheck=1\ngpgkey={key_url}\nretries=1\n"
        )
        (folder / "dnf.conf").write_text("[main]\nplugins=0\ninstall_weak_deps=0\n")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """dnf, which says yes to a key that it is given, and asks for the index each time.

        `metadata_expire=0` would not do: it counts whole seconds.
        """
        return subprocess.run(
            ["dnf", "-y", "--refresh", f"--config={self.folder}/dnf.conf", f"--setopt=reposdir={self.folder}/repos",
             f"--setopt=cachedir={self.folder}/cache", f"--setopt=logdir={self.folder}/log",
             f"--setopt=persistdir={self.folder}/persist", "--releasever=9", f"--installroot={self.folder}/root",
             "--setopt=pluginpath=/nonexistent", *words],
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
            env={**os.environ, "LC_ALL": "C", "HOME": str(self.folder)},
        )  # fmt: skip

    def installed(self, name: str) -> str:
        """What the package's one file says."""
        path = self.folder / "root/usr/share" / name / "version"
        return path.read_text().strip() if path.exists() else ""


def missing(names: Iterable[str]) -> list[str]:
    """Which of these programs are not here."""
    return [name for name in names if shutil.which(name) is None]
