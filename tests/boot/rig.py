"""A cable, our DHCP configuration, boot programs and media, and QEMU machines with real firmware on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pxeapp.boot import grub, ipxe, loaders, localdisk, pxelinux, runner
from pxeapp.boot.dnsmasq import DhcpNetwork, DhcpPlan, Reservation, render
from pxeapp.boot.spec import Boot, InstallBoot, LocalBoot
from pxeapp.templates import Templates
from tests.boot import nodehttp
from tests.boot.netns import Namespace

ADDRESS = "10.77.0.1"
NODE_URL = f"http://{ADDRESS}:8081"
OVMF = Path("/usr/share/OVMF")
BOOTED = "PXEAPP-KERNEL-RUNS"
LOCAL = "PXEAPP-LOCAL-DISK"
UNARMED = LocalBoot("not armed")

# A boot record that writes its message to COM1 and stops: in al,dx loops until the transmitter is empty.
_BOOT_RECORD = bytes.fromhex(
    "31c08ed8be1f7c"  # xor ax,ax; mov ds,ax; mov si,message
    "ac84c07412"  # next: lodsb; test al,al; jz stop
    "88c4bafd03"  # mov ah,al; mov dx,3FDh
    "eca82074fb"  # wait: in al,dx; test al,20h; jz wait
    "baf80388e0ee"  # mov dx,3F8h; mov al,ah; out dx,al
    "ebe9"  # jmp next
    "f4"  # stop: hlt
)


def disk_bios(path: Path) -> Path:
    """A disk whose boot record says LOCAL on the serial port."""
    code = _BOOT_RECORD.ljust(0x1F, b"\xf4") + LOCAL.encode() + b"\r\n\0"
    path.write_bytes((code.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0"))
    return path


def disk_uefi(path: Path) -> Path:
    """A disk with an installed system's signed shim and GRUB, which says LOCAL on the console."""
    shim = loaders.find()["shimx64.efi"]
    disk_grub = loaders.find()["grubx64.efi"].with_name("grubx64.efi.signed")
    config = path.with_suffix(".cfg")
    config.write_text(f"echo {LOCAL}\nsleep 60\nhalt\n")
    path.write_bytes(b"\0" * (16 << 20))
    tools = dict(os.environ, MTOOLS_SKIP_CHECK="1")
    image = ["-i", str(path)]
    subprocess.run(["mformat", *image, "::"], check=True, env=tools)
    subprocess.run(["mmd", *image, "::/EFI", "::/EFI/debian"], check=True, env=tools)
    for source, name in ((shim, "shimx64.efi"), (disk_grub, "grubx64.efi"), (config, "grub.cfg")):
        subprocess.run(["mcopy", *image, str(source), f"::/EFI/debian/{name}"], check=True, env=tools)
    # The removable-media path, which OVMF tries without a boot entry of its own.
    subprocess.run(["mmd", *image, "::/EFI/BOOT"], check=True, env=tools)
    for source, name in ((shim, "BOOTX64.EFI"), (disk_grub, "grubx64.efi")):
        subprocess.run(["mcopy", *image, str(source), f"::/EFI/BOOT/{name}"], check=True, env=tools)
    return path


def kernel_and_initrd(folder: Path) -> tuple[Path, Path]:
    """The distribution's kernel, and an initrd that says BOOTED with its command line and powers off."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pxeapp-tests"
    cache.mkdir(parents=True, exist_ok=True)
    kernel = cache / "vmlinuz"
    if not kernel.exists():
        _fetch_kernel(cache, kernel)
    initrd = folder / "initrd.gz"
    tree = folder / "initrd"
    (tree / "proc").mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "busybox")
    init = tree / "init"
    init.write_text(
        "#!/busybox sh\n/busybox mount -t proc proc /proc\n"
        "/busybox dmesg | /busybox grep -i 'secure boot'\n"
        f'echo "{BOOTED}: $(/busybox cat /proc/cmdline)"\n/busybox sleep 1\n/busybox poweroff -f\n'
    )
    init.chmod(0o755)
    with initrd.open("wb") as out:
        names = subprocess.run(["find", "."], cwd=tree, check=True, capture_output=True).stdout
        archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, check=True, input=names,
                                 capture_output=True).stdout  # fmt: skip
        out.write(subprocess.run(["gzip", "-1"], check=True, input=archive, capture_output=True).stdout)
    return kernel, initrd


def _fetch_kernel(cache: Path, kernel: Path) -> None:
    """Take the kernel out of the distribution's package; two tests may do so at once, the last one's file stays."""
    depends = subprocess.run(
        ["apt-cache", "depends", "linux-image-cloud-amd64"], check=True, capture_output=True, text=True
    )
    package = next(line.split()[-1] for line in depends.stdout.splitlines() if "Depends: linux-image-" in line)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        subprocess.run(["apt-get", "download", package], cwd=scratch, check=True, capture_output=True, timeout=120)
        deb = next(Path(scratch).glob("*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(deb), f"{scratch}/tree"], check=True)
        next(Path(scratch).glob("tree/boot/vmlinuz-*")).replace(kernel)


class Machine:
    """A running QEMU; its serial port and console are a file."""

    def __init__(self, process: subprocess.Popen[bytes], serial: Path) -> None:
        self._process = process
        self._serial = serial

    @property
    def console(self) -> str:
        """Everything it has said so far."""
        return self._serial.read_text(errors="replace") if self._serial.exists() else ""

    def wait_for(self, text: str, timeout: float = 240) -> str:
        """The console once it holds `text`; fails with the console's end when the deadline passes or QEMU ends."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if text in self.console:
                return self.console
            if self._process.poll() is not None:
                break
            time.sleep(0.2)
        assert text in self.console, f"no {text!r} on the console, which ends: {self.console[-3000:]}"
        return self.console

    def stop(self) -> None:
        """Pull the plug."""
        self._process.terminate()
        self._process.wait()


