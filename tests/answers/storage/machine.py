"""A machine's /sys/block, /dev and udev data in a folder, and the resolver script run on it by the real shells."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from pxeapp.answers.storage import Layout, read, resolver
from tests.answers.samples import TEMPLATES

SHELLS = [("bash",), ("dash",), ("busybox", "sh")]
GB = 10**9


def script(layout: Layout, *, system: str | None = None, data: tuple[str, ...] = (), keep: tuple[str, ...] = ()) -> str:
    """The resolver for a layout, as every installer is given it."""
    return TEMPLATES.render("boot/_disks.sh", resolve=resolver.calls(layout, system, data, keep))


class Machine:
    """As the installer finds it. Device nodes are plain files: `-b` is asked as `-e`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0
        for folder in ("sys/block", "dev/disk/by-id", "dev/disk/by-path", "udev", "devices"):
            (root / folder).mkdir(parents=True)

    def disk(
        self,
        name: str,
        size: int = 480 * GB,
        *,
        path: str = "",
        serial: str = "",
        wwn: str = "",
        model: str = "",
        rotational: int = 0,
        removable: int = 0,
        ro: int = 0,
        bus: str = "pci0",
        by: str = "sysfs",
        partitions: int = 0,
        content: bytes = b"",
        udev: dict[str, str] | None = None,
    ) -> None:
        """Add a disk; `by` says whether the kernel (sysfs) or udev knows what it is."""
        self.count += 1
        sys_name = name.replace("/", "!")
        device = self.root / "devices" / bus / sys_name
        for folder in ("queue", "device"):
            (device / folder).mkdir(parents=True)
        (self.root / "sys/block" / sys_name).symlink_to(device)
        files: dict[str, Any] = {
            "removable": removable, "ro": ro, "size": size // 512, "queue/rotational": rotational,
            "dev": f"8:{self.count}",
        }  # fmt: skip
        said = dict(udev or {})
        if by == "udev":
            named = (("ID_SERIAL_SHORT", serial), ("ID_WWN", wwn and f"0x{wwn}"), ("ID_MODEL", model.replace(" ", "_")))
            said |= {key: value for key, value in named if value}
        elif by == "page":
            (device / "device/vpd_pg80").write_bytes(b"\x00\x80\x00" + bytes([len(serial)]) + serial.encode())
        else:
            more = (("device/serial", f"  {serial} "), ("wwid", wwn and f"naa.{wwn}"), ("device/model", f"{model}   "))
            files |= {key: value for key, value in more if value.strip()}
        for file, value in files.items():
            (device / file).write_text(f"{value}\n")
        (self.root / "udev" / f"b8:{self.count}").write_text(
            "".join(f"E:{key}={value}\n" for key, value in said.items())
        )
        for number in range(1, partitions + 1):
            (device / f"{sys_name}{number}").mkdir()
            (self.root / "dev" / f"{name}{number}").touch()
        node = self.root / "dev" / name
        node.parent.mkdir(exist_ok=True)
        node.write_bytes(content)
        if path:
            (self.root / "dev" / path).symlink_to(node)

    def run(self, shell: tuple[str, ...], text: str, then: str) -> subprocess.CompletedProcess[str]:
        """Run the resolver's functions and then these lines on this machine."""
        for name, place in (("sysfs", "sys/block"), ("devices", "dev"), ("udev", "udev")):
            real = {"sysfs": "/sys/block", "devices": "/dev", "udev": "/run/udev/data"}[name]
            assert f"\n{name}={real}\n" in text
            text = text.replace(f"\n{name}={real}\n", f"\n{name}={self.root}/{place}\n")
        text = text.replace("[ ! -b ", "[ ! -e ")
        return subprocess.run(
            [shutil.which(shell[0]) or shell[0], *shell[1:]], input=f"{text}\n{then}\n", capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    def found(self, said: Any, shell: tuple[str, ...] = ("dash",), **disks: Any) -> dict[str, list[str]] | str:
        """What the layout means here: each of the script's variables with its disks, or the reason why not."""
        layout = read(said)
        show = "".join(f'echo "{name}:" ${name}\n' for name in resolver.names(layout))
        done = self.run(shell, script(layout, **disks), f"if find_disks; then\n{show}else\nwrong_disks >&2\nexit 3\nfi")
        if done.returncode == 3:
            return done.stderr
        assert (done.returncode, done.stderr) == (0, "")
        rows = (line.partition(":") for line in done.stdout.splitlines())
        return {name: value.split() for name, _, value in rows}

    def chosen(self, hints: list[Any], shell: tuple[str, ...]) -> list[str]:
        """What each hint means here by itself, asked in one run."""
        asked = []
        for hint in hints:
            (line,) = (each for each in resolver.calls(read({"system": hint}), None, (), ()) if each[:6] == "choose")
            call = line.removesuffix(" || return 1")
            asked.append(f'taken= taken_wwns=\n{call} && echo $chosen || echo "$trouble"')
        done = self.run(shell, script(read("plain")), "\n".join(("there=$(disks)", *asked)))
        assert done.stderr == ""
        return done.stdout.splitlines()
