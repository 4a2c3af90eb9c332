"""Autoinstall: what Ubuntu's live server installer is told, on its command line, as a cloud-init seed, by its script.

The seed is NoCloud's over HTTP: `user-data` holds the autoinstall document. It is built as values and written as YAML
by block_yaml.py, so that no value can mean anything but itself. Whatever runs stands in a script of its own, fetched by
the first early-command: what the document says is copied, secrets and all, to the logs of the installed system. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from pxeapp.answers import block_yaml, releases
from pxeapp.answers import site as sites
from pxeapp.answers import storage as storages
from pxeapp.answers.console import consoles, installed, ours
from pxeapp.answers.network import netplan
from pxeapp.answers.releases import UBUNTU_COMPONENTS, Subiquity
from pxeapp.answers.roles import work
from pxeapp.answers.spec import AnswerSpec, Card
from pxeapp.answers.storage import curtin
from pxeapp.answers.storage.finding import finding
from pxeapp.machines import mac as macs
from pxeapp.templates import TemplateError, Templates

CONSOLE = "console=tty0 console=ttyS0,115200"
SCRIPT = "/run/pxeapp-installer.sh"  # in the live session's memory; its file systems are the ISO's
# Stands for the system disk until the early-commands have found it. No kernel calls a disk so.
DISK = curtin.SYSTEM_DISK
FETCH = "wget -q --no-proxy --tries=20 --waitretry=5 --timeout=10"


def user_data(spec: AnswerSpec, templates: Templates) -> str:
    """The seed's `user-data`: cloud-init knows it by its first line."""
    said = _merged(document(spec), _sites_own(spec, templates))
    return "#cloud-config\n" + block_yaml.dump({"autoinstall": said})


def meta_data(spec: AnswerSpec, _templates: Templates) -> str:
    """The seed's `meta-data`, of the live session: the installed system has its own."""
    return block_yaml.dump({"instance-id": f"pxeapp-{spec.hostname}", "local-hostname": spec.hostname})


def vendor_data(_spec: AnswerSpec, _templates: Templates) -> str:
    """The seed's `vendor-data`: nothing. Where it is missing, cloud-init asks ten times before it goes on."""
    return "#cloud-config\n{}\n"


def network_config(spec: AnswerSpec, _templates: Templates) -> str:
    """The seed's `network-config`, which later releases ask for: the card that the live session came by, as it is.

    Of all sources cloud-init prefers what the initramfs has by `ip=`; where it reads this instead, the session gets the
    same. Bonds and VLANs are brought up by the installer, from its document.
    """
    card = _session_card(spec)
    entry = {"match": {"macaddress": card.mac}, **_addresses(card, _dialect(spec), first=True)}
    return block_yaml.dump({"version": 2, "ethernets": {"card0": entry}})


def script(spec: AnswerSpec, templates: Templates) -> str:
    """The script that the commands call: it reports, finds the disk, and finishes the installed system."""
    spec = sites.filled(spec, templates)
    return templates.render(
        "preseeds/autoinstall/installer.sh",
        spec=spec,
        work=work.of(spec, templates),
        dialect=_dialect(spec),
        placeholder=DISK,
        substitutions=tuple(curtin.commands(spec.storage)),
        **finding(spec),
    )


def kernel_args(spec: AnswerSpec) -> str:
    """The live server's command line. What is behind `---` stays in the installed system.

    `url=` is casper's: it loads the whole ISO into memory. cloud-init would take the same word for a configuration of
    its own, which `cloud-config-url` prevents.
    """
    words = [
        _address(spec),
        f"BOOTIF={macs.dashed(spec.boot.mac)}",
        f"url={spec.release.install_url}",
        "autoinstall",  # without it the installer asks whether it may write to the disk
        f"ds={_dialect(spec).seed};s={spec.answer_url}/",
        "cloud-config-url=/dev/null",
        *spec.reach.words(),
        *spec.site.installer_args(),
        consoles(spec.release.kernel_args, ours(spec.site, CONSOLE)),
        "---",
        installed(spec.site, CONSOLE, _dialect(spec)),
    ]
    return " ".join(words)


