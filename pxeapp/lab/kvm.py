"""Whether KVM truly works here: a /dev/kvm may be there and be useless (nested, emulated, forbidden)."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

PROBE_S = 8.0
DEVICE = Path("/dev/kvm")
SLOW_MODULE = Path("/sys/module/kvm_pvm")  # emulates an ordinary guest's kernel instruction by instruction
# A boot sector that counts to 2^28 in 32-bit steps and then says K on the serial port: well under a second on real
# KVM, far beyond the deadline where each instruction is emulated.
CODE = bytes.fromhex(
    "66b900000010"  # mov ecx,0x10000000
    "6649"  # dec ecx
    "75fc"  # jnz -4
    "b04b"  # mov al,'K'
    "baf803"  # mov dx,0x3f8
    "ee"  # out dx,al
    "f4"  # hlt
    "ebfd"  # jmp -3
)
TCG = ("-accel", "tcg,thread=multi,tb-size=256", "-cpu", "Nehalem,-cx16")
KVM = ("-accel", "kvm", "-cpu", "host")


def acceleration(cache: Path | None = None) -> tuple[str, ...]:
    """QEMU's options: KVM where a quick probe shows that it works, else emulation.

    `-cx16`: QEMU 7.2's emulation of cmpxchg16b corrupts flags, and 6.12 kernels double-fault on it.
    EL10's userland wants x86-64-v3, which this emulated model is not.
    """
    return KVM if works(cache) else TCG


def works(cache: Path | None = None) -> bool:
    """Probe once per boot of this host; the answer is kept in `cache`."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if cache is not None and cache.exists():
        kept, _, said = cache.read_text().partition(" ")
        if kept == boot:
            return said == "yes"
    answer = _probe()
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(f"{boot} {'yes' if answer else 'no'}")
    return answer


def _probe() -> bool:
    if not os.access(DEVICE, os.R_OK | os.W_OK) or SLOW_MODULE.exists():
        return False
    with tempfile.TemporaryDirectory() as folder:
        disk, serial = Path(folder) / "disk", Path(folder) / "serial"
        disk.write_bytes(CODE.ljust(510, b"\0") + b"\x55\xaa" + b"\0" * 512)
        process = subprocess.Popen(
            [
                "qemu-system-x86_64", *KVM, "-nodefaults", "-display", "none",
                "-m", "32", "-machine", "pc,graphics=off",
                "-serial", f"file:{serial}", "-drive", f"file={disk},format=raw,if=ide",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + PROBE_S
            while time.monotonic() < deadline and process.poll() is None:
                if serial.exists() and b"K" in serial.read_bytes()[-4:]:
                    return True
                time.sleep(0.1)
            return False
        finally:
            process.kill()
            process.wait()
