"""Anaconda's own network by its kernel arguments: dracut brings it up, before there is a kickstart.

The boot card by default, whatever it becomes later: it has just netbooted from it, and a bond or VLAN of the installed
system is not needed to install. Where the switch insists on it (`installer: bond0`), dracut makes bond and VLAN. Its
`bond=` takes names, and cards are found by MAC: so `ifname=` names them first. BOOTIF is left out then, for it would
bring up the one card alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from pxeapp.answers.network.keyfile import bond_options
from pxeapp.answers.network.plan import Bond, Device, NetworkPlan, Vlan, ip_of, netmask, prefix_of
from pxeapp.machines import mac as macs

NAME = "pxe"  # ours in the installer: a name that no kernel gives


def words(plan: NetworkPlan, *, hostname: str, over6: bool) -> list[str]:
    """The arguments; `over6`: the appliance is reached over IPv6."""
    device = plan.device(plan.installer)
    below = plan.device(device.link) if isinstance(device, Vlan) else device
    names = {plan.boot: f"{NAME}0"}
    found: list[str] = []
    if isinstance(below, Bond):
        order = (plan.boot, *(each for each in below.members if each != plan.boot))
        names = {name: f"{NAME}{number}" for number, name in enumerate(order)}
        options = ",".join(f"{key}={value}" for key, value in _options(below, names))
        mtu = f":{below.mtu}" if below.mtu else ""
        found.append(f"bond={below.name}:{','.join(names.values())}:{options}{mtu}")
    cards = [f"ifname={names[card.name]}:{card.mac}" for card in plan.ethernets if card.name in names]
    base = below.name if isinstance(below, Bond) else names[plan.boot]
    interface = base
    if isinstance(device, Vlan):
        interface = f"vlan{device.id}"  # dracut reads the number out of the name
        found.append(f"vlan={interface}:{base}")
    speaker = device if device.name != plan.boot else plan.speaker
    simple = interface == f"{NAME}0"
    address = list(_address(plan, speaker, interface, hostname, over6=over6))
    if simple and address == [f"ip={interface}:dhcp"]:
        return ["ip=dhcp", f"BOOTIF={macs.dashed(plan.boot_card.mac)}"]
    bootif = [f"BOOTIF={macs.dashed(plan.boot_card.mac)}"] if simple else []
    return [*cards, *found, *address, f"bootdev={interface}", *bootif]


def _options(bond: Bond, names: dict[str, str]) -> Iterable[tuple[str, str]]:
    for key, value in bond_options(bond):
        yield key, names[value] if key == "primary" else value


def _address(plan: NetworkPlan, device: Device, interface: str, hostname: str, *, over6: bool) -> Iterable[str]:
    static = device.static6 if over6 else device.static4
    if static:
        gateway = (device.gateway6 if over6 else device.gateway4) or ""
        ip, size = ip_of(static[0]), prefix_of(static[0])
        if over6:
            yield f"ip=[{ip}]::{f'[{gateway}]' if gateway else ''}:{size}:{hostname}:{interface}:none"
        else:
            yield f"ip={ip}::{gateway}:{netmask(size)}:{hostname}:{interface}:none"
    else:
        way = ("dhcp6" if device.dhcp6 else "auto6") if over6 else "dhcp"
        yield f"ip={interface}:{way}"
    if static:
        for server in plan.dns:
            yield f"nameserver={f'[{server}]' if ':' in server else server}"