class Rig:
    """The provisioning network of one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = contextlib.ExitStack()
        self._machines = 0
        self.namespace = self._stack.enter_context(Namespace())
        self.http_log = folder / "http.log"
        self.tftp_root = folder / "tftp"
        self.http_root = folder / "http"
        run = self.namespace.run
        run("ip", "link", "add", "br0", "type", "bridge")
        run("ip", "addr", "add", f"{ADDRESS}/24", "dev", "br0")
        run("ip", "link", "set", "br0", "up")
        self._fill()

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _fill(self) -> None:
        for root in (self.tftp_root, self.http_root):
            (root / "media" / "test").mkdir(parents=True)
            (root / "boot" / "loaders").mkdir(parents=True)
        for name in ("ipxe", "grub"):
            (self.http_root / name).mkdir()
        (self.tftp_root / "grub" / "by-mac").mkdir(parents=True)
        (self.tftp_root / "pxelinux.cfg").mkdir(parents=True)
        for name, path in loaders.find().items():
            shutil.copy(path, self.tftp_root / name)
            shutil.copy(path, self.http_root / "boot" / "loaders" / name)
        localdisk.build(self.http_root / "boot" / "loaders", grub.render_local_disk(Templates()))
        kernel, initrd = kernel_and_initrd(self.folder)
        for root in (self.tftp_root, self.http_root):
            shutil.copy(kernel, root / "media" / "test" / "linux")
            shutil.copy(initrd, root / "media" / "test" / "initrd.gz")
        templates = Templates()
        (self.tftp_root / "grub" / "grub.cfg").write_text(grub.render_first(templates))
        (self.tftp_root / "autoexec.ipxe").write_text(ipxe.render_autoexec(templates, node_url=NODE_URL))
        (self.tftp_root / "pxelinux.cfg" / "default").write_text(pxelinux.render_default(templates))
        (self.http_root / "ipxe" / "default").write_text(ipxe.render(UNARMED, templates, node_url=NODE_URL))

    def serve(self, *reservations: Reservation, mode: str = "full", bios_program: str | None = None) -> None:
        """Start our dnsmasq configuration, the machines' HTTP, and dnsmasq's TFTP over the same names."""
        network = DhcpNetwork("rack", "10.77.0.0/24", gateway=ADDRESS)
        if mode == "proxy":
            self._other_dhcp()
        leases = self.folder / "leases"
        plan = DhcpPlan(mode, "br0", NODE_URL, (network,), leases, reservations)  # type: ignore[arg-type]
        text = render(plan, Templates())
        if bios_program is not None:
            text = text.replace("dhcp-boot=tag:ipxe,http", f"dhcp-boot=tag:bios,{bios_program}\n#")
        conf = self.folder / "dnsmasq.conf"
        conf.write_text(text)
        self._start(
            runner.find_program("dnsmasq"), "-d", "-C", str(conf), "--enable-tftp", f"--tftp-root={self.tftp_root}",
            stderr=self.folder / "dnsmasq.log",
        )  # fmt: skip
        self._start(sys.executable, nodehttp.__file__, ADDRESS, "8081", str(self.http_root), str(self.http_log))

    def _other_dhcp(self) -> None:
        """The network's own DHCP server, which knows nothing of booting; for the proxy mode."""
        run = self.namespace.run
        run("ip", "link", "add", "dhcp1", "type", "veth", "peer", "name", "dhcp1br")
        run("ip", "link", "set", "dhcp1br", "master", "br0", "up")
        run("ip", "addr", "add", "10.77.0.2/24", "dev", "dhcp1")
        run("ip", "link", "set", "dhcp1", "up")
        self._start(
            runner.find_program("dnsmasq"), "-d", "--conf-file=/dev/null", "--port=0", "--interface=dhcp1",
            "--except-interface=lo", "--bind-interfaces", "--dhcp-range=10.77.0.50,10.77.0.60,255.255.255.0",
            f"--dhcp-leasefile={self.folder / 'other.leases'}", "--no-ping",
        )  # fmt: skip

    def boots(self, mac: str, boot: Boot, *, report_identity: bool = False) -> None:
        """Put the machine's files where each kind of boot program looks for them."""
        templates = Templates()
        script = ipxe.render(boot, templates, node_url=NODE_URL, report_identity=report_identity)
        (self.http_root / "ipxe" / mac).write_text(script)
        (self.tftp_root / "grub" / "by-mac" / f"{mac}.cfg").write_text(grub.render(boot, templates))
        dashed = mac.replace(":", "-")
        (self.tftp_root / "pxelinux.cfg" / f"01-{dashed}").write_text(pxelinux.render(boot, templates))

    def power_on(self, mac: str, *options: str, disk: Path | None = None, memory: int = 512) -> Machine:
        """A machine with one card on the bridge; network first, then the disk."""
        self._machines += 1
        tap = f"tap{self._machines}"
        self.namespace.run("ip", "tuntap", "add", tap, "mode", "tap")
        self.namespace.run("ip", "link", "set", tap, "master", "br0", "up")
        serial = self.folder / f"{tap}.serial"
        argv = [
            "qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot", "-m", str(memory),
            "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "Nehalem,-cx16", "-device", "virtio-rng-pci",
            "-serial", f"file:{serial}", "-netdev", f"tap,id=net0,ifname={tap},script=no,downscript=no",
            "-smbios", f"type=1,serial=SN-{tap},manufacturer=Test Works,product=Rig", *options,
        ]  # fmt: skip
        argv = [part.replace("MAC", mac) for part in argv]
        if disk is not None:
            argv += ["-drive", f"if=none,id=disk0,file={disk},format=raw,snapshot=on"]
            argv += ["-device", "virtio-blk-pci,drive=disk0,bootindex=5"]
        with (self.folder / f"{tap}.qemu").open("wb") as errors:
            process = self.namespace.popen(*argv, stdout=errors, stderr=errors)
        machine = Machine(process, serial)
        self._stack.callback(machine.stop)
        return machine

    def requests(self) -> str:
        """What the machines asked of HTTP."""
        return self.http_log.read_text() if self.http_log.exists() else ""

    def dhcp_log(self) -> str:
        """What dnsmasq wrote."""
        return (self.folder / "dnsmasq.log").read_text()

    def _start(self, *argv: str, stderr: Path | None = None) -> None:
        with (stderr or Path(os.devnull)).open("wb") as errors:
            process = self.namespace.popen(*argv, stderr=errors)
        self._stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


