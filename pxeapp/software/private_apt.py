"""apt with a state of its own: packages of any Debian release, verified by its keyring, without touching this machine.

Only how to reach servers (proxies, retries, date checks) is taken over from the machine's apt; its sources, lists,
cache, hooks and installed packages are neither read nor changed. No root is needed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pxeapp.errors import NotFound, Unavailable
from pxeapp.software import apt_sources

UPDATE_TIMEOUT_S = 300.0
DOWNLOAD_TIMEOUT_S = 1800.0
KEPT = re.compile(r"^Acquire::(https?(::|\s)|Retries|ForceIPv[46]|Check-Valid-Until|Check-Date|Languages)")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class PrivateApt:
    """One release's packages from one mirror; `work` is a folder for it alone."""

    def __init__(self, work: Path, *, url: str, suite: str, keyring: str = "", architecture: str = "amd64") -> None:
        self.url = url
        self.suite = suite
        self._work = work
        self._architecture = architecture
        self._keyring = keyring or str(KEYRING)
        self._configured = False

    def update(self) -> None:
        """Fetch and verify the release's index; raises Unavailable with apt's own words when that fails."""
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise Unavailable("apt-get and dpkg-deb are needed to fetch Debian's netboot files.", hint="Install apt.")
        if not Path(self._keyring).is_file():
            raise Unavailable(
                f"Debian's keyring {self._keyring} is missing, so that nothing could be verified.",
                hint="Install the package debian-archive-keyring.",
            )
        self._configure()
        self._run("apt-get", "-q", "update", timeout_s=UPDATE_TIMEOUT_S)

    def signed_release(self) -> str:
        """The text of the InRelease file that apt has verified."""
        found = sorted((self._work / "state" / "lists").glob("*_InRelease"))
        if not found:
            raise Unavailable(f"{self.url} has no InRelease file for {self.suite}.", hint="Is the mirror complete?")
        return found[0].read_text()

    def version(self, package: str) -> str:
        """The version of a package (or of the first known of `a|b`) that would be downloaded."""
        return self._candidate(package)[1]

    def download(self, packages: Sequence[str]) -> dict[str, Path]:
        """Download and verify .debs; for `a|b` whichever there is. The keys are the names as asked for."""
        folder = self._work / "debs"
        folder.mkdir(exist_ok=True)
        found: dict[str, Path] = {}
        for asked in packages:
            name = self._candidate(asked)[0]
            if not list(folder.glob(f"{name}_*.deb")):
                self._run("apt-get", "-q", "download", name, timeout_s=DOWNLOAD_TIMEOUT_S, cwd=folder)
            found[asked] = next(iter(folder.glob(f"{name}_*.deb")))
        return found

    def _candidate(self, package: str) -> tuple[str, str]:
        for name in package.split("|"):
            shown = self._run("apt-cache", "show", "--no-all-versions", name, check=False)
            for stanza in apt_sources.stanzas(shown):
                if stanza.get("Package") == name:
                    return name, stanza.get("Version", "")
        raise NotFound(
            f"The mirror {self.url} has no package {package} in {self.suite}.", hint="Use a complete mirror."
        )

    def _configure(self) -> None:
        for folder in ("state/lists/partial", "cache/archives/partial", "parts", "trusted"):
            (self._work / folder).mkdir(parents=True, exist_ok=True)
        (self._work / "status").touch()
        options = f"arch={self._architecture} signed-by={self._keyring}"
        (self._work / "sources.list").write_text(f"deb [{options}] {self.url} {self.suite} main\n")
        kept = [line for line in apt_sources.apt_config().splitlines() if KEPT.match(line)]
        own = {
            "Dir::Etc::parts": self._work / "parts",
            "Dir::Etc::main": self._work / "none",
            "Dir::Etc::sourcelist": self._work / "sources.list",
            "Dir::Etc::sourceparts": self._work / "parts",
            "Dir::Etc::preferencesparts": self._work / "parts",
            "Dir::Etc::trustedparts": self._work / "trusted",
            "Dir::State": self._work / "state",
            "Dir::State::status": self._work / "status",
            "Dir::Cache": self._work / "cache",
            "APT::Architecture": self._architecture,
            # As root apt would drop to its own user, who may not read our folders (and does not exist in a namespace).
            "APT::Sandbox::User": "root",
        }
        lines = [*kept, *(f'{key} "{value}";' for key, value in own.items())]
        (self._work / "apt.conf").write_text("\n".join(lines) + "\n")

    def _run(self, *command: str, timeout_s: float = 60.0, cwd: Path | None = None, check: bool = True) -> str:
        environment = {**os.environ, "APT_CONFIG": str(self._work / "apt.conf"), "LC_ALL": "C"}
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=cwd, env=environment
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(
                f"{command[0]} did not end within {timeout_s:.0f} s.", hint="Is the mirror slow?"
            ) from error
        if check and result.returncode != 0:
            said = [line for line in result.stderr.splitlines() if line.startswith("E:")] or [
                result.stderr.strip()[-300:]
            ]
            raise Unavailable(
                f"Fetching from {self.url} failed: {said[0].removeprefix('E: ')}", hint="Is it reachable?"
            )
        return result.stdout
