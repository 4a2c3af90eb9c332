"""A file of the installed system, and the one that names cards by their MAC."""

from __future__ import annotations

from dataclasses import dataclass

from pxeapp.answers.network.plan import NetworkPlan


@dataclass(frozen=True, slots=True)
class File:
    """Text for a place in the installed system; `mode` as chmod reads it."""

    path: str
    text: str
    mode: str = "644"

    @property
    def folder(self) -> str:
        """Where it lies."""
        return self.path.rpartition("/")[0]


def names(plan: NetworkPlan) -> File:
    """Names by MAC, for udev: the way that every release since 2012 reads, and that predictable names give way to.

    DRIVERS: a bond or a VLAN has the MAC of its card, but no driver.
    """
    rules = "".join(
        f'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{card.mac}", ATTR{{type}}=="1", '
        f'NAME="{card.name}"\n'
        for card in plan.ethernets
    )
    return File("/etc/udev/rules.d/70-pxeapp-net.rules", f"# Network cards by MAC, written by pxeapp\n{rules}")
