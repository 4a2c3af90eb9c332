"""PXELINUX configuration, for BIOS machines whose DHCP server hands out `pxelinux.0`. Pure: what to boot in, text out.

PXELINUX reads lines, expands nothing and quotes nothing; kernel and initrd come by TFTP, by paths below the root.
"""

from __future__ import annotations

from pxeapp.boot.spec import BadBootValue, Boot, InstallBoot, plain, too_long, words
from pxeapp.templates import Templates

# SYSLINUX 6, core/include/core.h: the whole line, `initrd=` and the image's name included, in 2048 bytes.
MAX_LINE = 2047


def render(boot: Boot, templates: Templates) -> str:
    """The machine's `pxelinux.cfg/01-MAC`."""
    if isinstance(boot, InstallBoot):
        return templates.render(
            "boot/install.pxelinux",
            machine=boot.machine,
            mac=boot.mac,
            release=boot.release,
            kernel=boot.kernel,
            initrds=boot.initrds,
            args=_line(boot),
        )
    return templates.render_or_ours("boot/local.pxelinux", reason=plain(boot.reason))


def render_default(templates: Templates) -> str:
    """`pxelinux.cfg/default`, for a machine that found no file of its own: its own disk."""
    return templates.render_or_ours("boot/local.pxelinux", reason="no file for this machine")


def _line(boot: InstallBoot) -> str:
    args = " ".join(words(boot.args))
    if args == "-":
        raise BadBootValue("args", "PXELINUX reads a lone dash as no arguments at all.", "Leave the arguments empty.")
    taken = len(f"BOOT_IMAGE={boot.kernel} initrd={','.join(boot.initrds)} ")
    if taken + len(args) > MAX_LINE:
        raise too_long(len(args), MAX_LINE - taken)
    return args
