"""NetBox's devices as machines of ours: pure, from its JSON to the fields of an import.

Where it netboots from is the card that says so (a tag, `--boot-tag`), else the first card that is enabled, is no
management card and has a MAC. The BMC's address is the device's out-of-band IP, else that of its management card.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pxeapp.machines import mac as macs

NAME = re.compile(r"[^a-z0-9-]+")
LONGEST_NAME = 63
Thing = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choices:
    """What NetBox does not know, or calls otherwise."""

    boot_tag: str = "pxe"
    roles: Mapping[str, str] = field(default_factory=dict)  # NetBox's role -> ours
    release: str = ""
    bmc_username: str = ""
    bmc_password: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A device that is no machine, and why."""

    device: str
    why: str


def machines(
    devices: Iterable[Thing], interfaces: Iterable[Thing], addresses: Iterable[Thing], choices: Choices
) -> tuple[list[dict[str, Any]], list[Skipped]]:
    """Records for an import, and the devices that cannot be one."""
    cards: dict[int, list[Thing]] = {}
    for card in interfaces:
        cards.setdefault(_id(card.get("device")), []).append(card)
    on_card: dict[int, list[str]] = {}
    for address in addresses:
        if address.get("assigned_object_type") == "dcim.interface" and address.get("assigned_object_id"):
            on_card.setdefault(int(address["assigned_object_id"]), []).append(_ip(address.get("address")))
    found, skipped = [], []
    for device in devices:
        label = str(device.get("name") or f"device {device.get('id')}")
        made = _machine(device, cards.get(int(device.get("id") or 0), []), on_card, choices)
        if isinstance(made, str):
            skipped.append(Skipped(label, made))
        else:
            found.append(made)
    return found, skipped


def name_of(said: str) -> str:
    """A host name out of NetBox's: lower case, without its domain."""
    return NAME.sub("-", said.lower().partition(".")[0]).strip("-")[:LONGEST_NAME].strip("-")


def _machine(
    device: Thing, cards: Sequence[Thing], on_card: Mapping[int, list[str]], choices: Choices
) -> dict[str, Any] | str:
    name = name_of(str(device.get("name") or ""))
    if not name:
        return "it has no name"
    usable = [card for card in cards if _mac(card) and not card.get("mgmt_only") and card.get("enabled") is not False]
    if not usable:
        return "no card of it has a MAC address"
    boot = next((card for card in usable if choices.boot_tag in _tags(card)), usable[0])
    record: dict[str, Any] = {
        "name": name,
        "mac": _mac(boot),
        "interfaces": [_interface(card, on_card) for card in usable],
        "location": _location(device),
        "labels": {"netbox": str(device.get("id")), **{f"tag/{tag}": "yes" for tag in _tags(device)}},
    }
    if device.get("serial"):
        record["serial"] = str(device["serial"])
    theirs = _slug(device.get("role") or device.get("device_role"))
    if ours := choices.roles.get(theirs):
        record["role"] = ours
    if choices.release:
        record["release"] = choices.release
    if bmc := _bmc(device, cards, on_card, choices):
        record["bmc"] = bmc
    return record


def _interface(card: Thing, on_card: Mapping[int, list[str]]) -> dict[str, Any]:
    found: dict[str, Any] = {"mac": _mac(card)}
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,14}", str(card.get("name") or "")):
        found["name"] = card["name"]
    if given := on_card.get(int(card.get("id") or 0)):
        found["address"] = given[0]
    return found


def _location(device: Thing) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for ours, said in (("site", device.get("site")), ("room", device.get("location")), ("rack", device.get("rack"))):
        if isinstance(said, Mapping) and said.get("name"):
            found[ours] = str(said["name"])
    if device.get("position") is not None:
        unit = float(device["position"])
        found["unit"] = int(unit) if unit.is_integer() else str(device["position"])
    return found


def _bmc(
    device: Thing, cards: Sequence[Thing], on_card: Mapping[int, list[str]], choices: Choices
) -> dict[str, Any] | None:
    oob = device.get("oob_ip")
    address = _ip(oob.get("address")) if isinstance(oob, Mapping) else ""
    if not address:
        managed = (card for card in cards if card.get("mgmt_only"))
        address = next((each for card in managed for each in on_card.get(int(card.get("id") or 0), [])), "")
    if not address:
        return None
    found = {"type": "ipmi", "address": address}
    if choices.bmc_username:
        found["username"] = choices.bmc_username
    if choices.bmc_password:
        found["password"] = choices.bmc_password
    return found


def _mac(card: Thing) -> str:
    """Since 4.2 a card has MAC addresses as objects; `mac_address` is the primary one's text in every version."""
    said = card.get("mac_address")
    if not said and isinstance(card.get("primary_mac_address"), Mapping):
        said = card["primary_mac_address"].get("mac_address")
    return macs.parse_or_none(str(said)) or "" if said else ""


def _tags(thing: Thing) -> list[str]:
    return [_slug(tag) for tag in thing.get("tags") or [] if _slug(tag)]


def _slug(said: Any) -> str:
    return str(said.get("slug") or said.get("name") or "") if isinstance(said, Mapping) else ""


def _id(said: Any) -> int:
    return int(said.get("id") or 0) if isinstance(said, Mapping) else int(said or 0)


def _ip(said: Any) -> str:
    return str(said or "").partition("/")[0]
