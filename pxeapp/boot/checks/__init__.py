"""Boot scripts by their own grammar: known commands, labels that exist, quoting, and how long a line may be.

None of the three has a checker that comes with it, but for GRUB's, which knows syntax only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pxeapp.boot.checks import grub, ipxe, pxelinux
from pxeapp.faults import Fault

CHECKERS: dict[str, Callable[[str], Iterable[Fault]]] = {
    "ipxe": ipxe.check,
    "grub": grub.check,
    "pxelinux": pxelinux.check,
}


def check(kind: str, text: str) -> list[Fault]:
    """Every fault of one boot script, in the order of its lines."""
    return sorted(CHECKERS[kind](text), key=lambda fault: fault.line)