NIC = "virtio-net-pci,netdev=net0,mac=MAC,bootindex=1"


def bios() -> list[str]:
    """SeaBIOS with QEMU's iPXE ROM."""
    return ["-machine", "pc,graphics=off", "-device", NIC]


def uefi(folder: Path, *, rom: bool = False) -> list[str]:
    """OVMF: its own PXE and HTTP clients, or (rom) the card's iPXE ROM."""
    return ["-machine", "q35", *_flash(folder, "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"), "-device", NIC + ("" if rom else ",romfile=")]  # fmt: skip  # noqa: E501


def uefi_http(folder: Path) -> list[str]:
    """OVMF with PXE switched off, so that HTTP Boot is what is left."""
    quiet = []
    for family in ("IPv4", "IPv6"):
        quiet += ["-fw_cfg", f"name=opt/org.tianocore/{family}PXESupport,string=n"]
    return [*uefi(folder), *quiet]


def secure_boot(folder: Path) -> list[str]:
    """OVMF that enforces Secure Boot with Microsoft's keys."""
    return [
        "-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on",
        "-global", "ICH9-LPC.disable_s3=1", *_flash(folder, "OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.ms.fd"),
        "-device", NIC + ",romfile=",
    ]  # fmt: skip


def _flash(folder: Path, code: str, variables: str) -> list[str]:
    own = folder / f"{variables}.{time.monotonic_ns()}"
    shutil.copy(OVMF / variables, own)
    return [
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF / code}",
        "-drive", f"if=pflash,unit=1,format=raw,file={own}",
    ]  # fmt: skip


def install(mac: str, word: str = "") -> InstallBoot:
    """An installer that only reports."""
    args = f'console=ttyS0 quiet mitigations=off panic=-1 seed="a;b" {word}'.strip()
    return InstallBoot("t1", mac, "test", "media/test/linux", ("media/test/initrd.gz",), args)