def document(spec: AnswerSpec) -> dict[str, Any]:
    """The autoinstall document as values.

    The role's packages are not in it: _target.sh installs them. The installer would add what they recommend, on a
    compute node a gigabyte, which no other installer does, and takes a repository's key as text only. Told to leave out
    what is recommended, it would leave out the kernel's as well, and with that what makes the initramfs.
    """
    dialect = _dialect(spec)
    proxy = spec.reach.via.get(spec.release.archive, "")
    return {
        "version": 1,
        "refresh-installer": {"update": False},
        "reporting": {"pxeapp": {"type": "webhook", "endpoint": f"{spec.callback_url}/events", "level": "INFO"}},
        "early-commands": [f"{FETCH} -O {SCRIPT} {spec.answer_url}/script && sh {SCRIPT} early"],
        "locale": spec.locale,
        "keyboard": {"layout": spec.keyboard},
        **({"source": {"id": spec.release.source or "ubuntu-server"}} if dialect.sources else {}),
        "network": network(spec, dialect),
        **({"proxy": proxy} if proxy else {}),
        "apt": _apt(spec, dialect),
        "storage": _storage(spec, dialect),
        "ssh": {"install-server": True, "allow-pw": False, "authorized-keys": list(spec.ssh_keys)},
        "packages": _for_other_disks(spec),
        "updates": "security",
        "user-data": _first_boot(spec),
        "late-commands": [f"sh {SCRIPT} finish"],
        "error-commands": [f"sh {SCRIPT} failed"],
        "shutdown": "reboot",
    }


def _for_other_disks(spec: AnswerSpec) -> list[str]:
    """What prepares the disks beside the system's, which is done before the role's packages come.

    What the system's own disks need curtin adds by itself.
    """
    if not (spec.storage.groups or spec.storage.formatted):
        return []
    return [name for name in storages.packages(spec.storage, "ubuntu") if name != "mdadm"]


def network(spec: AnswerSpec, dialect: Subiquity) -> dict[str, Any]:
    """The network as netplan's version 2, of the live session and of the installed system; cards by their MAC."""
    if spec.network is not None:
        return netplan.mapping(spec.network)
    ethernets: dict[str, Any] = {}
    vlans: dict[str, Any] = {}
    for number, card in enumerate((spec.boot, *spec.cards)):
        name = f"card{number}"
        entry: dict[str, Any] = {"match": {"macaddress": card.mac}}
        ethernets[name] = entry
        if number:
            entry["optional"] = True  # the first boot waits for the card that it was installed by, and no other
        if card.vlan is not None:
            tagged = {"id": card.vlan, "link": name, "optional": True}
            vlans[f"{name}v{card.vlan}"] = {**tagged, **_addresses(card, dialect, first=False)}
        else:
            entry.update(_addresses(card, dialect, first=number == 0))
    return {"version": 2, "ethernets": ethernets, **({"vlans": vlans} if vlans else {})}


def _addresses(card: Card, dialect: Subiquity, *, first: bool) -> dict[str, Any]:
    if card.address is None:
        # The default route stays the first card's.
        return {"dhcp4": True, **({} if first else {"dhcp4-overrides": {"use-routes": False}})}
    said: dict[str, Any] = {"dhcp4": False, "addresses": [card.address]}
    if card.gateway:
        said["routes"] = [{"to": dialect.default_route, "via": card.gateway}]
    if card.dns:
        said["nameservers"] = {"addresses": list(card.dns)}
    return said


def _address(spec: AnswerSpec) -> str:
    """The address of the initramfs, which has to load the ISO: the card is BOOTIF's unless its name is known."""
    card = _session_card(spec)
    if card.address is None:
        return "ip=dhcp"
    place = f"{card.ip}::{card.gateway or ''}:{card.netmask}:{spec.hostname}:{card.name or ''}:none"
    return ":".join([f"ip={place}", *[each for each in card.dns if ":" not in each][:2]])


