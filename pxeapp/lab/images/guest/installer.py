"""The stand-in installer proper. Runs in its initrd on a bare interpreter: standard library and pykickstart only."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KICKSTART = Path("/tmp/ks.cfg")  # noqa: S108 - Anaconda's own place
TARGET = Path("/mnt/sysroot")
PAYLOAD = Path("/payload/disk.img.gz")
NOT_FOR_TARGET = ("py", "installer", "payload", "proc", "sys", "dev", "mnt", "tmp", "init")
DEFAULT_VERSION = "RHEL9"


@dataclass
class Options:
    """The kernel command line, as Anaconda's dracut reads it: the last of a repeated option wins."""

    ks: str = ""
    repo: str = ""
    bootif: str = ""
    sendmac: bool = False
    sendsn: bool = False
    version: str = DEFAULT_VERSION
    unknown: list[str] = field(default_factory=list)


def parse_cmdline(text: str) -> Options:
    """Options from /proc/cmdline."""
    options = Options()
    for word in text.split():
        name, _, value = word.partition("=")
        if name == "inst.ks":
            options.ks = value
        elif name in ("inst.repo", "inst.stage2"):
            options.repo = value
        elif name == "BOOTIF":
            options.bootif = value
        elif name == "inst.ks.sendmac":
            options.sendmac = True
        elif name == "inst.ks.sendsn":
            options.sendsn = True
        elif name == "standin.version":
            options.version = value
        elif name.startswith("inst."):
            options.unknown.append(name)
    return options


def headers(options: Options) -> list[str]:
    """What Anaconda's first stage sends with the request for its kickstart."""
    found = [
        f"X-Anaconda-Architecture: {platform.machine()}",
        f"X-Anaconda-System-Release: pxeapp stand-in for {options.version}",
    ]
    if options.sendmac:
        for number, card in enumerate(sorted(Path("/sys/class/net").glob("[!l]*"))):
            mac = (card / "address").read_text().strip()
            found.append(f"X-RHN-Provisioning-MAC-{number}: {card.name} {mac}")
    serial = Path("/sys/class/dmi/id/product_serial")
    if options.sendsn and serial.exists():
        found.append(f"X-System-Serial-Number: {serial.read_text().strip()}")
    return found


def say(text: str) -> None:
    """A line on the console."""
    sys.stdout.write(f"stand-in: {text}\n")
    sys.stdout.flush()


class Failed(Exception):
    """The installation cannot go on."""


def fetch(options: Options) -> None:
    """Fetch the kickstart, with patience."""
    if not options.ks:
        raise Failed("there is no inst.ks= on the command line")
    argv = ["curl", "-sS", "-f", "--max-time", "20", "--retry", "10", "--retry-all-errors", "-o", str(KICKSTART)]
    for header in headers(options):
        argv += ["-H", header]
    if subprocess.call([*argv, options.ks]):
        raise Failed("the kickstart could not be fetched")
    say(f"the kickstart has {len(KICKSTART.read_text().splitlines())} lines")


def parse(options: Options, *, with_includes: bool) -> Any:
    """Have pykickstart parse it. Before %pre has run, what %include names is not there yet."""
    from pykickstart.parser import KickstartParser  # not before it is needed: importing it takes its time here
    from pykickstart.version import makeVersion

    parser: Any = KickstartParser(  # type: ignore[no-untyped-call]
        makeVersion(options.version),  # type: ignore[no-untyped-call]
        missingIncludeIsFatal=with_includes,
    )
    parser.readKickstart(str(KICKSTART))
    return parser.handler


def run_scripts(handler: Any, kind: int, *, chroot_only: bool | None = None) -> None:
    """Run the kickstart's scripts of a kind, each with its interpreter; --erroronfail ends the installation."""
    for script in handler.scripts:
        if script.type != kind or (chroot_only is not None and script.inChroot != chroot_only):
            continue
        inside = script.inChroot and kind == POST
        root = TARGET if inside else Path("/")
        place = Path("tmp") / f"ks-script-{time.monotonic_ns()}"
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(script.script)
        argv = [script.interp, f"/{place}"]
        say(f"running a script of {len(script.script.splitlines())} lines{' in the target' if inside else ''}")
        log = root / (script.logfile or "/tmp/script.log").lstrip("/")  # noqa: S108
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            code = subprocess.call(["chroot", str(TARGET), *argv] if inside else argv, stdout=output, stderr=output)
        if code:
            say(f"the script ended with {code}: {log.read_text(errors='replace')[-500:]}")
            if script.errorOnFail:
                raise Failed(f"a script with --erroronfail ended with {code}")


