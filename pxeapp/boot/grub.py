"""GRUB configuration, for UEFI Secure Boot (shim and the distribution's signed GRUB). Pure: what to boot in, text out.

The signed GRUB comes by TFTP, has no HTTP and may load no module that would bring it, so kernel and initrd come by TFTP
too. Words are put in single quotes, where GRUB takes everything literally: unquoted, the `;` of `ds=nocloud;s=...` ends
the command.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from pxeapp.boot import ipxe
from pxeapp.boot.spec import MAX_COMMAND_LINE, BadBootValue, Boot, InstallBoot, plain, too_long, words
from pxeapp.templates import Templates

ATTEMPTS = 3
PAUSE_SECONDS = 2

# Where installers put the installed system's first stage on the EFI system partition; shim before GRUB, because under
# Secure Boot only shim carries Microsoft's signature. The removable-media path last: every disk may have one.
INSTALLED_LOADERS = (
    "/EFI/debian/shimx64.efi",
    "/EFI/ubuntu/shimx64.efi",
    "/EFI/centos/shimx64.efi",
    "/EFI/rocky/shimx64.efi",
    "/EFI/almalinux/shimx64.efi",
    "/EFI/redhat/shimx64.efi",
    "/EFI/fedora/shimx64.efi",
    "/EFI/debian/grubx64.efi",
    "/EFI/ubuntu/grubx64.efi",
    "/EFI/BOOT/BOOTX64.EFI",
)
# Any other system's, on any disk or partition that GRUB sees.
ANY_LOADERS = (
    "(hd*)/EFI/*/shimx64.efi",
    "(hd*)/EFI/*/shim.efi",
    "(hd*)/EFI/*/grubx64.efi",
    "(hd*)/EFI/*/Boot/bootmgfw.efi",
    "(hd*)/EFI/systemd/systemd-bootx64.efi",
    "(hd*)/EFI/BOOT/bootx64.efi",
)
RESTART_SECONDS = 60
_LOCAL = {"loaders": INSTALLED_LOADERS, "patterns": ANY_LOADERS, "restart_seconds": RESTART_SECONDS}


def render(boot: Boot, templates: Templates, *, node_url: str | None = None) -> str:
    """The machine's own file: by TFTP from where GRUB itself came, or with `node_url` for a GRUB that has HTTP."""
    if isinstance(boot, InstallBoot):
        root = _http_root(node_url) if node_url is not None else "($netroot)"
        return templates.render(
            "boot/install.grub.cfg",
            machine=boot.machine,
            mac=boot.mac,
            release=boot.release,
            kernel=f'"{root}/{boot.kernel}"',
            initrds=[f'"{root}/{initrd}"' for initrd in boot.initrds],
            words=[_quoted(word) for word in _checked(boot.args)],
            attempts=_attempts(),
            pause_seconds=PAUSE_SECONDS,
            **_LOCAL,
        )
    return templates.render_or_ours("boot/local.grub.cfg", reason=plain(boot.reason), **_LOCAL)


def render_first(templates: Templates) -> str:
    """`grub/grub.cfg`, the same for every machine: it goes on to `grub/by-mac/MAC.cfg`."""
    return templates.render_or_ours("boot/first.grub.cfg", attempts=_attempts(), pause_seconds=PAUSE_SECONDS, **_LOCAL)


def render_local_disk(templates: Templates) -> str:
    """The configuration inside `localdisk.efi` (see localdisk.py)."""
    return templates.render_or_ours("boot/localdisk.grub.cfg", **_LOCAL)


def _attempts() -> list[int]:
    return list(range(1, ATTEMPTS + 1))


def _checked(args: str) -> tuple[str, ...]:
    """The words; GRUB's linux command joins them with blanks and puts a backslash before quotes and backslashes."""
    parts = words(args)
    for word in parts:
        if "'" in word or "\\" in word:
            raise BadBootValue(
                "args",
                f"GRUB would hand {word!r} to the kernel with backslashes added.",
                "Take the single quote or backslash out.",
            )
    # GRUB counts the kernel's name with the line: grub_create_loader_cmdline after "BOOT_IMAGE=...".
    length = len("BOOT_IMAGE= ") + 255 + sum(len(part) + 1 for part in parts)
    if length > MAX_COMMAND_LINE:
        raise too_long(len(args), MAX_COMMAND_LINE - 255 - len("BOOT_IMAGE= "))
    return parts


def _quoted(word: str) -> str:
    """One GRUB word. Double quotes come off: GRUB puts its own around a word that holds a blank."""
    return "'" + word.replace('"', "") + "'"


def _http_root(node_url: str) -> str:
    ipxe.check_url(node_url)
    parts = urlsplit(node_url)
    if parts.scheme != "http" or parts.path:
        raise BadBootValue(
            "node_url", f"GRUB cannot fetch below {node_url!r}.", "It knows plain http://HOST:PORT only."
        )
    return f"(http,{parts.netloc})"
