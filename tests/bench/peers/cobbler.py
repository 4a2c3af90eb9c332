"""Cobbler from PyPI, in a virtual environment and a mount namespace of its own: its real daemon, asked over its XMLRPC.

Its folders below /etc, /var/lib, /var/log and /srv are written in the code. Here they are temporary file systems that
only its own processes see, filled from its package as its installer would; so it needs root, and leaves nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import xmlrpc.client
from pathlib import Path

from tests.bench import cpu

VERSION = "3.3.10"
# CT3 is Cheetah3 as it is maintained now. LDAP and Apache's module are not needed to render.
NEEDS = ("CT3", "distro", "dnspython", "file-magic", "netaddr", "pymongo", "pyyaml", "requests", "schema")
FOLDERS = ("/etc/cobbler", "/var/lib/cobbler", "/var/log/cobbler", "/srv")
PORT = 25151  # its own
START_S = 60.0
# Each command runs inside the namespace. `$site` is where its package lies, `$secret` where its key is copied to.
INSIDE = """
set -e
for folder in {folders}; do mkdir -p "$folder"; mount -t tmpfs none "$folder"; done
cp -r "$site"/etc/cobbler/. /etc/cobbler/
cp -r "$site"/var/lib/cobbler/. /var/lib/cobbler/
mkdir -p /srv/tftpboot /srv/www /var/lib/cobbler/loaders
for kind in distros files images menus mgmtclasses packages profiles repos systems
do mkdir -p /var/lib/cobbler/collections/$kind
done
echo kernel >/var/lib/cobbler/vmlinuz; echo initrd >/var/lib/cobbler/initrd.img
exec "$python" "$daemon" -F
"""


class Absent(Exception):
    """It cannot be run here; the sentence says why."""


def installed(folder: Path) -> Path:
    """The virtual environment with Cobbler in it, made if need be."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        raise Absent("Cobbler needs root and unshare(1): its folders are fixed, and it gets some of its own.")
    environment = folder / "cobbler"
    done = environment / f"installed-{VERSION}"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin" / "pip"), "--quiet", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, "--no-deps", f"cobbler=={VERSION}"], check=True)
        subprocess.run([*pip, *NEEDS], check=True, stderr=subprocess.DEVNULL)  # it complains of what is left out
        done.touch()
    return environment


class Cobbler:
    """The running daemon with `systems` systems, each with a kickstart to render."""

    def __init__(self, folder: Path, systems: int) -> None:
        environment = installed(folder)
        site = next(environment.glob("lib/python3*/site-packages"))
        self.server = cpu.Server(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE.format(folders=" ".join(FOLDERS))],
            env={
                **os.environ,
                "site": str(site.resolve()),
                "python": str((environment / "bin" / "python").absolute()),
                "daemon": str((environment / "bin" / "cobblerd").absolute()),
            },
            output=folder / "cobbler.log",
        )
        try:
            self.names = self._fill(systems)
        except BaseException:
            self.server.stop()
            raise

    def stop(self) -> None:
        """End it; its folders go with its last process."""
        self.server.stop()

    def _fill(self, systems: int) -> list[str]:
        remote = client()
        deadline = time.monotonic() + START_S
        while True:
            try:
                remote.ping()
                break
            except OSError:
                if time.monotonic() > deadline or self.server.process.poll() is not None:
                    raise
                time.sleep(0.2)
        # Inside the namespace: only whoever reads its secret may write.
        secret = Path(f"/proc/{self.server.pid}/root/var/lib/cobbler/web.ss").read_text()
        token = remote.login("", secret)
        distro = remote.new_distro(token)
        for name, value in (
            ("name", "rocky9"), ("kernel", "/var/lib/cobbler/vmlinuz"), ("initrd", "/var/lib/cobbler/initrd.img"),
            ("breed", "redhat"), ("arch", "x86_64"), ("autoinstall_meta", {"tree": "http://127.0.0.1/tree"}),
        ):  # fmt: skip
            remote.modify_distro(distro, name, value, token)
        remote.save_distro(distro, token)
        profile = remote.new_profile(token)
        for name, value in (("name", "compute"), ("distro", "rocky9"), ("autoinstall", "sample.ks")):
            remote.modify_profile(profile, name, value, token)
        remote.save_profile(profile, token)
        names = [f"node{number}" for number in range(systems)]
        for number, name in enumerate(names):
            system = remote.new_system(token)
            remote.modify_system(system, "name", name, token)
            remote.modify_system(system, "profile", "compute", token)
            card = {
                "macaddress-eth0": f"52:54:00:02:{number >> 8:02x}:{number & 255:02x}",
                "ipaddress-eth0": f"10.78.{number >> 8}.{number & 255}",
            }
            remote.modify_system(system, "modify_interface", card, token)
            remote.save_system(system, token)
        return names


def client() -> xmlrpc.client.ServerProxy:
    """One connection to its XMLRPC."""
    return xmlrpc.client.ServerProxy(f"http://127.0.0.1:{PORT}", allow_none=True)