PRE, POST, TRACEBACK, PREINSTALL, ONERROR = 0, 1, 2, 3, 4  # pykickstart.constants


def system_disk(handler: Any) -> str:
    """The disk that the kickstart names, as the kernel calls it."""
    names = list(handler.ignoredisk.onlyuse) or list(handler.clearpart.drives)
    if not names:
        raise Failed("the kickstart names no disk")
    device = Path(os.path.realpath(f"/dev/{names[0]}"))
    if not device.is_block_device():
        raise Failed(f"there is no disk {names[0]}")
    return str(device)


def install(handler: Any, disk: str) -> None:
    """Write the boot loader, kernel and file system to the disk, and the target's tree into memory for %post."""
    say(f"writing a bootable system to {disk}; packages that were asked for are listed, not installed")
    with Path(disk).open("wb") as target:
        subprocess.run(["gunzip", "-c", str(PAYLOAD)], stdout=target, check=True)
    subprocess.run(["sync"], check=True)
    subprocess.run(["blockdev", "--rereadpt", disk], check=False)
    for entry in Path("/").iterdir():
        if entry.name not in NOT_FOR_TARGET:
            subprocess.run(["cp", "-a", str(entry), str(TARGET)], check=True)
    for folder in ("proc", "sys", "dev", "mnt", "tmp", "root", "boot", "etc/systemd/system", "usr/local/sbin"):
        (TARGET / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy("/installer/system-init", TARGET / "init")
    (TARGET / "etc/standin-disk").write_text(disk + "\n")
    (TARGET / "etc/hostname").write_text(_hostname(handler) + "\n")
    wanted = handler.packages
    packages = [*([wanted.environment] if wanted.environment else []), *sorted(wanted.packageList)]
    (TARGET / "root/packages-asked-for").write_text("\n".join(packages) + "\n")
    for source in ("proc", "dev", "sys"):
        subprocess.run(["mount", "--bind", f"/{source}", str(TARGET / source)], check=False)


def _hostname(handler: Any) -> str:
    for line in reversed(handler.network.network):
        if line.hostname:
            return str(line.hostname).split(".", 1)[0]
    return "localhost"


def save(disk: str) -> None:
    """Put the target's tree, with what %post made of it, on the disk: it is the system's root from now on."""
    for mounted in ("proc", "dev", "sys"):
        subprocess.run(["umount", str(TARGET / mounted)], check=False)
    boot = Path("/mnt/boot")
    boot.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "vfat", f"{disk}1", str(boot)], check=True)
    command = f"cd {TARGET} && find . | cpio -o -H newc 2>/dev/null | gzip -1 > {boot}/initrd.img"
    subprocess.run(["sh", "-c", command], check=True)
    subprocess.run(["umount", str(boot)], check=True)
    subprocess.run(["sync"], check=True)


def main() -> int:
    """Install; returns the exit code for init."""
    options = parse_cmdline(Path("/proc/cmdline").read_text())
    handler: Any = None
    try:
        fetch(options)
        handler = parse(options, with_includes=False)
        run_scripts(handler, PRE)
        if re.search(r"^%include", KICKSTART.read_text(), re.MULTILINE):
            handler = parse(options, with_includes=True)
        disk = system_disk(handler)
        say(f"pykickstart understood it as {options.version}: disk {disk}, host {_hostname(handler)}")
        install(handler, disk)
        run_scripts(handler, POST, chroot_only=True)
        # Anaconda ends with the scripts outside the target; ours reports "installed" there, so the disk must be ready.
        save(disk)
        run_scripts(handler, POST, chroot_only=False)
    except Exception as error:  # noqa: BLE001 - whatever it is, the kickstart's %onerror must hear of it
        say(f"FAILED: {error}")
        Path("/tmp/anaconda.log").write_text(f"stand-in: {error}\n")  # noqa: S108 - where the kickstart looks for it
        if handler is not None:
            run_scripts(handler, ONERROR)
        return 1
    if handler is not None and handler.reboot.action == 2:  # KS_SHUTDOWN
        Path("/tmp/poweroff").touch()  # noqa: S108
    say("done; starting the machine from its own disk")
    return 0


if __name__ == "__main__":
    sys.exit(main())
