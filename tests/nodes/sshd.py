"""A real sshd on loopback: OpenSSH's, with a host key and a folder of its own, which lets one key in as who runs it."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
MISSING = "OpenSSH's sshd is not installed" if SSHD is None else "sshd's sessions are root's; this user is not"
USABLE = SSHD is not None and os.geteuid() == 0


class Sshd:
    """Started with `start`; `cut` ends the connections that are open now, as a lost network does."""

    def __init__(self, folder: Path, authorized: str, port: int) -> None:
        self.folder, self.port, self.user = folder, port, getpass.getuser()
        self.environment: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.new_host_key()
        (folder / "authorized_keys").write_text(authorized + "\n")

    def new_host_key(self) -> None:
        """As after an installation by somebody else."""
        key = self.folder / "host_key"
        key.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=30)

    @property
    def host_key(self) -> str:
        """The public one, with its comment."""
        return (self.folder / "host_key.pub").read_text().strip()

    def start(self) -> None:
        """Listen; returns when it answers."""
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it puts its unprivileged half
        config = self.folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.folder}/host_key\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nStrictModes no\nPermitRootLogin prohibit-password\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 50\n"
            + self._environment()  # in one line: of several only the first counts
        )
        with (self.folder / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(SSHD), "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError((self.folder / "sshd.log").read_text())

    def _environment(self) -> str:
        said = " ".join(f"{name}={value}" for name, value in self.environment.items())
        return f"SetEnv {said}\n" if said else ""

    def cut(self) -> int:
        """End every session's process; what runs in them is left to itself. How many there were."""
        assert self.process is not None
        sessions = _children(self.process.pid)
        for each in sessions:
            os.kill(each, signal.SIGKILL)
        return len(sessions)

    def stop(self) -> None:
        """No more connections."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None


@contextmanager
def running(folder: Path, authorized: str, port: int) -> Iterator[Sshd]:
    """One for as long as it is needed."""
    sshd = Sshd(folder, authorized, port)
    sshd.start()
    try:
        yield sshd
    finally:
        sshd.stop()


def _children(of: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{of}/task/{of}/children").read_text().split()]
