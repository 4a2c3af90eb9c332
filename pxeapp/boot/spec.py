"""What a machine is to boot: an installer, or its own disk. Every boot language renders from these two.

Paths are relative, below the appliance's own root (`media/debian-13/linux`): HTTP renderers put `node_url` before
them, TFTP ones use them as they are. A value that could change the meaning of a script is refused here, by field,
or, where only one language minds, by that language's renderer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines import mac as macs

# arch/x86/include/asm/setup.h: COMMAND_LINE_SIZE is 2048 with the closing NUL; the kernel cuts the rest off silently.
MAX_COMMAND_LINE = 2047

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_SEGMENT = r"[A-Za-z0-9_+~-][A-Za-z0-9._+~-]*"
_MEDIA_PATH = re.compile(rf"media(/{_SEGMENT})+")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 .,:()/_-]")
_WORD = re.compile(r'(?:[^ "]|"[^"]*")+')


class BadBootValue(Invalid):
    """A value that must not reach a boot script; the problem names its field."""

    title = "Bad boot value"

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(f"{field}: {problem}", problems=[FieldProblem(field, problem, fix)], hint=fix)


@dataclass(frozen=True, slots=True)
class InstallBoot:
    """Boot this installer: kernel, initrds in order, and the kernel command line without `initrd=`."""

    machine: str
    mac: str
    release: str
    kernel: str
    initrds: tuple[str, ...]
    args: str

    def __post_init__(self) -> None:
        check_name("machine", self.machine)
        check_name("release", self.release)
        if macs.normalise(self.mac) != self.mac:
            raise BadBootValue("mac", f"{self.mac!r} is not in our one spelling.", "Write aa:bb:cc:dd:ee:ff.")
        _check_path("kernel", self.kernel)
        for initrd in self.initrds:
            _check_path("initrd", initrd)
        words(self.args)
        if len(self.args) > MAX_COMMAND_LINE:
            raise too_long(len(self.args), MAX_COMMAND_LINE)


@dataclass(frozen=True, slots=True)
class LocalBoot:
    """Boot from the machine's own disk; the reason is shown on its console (see `plain`)."""

    reason: str


Boot = InstallBoot | LocalBoot


def check_name(field: str, value: str) -> None:
    """Refuse anything but letters, digits, dots, dashes and underscores."""
    if not _NAME.fullmatch(value):
        raise BadBootValue(
            field, f"{value!r} is not a plain name.", "Use letters, digits, dots, dashes and underscores."
        )


def words(args: str) -> tuple[str, ...]:
    """The command line's words, split as the kernel does it: at blanks outside double quotes; quotes are kept."""
    if not _PRINTABLE.fullmatch(args):
        raise BadBootValue(
            "args", "the kernel command line holds a line break or a control or non-ASCII character.", "Take it out."
        )
    if args.count('"') % 2:
        raise BadBootValue("args", "the kernel command line has an unclosed double quote.", "Close it.")
    return tuple(_WORD.findall(args))


def plain(text: str) -> str:
    """Free text made harmless for every boot language: what could mean something becomes a `?`.

    Cleaned, not refused: a machine must reach its own disk whatever somebody wrote into a reason.
    """
    return _NOT_PLAIN.sub("?", text)[:200].strip()


def too_long(length: int, limit: int) -> BadBootValue:
    """The error for a command line that the kernel or the boot program would cut off silently."""
    return BadBootValue(
        "args",
        f"the kernel command line has {length} characters; {limit} are possible.",
        "Shorten the release's kernel_args; long settings belong in the answer file.",
    )


def _check_path(field: str, path: str) -> None:
    if not _MEDIA_PATH.fullmatch(path) or len(path) > 255:
        raise BadBootValue(
            field,
            f"{path!r} is not a path below media/.",
            "Write it as media/RELEASE/FILE with letters, digits and ._+~- only; no part may start with a dot.",
        )