def _session_card(spec: AnswerSpec) -> Card:
    """The card that it netboots from, with the address that is untagged at its port: the bond's, if it is in one."""
    if spec.network is None:
        return spec.boot
    speaker = spec.network.speaker
    address = next(iter(speaker.static4), None)
    return Card(
        spec.network.boot_card.mac, address=address, gateway=speaker.gateway4 if address else None, dns=spec.network.dns
    )


def _apt(spec: AnswerSpec, dialect: Subiquity) -> dict[str, Any]:
    """Packages come from the one archive, security updates too: machines talk to nobody but the appliance."""
    archive = [{"arches": ["default"], "uri": spec.release.archive}]
    said: dict[str, Any] = {"geoip": False, "preserve_sources_list": False, "security": archive}
    if spec.release.own_key_text:  # an entry without a source of its own: curtin has apt believe the key
        said["sources"] = {"pxeapp": {"key": spec.release.own_key_text}}
    if spec.release.components:  # a mirror of ours: the suites that belong together are one there, in these parts
        said["disable_suites"] = ["updates", "security", "backports"]
        said["disable_components"] = [each for each in UBUNTU_COMPONENTS if each not in spec.release.components]
    if dialect.mirror_selection:
        # An installation without its packages would only fail later, and less clearly.
        return {**said, "mirror-selection": {"primary": [{"uri": spec.release.archive}]}, "fallback": "abort"}
    return {**said, "primary": archive}


def _storage(spec: AnswerSpec, dialect: Subiquity) -> dict[str, Any]:
    """One disk, by the name that the early-commands put in; no other disk is written to."""
    # Otherwise curtin puts what the machine came by, the network, before the entry of the disk.
    grub = {"grub": {"reorder_uefi": False}} if spec.site.boot_order == "disk-first" else {}
    if not spec.storage.simple:
        # Without a partition for it the installer would make a swap file.
        swap = {} if any(volume.swap for volume in spec.storage.volumes) else {"swap": {"size": 0}}
        return {**grub, **swap, "config": curtin.config(spec.storage, dialect.filesystems[0])}
    layout: dict[str, Any] = {"name": "lvm" if spec.layout == "lvm" else "direct", "match": {"path": DISK}}
    if spec.layout == "lvm" and dialect.sizing_policy:
        layout["sizing-policy"] = "all"
    return {**grub, "layout": layout}


def _first_boot(spec: AnswerSpec) -> dict[str, Any]:
    """cloud-init's user-data of the installed system: a name, a clock, root by key, and no other user.

    The time zone stands here because the installer's own `timezone` refuses, and ends at, a zone such as Etc/UTC.
    """
    return {
        "hostname": spec.hostname,
        **({"fqdn": f"{spec.hostname}.{spec.domain}"} if spec.domain else {}),
        "preserve_hostname": False,
        "timezone": spec.timezone,
        "users": [],
        "disable_root": False,
        # Kept ones are put back by our script; without them a new system has none, and cloud-init makes them.
        **({"ssh_deletekeys": False} if spec.site.keep_ssh_host_keys else {}),
    }


def _sites_own(spec: AnswerSpec, templates: Templates) -> Mapping[str, Any]:
    """What the site's template for this role says in YAML; ours says nothing."""
    name = templates.first(f"preseeds/autoinstall/{spec.role}.yaml", "preseeds/autoinstall/base.yaml")
    text = templates.render(name, spec=spec, dialect=_dialect(spec))
    if not text.strip():
        return {}
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1} of what it renders to" if mark else ""
        raise TemplateError(f"{name}{where}: {getattr(error, 'problem', None) or 'it is not YAML'}.") from error
    if not isinstance(said, Mapping):
        raise TemplateError(f"{name} renders to {type(said).__name__}, not to keys of the autoinstall document.")
    return said


def _merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(ours)
    for key, value in theirs.items():
        before = merged.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return merged


def _dialect(spec: AnswerSpec) -> Subiquity:
    return releases.subiquity(spec.release.family, spec.release.version)
