"""debian-installer's own network, on its kernel command line: a preseed from the network comes too late for it.

It can use one card, untagged: it is the boot card.
"""

from __future__ import annotations

from pxeapp.answers.network import files as names
from pxeapp.answers.network import ifupdown, netplan
from pxeapp.answers.network.files import File
from pxeapp.answers.network.plan import NetworkPlan, ip_of, netmask, prefix_of


def words(plan: NetworkPlan, *, over6: bool) -> list[str]:
    """The arguments for a static address; none for DHCP, which is what it tries by itself."""
    speaker = plan.speaker
    static = speaker.static6 if over6 else speaker.static4
    if not static:
        return []
    gateway = speaker.gateway6 if over6 else speaker.gateway4
    servers = " ".join(plan.dns)
    size = prefix_of(static[0])
    return [
        "netcfg/disable_autoconfig=true",
        # IPv6 with its prefix: netcfg asks for no netmask then.
        *([f"netcfg/get_ipaddress={static[0]}"] if over6 else []),
        *([] if over6 else [f"netcfg/get_ipaddress={ip_of(static[0])}", f"netcfg/get_netmask={netmask(size)}"]),
        f"netcfg/get_gateway={gateway or 'none'}",
        *([f'netcfg/get_nameservers="{servers}"'] if servers else []),
        "netcfg/confirm_static=true",
    ]


def files(plan: NetworkPlan, *, uses_netplan: bool) -> tuple[File, ...]:
    """What the last script writes into the installed system."""
    if uses_netplan:
        return netplan.files(plan)
    return (names.names(plan), *ifupdown.files(plan))


def packages(plan: NetworkPlan, *, uses_netplan: bool) -> tuple[str, ...]:
    """What the installed system needs for it."""
    return ("netplan.io",) if uses_netplan else ifupdown.packages(plan)
