"""Ubuntu's live session in a folder: casper, cloud-init and subiquity, as far as they read our seed and run commands.

What they fetch comes by real HTTP, what they run is run by real shells; only paths lead below the folder, and programs
that would change a system leave a line in `ran` instead.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.answers.storage.machine import Machine

# What the scripts call and a folder has not. `curtin in-target` runs its command in the installed system.
SILENT = (
    "systemctl", "udevadm", "journalctl", "chpasswd", "passwd", "usermod", "useradd", "groupadd", "chown", "apt-get",
    "lvextend", "sysctl", "modprobe", "update-grub", "update-initramfs", "restorecon", "visudo", "efibootmgr", "logger",
)  # fmt: skip
PLACES = (
    "/autoinstall.yaml", "/target", "/run/pxeapp", "/var/log/installer", "/var/log/cloud-init.log", "/tmp/pxeapp",
)  # fmt: skip
SEED = (
    "meta-data",
    "user-data",
    "vendor-data",
    "network-config",
)  # in the order of 24.04; the first releases stop at three


@dataclass
class Seed:
    """What cloud-init made of the files below the seed's URL."""

    meta_data: dict[str, Any]
    user_data: dict[str, Any]
    asked: list[tuple[str, int]] = field(default_factory=list)
    network_config: dict[str, Any] | None = None


class LiveSession:
    """One machine that was started with a kernel command line of ours."""

    def __init__(self, root: Path, args: str) -> None:
        self.root = root
        self.disks = Machine(root)
        self.words = args.split()
        for folder in ("run", "target/root", "target/etc/systemd/system", "target/usr/local/sbin", "tmp", "bin"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        self.logs = root / "var/log/installer"
        self.logs.mkdir(parents=True)
        self._programs()

    def argument(self, name: str) -> str:
        """A kernel argument's value."""
        (found,) = [word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")]
        return found

    def load_iso(self) -> bytes:
        """casper: `url=` must be http and end in .iso; the whole of it is loaded."""
        url = self.argument("url")
        assert re.fullmatch(r"http://\S+\.iso", url), url
        reply = requests.get(url, timeout=20)
        assert reply.status_code == 200, url
        return reply.content

    def cloud_init(self, order: tuple[str, ...] = SEED) -> Seed:
        """DataSourceNoCloudNet: the URL behind `s=` with the files' names appended, as it stands."""
        kind, _, rest = self.argument("ds").partition(";")
        assert kind in ("nocloud", "nocloud-net")
        assert self.argument("cloud-config-url") == "/dev/null", "cloud-init would read the ISO as its configuration"
        url = rest.removeprefix("s=")
        seed = Seed({}, {})
        texts = {}
        for name in order:
            reply = requests.get(url + name, timeout=20)
            seed.asked.append((name, reply.status_code))
            texts[name] = reply.text
        assert texts["user-data"].split("\n", 1)[0] == "#cloud-config"
        seed.meta_data = yaml.safe_load(texts["meta-data"])
        seed.user_data = yaml.safe_load(texts["user-data"])
        seed.network_config = yaml.safe_load(texts.get("network-config", "null"))
        return seed

    def autoinstall(self, said: dict[str, Any]) -> None:
        """subiquity writes what it was given to /autoinstall.yaml, by its own YAML writer."""
        assert "autoinstall" in self.words, "the installer would ask for a confirmation"
        (self.root / "autoinstall.yaml").write_text(yaml.safe_dump(said))

    def document(self) -> dict[str, Any]:
        """What it reads again after the early-commands."""
        found = yaml.safe_load((self.root / "autoinstall.yaml").read_text())
        assert isinstance(found, dict)
        return found

    def run(self, commands: str) -> list[int]:
        """One of the lists of commands, each by `sh -c`, to the first that fails; their exit codes."""
        codes = []
        for command in self.document()[commands]:
            done = subprocess.run(
                ["dash", "-c", self._here(command)], env=self._environment(), capture_output=True, text=True,
                timeout=120, check=False,
            )  # fmt: skip
            codes.append(done.returncode)
            if done.returncode and commands != "error-commands":
                break
        return codes

    def first_boot(self) -> int:
        """The installed system starts: its unit's program, if it is enabled."""
        assert "systemctl enable pxeapp-first-boot.service" in self.ran
        done = subprocess.run(
            ["bash", str(self.root / "target/usr/local/sbin/pxeapp-first-boot")], env=self._environment(),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode

    def installed(self, path: str) -> str:
        """A file of the installed system."""
        return (self.root / "target" / path).read_text()

    @property
    def ran(self) -> list[str]:
        """What was called of the programs that change a system."""
        trace = self.root / "ran"
        return trace.read_text().splitlines() if trace.exists() else []

    def _here(self, text: str) -> str:
        for place in PLACES:
            text = re.sub(rf"(?<![\w.-]){re.escape(place)}", f"{self.root}{place}", text)
        return text

    def _environment(self) -> dict[str, str]:
        return {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "HOME": str(self.root)}

    def _program(self, name: str, text: str) -> None:
        path = self.root / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def _programs(self) -> None:
        root = self.root
        for name in SILENT:
            self._program(name, f'#!/bin/dash\necho "{name} $*" >>{root}/ran\n')
        session = [f"s#\\(^\\|[^A-Za-z0-9._-]\\){place}#\\1{root}{place}#g" for place in PLACES]
        session += [
            f"s#^sysfs=.*#sysfs={root}/sys/block#", f"s#^devices=.*#devices={root}/dev#",
            f"s#^udev=.*#udev={root}/udev#", "s#\\[ ! -b #[ ! -e #",
        ]  # fmt: skip
        (root / "session.sed").write_text("\n".join(session) + "\n")
        inside = "etc\\|root\\|usr/local\\|usr/share\\|var\\|sys/firmware"
        (root / "target.sed").write_text(f"s#\\(^\\|[ \"'=>(<]\\)/\\({inside}\\)#\\1{root}/target/\\2#g\n")
        # The script is run as it was fetched, but for where its paths lead.
        self._program(
            "sh", f'#!/bin/dash\nscript=$1\nshift\nsed -f {root}/session.sed "$script" >"$script.here"\n'
            'exec /bin/dash "$script.here" "$@"\n',
        )  # fmt: skip
        self._program(
            "curtin",
            f'#!/bin/dash\necho "curtin $*" >>{root}/ran\n[ "$1 $3 $4" = "in-target -- bash" ] || exit 2\n'
            f'sed -f {root}/target.sed "{root}/target$5" >"{root}/target$5.here"\nexec bash "{root}/target$5.here"\n',
        )
