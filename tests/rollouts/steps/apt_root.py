"""A Debian system in a folder: a dpkg database, an apt of its own, and local repositories with tiny real packages."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

SUITES = {"stable": "Debian", "stable-security": "Debian-Security"}  # and their labels


class AptRoot:
    """`build` packages into a suite and `index` it, `install` some, then run patch.sh with `environment`."""

    folder: Path
    repo: Path  # where its packages come from; another system may have the same

    def __init__(self, folder: Path, repo: Path | None = None) -> None:
        self.folder, self.repo = folder, repo or folder / "repo"
        self._lay_out()

    def _lay_out(self) -> None:
        for part in ("etc/apt/preferences.d", "etc/apt/apt.conf.d", "var/lib/dpkg/updates", "var/lib/dpkg/info",
                     "var/lib/dpkg/triggers", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial",
                     "var/log/apt", "run", "boot", "tmp", "usr/bin", "bin", "etc/demo"):  # fmt: skip
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        for name in ("status", "available"):
            (self.folder / "var/lib/dpkg" / name).touch()
        (self.folder / "etc/apt/trusted.gpg.d").mkdir(exist_ok=True)
        sources = [f"deb [trusted=yes] file://{self.repo} {suite} main" for suite in SUITES]
        (self.folder / "etc/apt/sources.list").write_text("\n".join(sources) + "\n")
        (self.folder / "apt.conf").write_text(
            f'Dir "{self.folder}";\nDir::State::status "{self.folder}/var/lib/dpkg/status";\n'
            f'DPkg::Options {{ "--root={self.folder}"; "--force-not-root"; "--force-script-chrootless"; }};\n'
            'APT::Architecture "all";\nAPT::Architectures { "all"; "amd64"; };\nAPT::Sandbox::User "";\n'
            'DPkg::Pre-Install-Pkgs ""; DPkg::Post-Invoke ""; APT::Update::Post-Invoke "";\n'
        )

    @property
    def environment(self) -> dict[str, str]:
        """What makes apt and dpkg work on this folder."""
        return {
            "DPKG_ROOT": str(self.folder),
            "APT_CONFIG": str(self.folder / "apt.conf"),
            "DPKG_FORCE": "not-root,script-chrootless",
            "PXEAPP_LOCK_WAIT": "2",
            "PXEAPP_LOCK_PAUSE": "0.2",
        }

    def build(
        self,
        name: str,
        version: str,
        suite: str = "stable",
        *,
        conffile: str = "",
        postinst: str = "",
        depends: str = "",
    ) -> Path:
        """A real .deb in the suite's pool."""
        tree = self.folder / "build" / f"{name}_{version}"
        control = tree / "DEBIAN"
        control.mkdir(parents=True)
        more = f"Depends: {depends}\n" if depends else ""
        (control / "control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Tests <tests@example.org>\n"
            f"{more}Description: tiny\n"
        )
        share = tree / "usr/share" / name
        share.mkdir(parents=True)
        (share / "version").write_text(version)
        if conffile:
            (tree / "etc/demo").mkdir(parents=True)
            (tree / "etc/demo" / f"{name}.conf").write_text(conffile)
            (control / "conffiles").write_text(f"/etc/demo/{name}.conf\n")
        if postinst:
            (control / "postinst").write_text(f"#!/bin/sh\n{postinst}\n")
            (control / "postinst").chmod(0o755)
        pool = self.repo / "pool" / suite
        pool.mkdir(parents=True, exist_ok=True)
        made = pool / f"{name}_{version}_all.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-b", str(tree), str(made)], check=True, capture_output=True, timeout=60
        )
        return made

    def index(self, suite: str) -> None:
        """The suite's Packages and Release, as an archive has them."""
        repo, dists = self.repo, self.repo / "dists" / suite
        (repo / "pool" / suite).mkdir(parents=True, exist_ok=True)
        listed = subprocess.run(
            ["dpkg-scanpackages", "--multiversion", f"pool/{suite}"],
            cwd=repo,
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        sums = []
        for architecture in ("all", "amd64"):
            folder = dists / f"main/binary-{architecture}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "Packages").write_bytes(listed)
            sums.append(f" {hashlib.sha256(listed).hexdigest()} {len(listed)} main/binary-{architecture}/Packages\n")
        (dists / "Release").write_text(
            f"Origin: Debian\nLabel: {SUITES[suite]}\nSuite: {suite}\nCodename: {suite}\nArchitectures: all amd64\n"
            f"Components: main\nDate: Thu, 26 Nov 2026 00:00:00 UTC\nSHA256:\n{''.join(sums)}"
        )

    def install(self, *packages: Path) -> None:
        """As they were before."""
        forced = ("--force-not-root", "--force-script-chrootless")
        subprocess.run(
            ["dpkg", f"--root={self.folder}", *forced, "-i", *map(str, packages)],
            check=True, capture_output=True, timeout=60, env={**os.environ, "DPKG_ROOT": ""},
        )  # fmt: skip

    def versions(self) -> dict[str, str]:
        """What is installed, by dpkg itself."""
        listed = subprocess.run(
            ["dpkg-query", f"--admindir={self.folder}/var/lib/dpkg", "-W", "-f", "${Package} ${Version}\n"],
            check=True, capture_output=True, text=True, timeout=60,
        ).stdout  # fmt: skip
        return dict(line.split() for line in listed.splitlines())
