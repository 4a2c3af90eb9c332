"""What a kickstart says of the network: one line for the installer, and files for the system that it installs.

`network --bondslaves` takes the names that the installer's kernel gives, and Anaconda would rebuild the bond under its
own download. So the installer keeps the boot card, by MAC, and %post writes what the system is to have: keyfiles of
NetworkManager from EL 8 on, ifcfg files on EL 7 (a column of the releases table). Both find cards by MAC.
"""

from __future__ import annotations

from pxeapp.answers.network import files as names
from pxeapp.answers.network import ifcfg, keyfile
from pxeapp.answers.network.files import File
from pxeapp.answers.network.plan import NetworkPlan, ip_of, netmask, prefix_of


def line(plan: NetworkPlan, *, over6: bool) -> str:
    """The `network` line of the boot card; nothing where the kernel arguments made a bond or a VLAN already."""
    if plan.installer != plan.boot:
        return ""
    said = [f"network --device={plan.boot_card.mac}", *_way(plan, over6=over6), "--onboot=yes --activate"]
    return " ".join(said)


def _way(plan: NetworkPlan, *, over6: bool) -> list[str]:
    speaker = plan.speaker
    servers = [f"--nameserver={','.join(plan.dns)}"] if plan.dns else []
    if over6:
        if not speaker.static6:
            return ["--noipv4", f"--ipv6={'dhcp' if speaker.dhcp6 else 'auto'}"]
        gateway = [f"--ipv6gateway={speaker.gateway6}"] if speaker.gateway6 else []
        return ["--noipv4", f"--ipv6={speaker.static6[0]}", *gateway, *servers]
    if not speaker.static4:
        return ["--bootproto=dhcp"]
    address = speaker.static4[0]
    gateway = [f"--gateway={speaker.gateway4}"] if speaker.gateway4 else []
    mask = netmask(prefix_of(address))
    return ["--bootproto=static", f"--ip={ip_of(address)}", f"--netmask={mask}", *gateway, *servers]


def files(plan: NetworkPlan, connections: str) -> tuple[File, ...]:
    """What %post writes, for a release whose connections are `keyfile` or `ifcfg`."""
    written = ifcfg.files(plan) if connections == "ifcfg" else keyfile.files(plan)
    return (names.names(plan), *written)
