"""Autoinstall seeds: the keys that the installer knows, disks that nobody else's data is on, a network that is whole.

subiquity checks a document too, at the machine, when the disk is its next step: its schema lets unknown keys and any
storage section pass. What it says there in a traceback is said here with line and remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from netaddr import AddrFormatError, IPAddress, IPNetwork

from pxeapp import systems
from pxeapp.answers.checks import autoinstall_keys, curtin, shells
from pxeapp.answers.checks.known import Known
from pxeapp.answers.checks.shapes import Wrong
from pxeapp.answers.checks.yaml_lines import Document, NotYaml, Path, read
from pxeapp.answers.spec import AnswerSpec
from pxeapp.faults import Fault

USER_DATA, META_DATA, VENDOR_DATA, NETWORK_CONFIG = "user-data", "meta-data", "vendor-data", "network-config"
FIRST_LINE = "#cloud-config"
COMMANDS = ("early-commands", "late-commands", "error-commands")
# The zones that systemd lists come from zone1970.tab, and that has none of these.
ODD_ZONES = re.compile(r"(Etc|US|Canada|Brazil|Chile|Mexico|SystemV)/.*|(?!UTC$)[A-Z0-9+-]+|[A-Z][A-Za-z-]+[0-9]*")
DEFAULTS = ("default", "0.0.0.0/0", "::/0")


def check(text: str, spec: AnswerSpec, _known: Known) -> Iterator[Fault]:
    """Every fault of a `user-data` with an autoinstall document."""
    document, faults = _document(USER_DATA, text)
    yield from faults
    if document is None:
        return
    version = systems.major("ubuntu", spec.release.version)
    said = document.value if isinstance(document.value, dict) else {}
    wrongs = list(autoinstall_keys.LIVE_SESSION.wrong(document.value, (), version))
    if "autoinstall" not in said:
        wrongs.append(Wrong((), "There is no key autoinstall: the installer would ask everything.", "Add it."))
    else:
        wrongs += _autoinstall(said["autoinstall"], ("autoinstall",), version)
    for wrong in wrongs:
        yield Fault(USER_DATA, document.line(wrong.path), wrong.problem, wrong.fix)
    yield from _commands(said.get("autoinstall"), document)


def meta_data(text: str, _spec: AnswerSpec, _known: Known) -> Iterator[Fault]:
    """Every fault of a `meta-data`."""
    document, faults = _document(META_DATA, text, first="")
    yield from faults
    if document is not None and not (isinstance(document.value, dict) and document.value.get("instance-id")):
        yield Fault(META_DATA, 1, "There is no instance-id.", "Add: instance-id: NAME")


def vendor_data(text: str, _spec: AnswerSpec, _known: Known) -> Iterator[Fault]:
    """Every fault of a `vendor-data`."""
    document, faults = _document(VENDOR_DATA, text)
    yield from faults
    if document is not None:
        for wrong in autoinstall_keys.LIVE_SESSION.wrong(document.value or {}, (), "26.04"):
            yield Fault(VENDOR_DATA, document.line(wrong.path), wrong.problem, wrong.fix)


def network_config(text: str, spec: AnswerSpec, _known: Known) -> Iterator[Fault]:
    """Every fault of a `network-config`: what would leave the live session without the network that it came by."""
    document, faults = _document(NETWORK_CONFIG, text, first="")
    yield from faults
    if document is not None:
        wrongs = list(autoinstall_keys.NETWORK.wrong(document.value, (), systems.major("ubuntu", spec.release.version)))
        for wrong in wrongs or _network(document.value, (), ""):
            yield Fault(NETWORK_CONFIG, document.line(wrong.path), wrong.problem, wrong.fix)


def _document(kind: str, text: str, first: str = FIRST_LINE) -> tuple[Document | None, list[Fault]]:
    faults = []
    if first and text.partition("\n")[0] != first:
        fix = f"The first line must be {first} and nothing else."
        faults.append(Fault(kind, 1, "cloud-init does not know what this is, and passes over it.", fix))
    try:
        document = read(text)
    except NotYaml as error:
        faults.append(
            Fault(kind, error.line, f"This is no YAML: {error.problem}.", "Mend the line, or quote its value.")
        )
        return None, faults
    faults += [Fault(kind, line, problem, fix) for line, problem, fix in document.odd]
    return document, faults


def _autoinstall(said: Any, path: Path, version: str) -> Iterator[Wrong]:
    wrongs = list(autoinstall_keys.AUTOINSTALL.wrong(said, path, version))
    yield from wrongs
    if not isinstance(said, dict):
        return
    broken = {wrong.path[1] for wrong in wrongs if len(wrong.path) > 1}
    if "identity" not in said and "user-data" not in said:
        yield Wrong(path, "Nobody could sign in: there is neither identity nor user-data.", "Add user-data.")
    if said.get("interactive-sections"):
        fix = "Take it out: nobody sits at the machine."
        yield Wrong((*path, "interactive-sections"), "The installer would ask, and report nothing.", fix)
    for name, rules in (("storage", _storage), ("network", _network), ("apt", _apt), ("timezone", _timezone)):
        if name in said and name not in broken:
            yield from rules(said[name], (*path, name), version)
        elif name == "storage" and name not in said:
            fix = "Add storage with a layout and its match."
            yield Wrong(path, "Without storage the installer takes whichever disk it likes.", fix)


def _storage(said: Any, path: Path, version: str) -> Iterator[Wrong]:
    layout, config = said.get("layout"), said.get("config")
    if (layout is None) == (config is None):
        yield Wrong(path, "It needs either layout or config.", "Leave one of them.")
    if layout is not None:
        yield from _match(layout.get("match"), (*path, "layout", "match"), "The layout")
        if layout["name"] == "direct" and "sizing-policy" in layout:
            fix = "Leave it out: it is lvm's."
            yield Wrong((*path, "layout", "sizing-policy"), "A direct layout has no sizing policy.", fix)
    if config is not None:
        for number, action in enumerate(config):
            if action["type"] == "disk" and action.get("match") is not None:
                yield from _match(action["match"], (*path, "config", number, "match"), f"The disk {action['id']!r}")
        yield from curtin.wrong(config, (*path, "config"), version)


def _match(match: Any, path: Path, what: str) -> Iterator[Wrong]:
    """A match that a data disk could fit as well is none."""
    fix = "Name the disk: path, serial, id_path or model."
    for each in match if isinstance(match, list) else [match]:
        if not each:
            yield Wrong(path, f"{what} names no disk: the installer would take the largest, or any.", fix)
        elif not set(each) - {"ssd", "size"}:
            yield Wrong(path, f"{what} takes any disk of that size or kind, one that holds data too.", fix)
        elif each.get("install-media"):
            yield Wrong((*path, "install-media"), f"{what} takes what the installer runs from.", fix)


def _network(said: Any, path: Path, _version: str) -> Iterator[Wrong]:
    if "network" in said:
        said, path = said["network"], (*path, "network")
    kinds = ("ethernets", "bonds", "vlans", "bridges")
    devices = {name: (kind, device) for kind in kinds for name, device in said.get(kind, {}).items()}
    routes: dict[str, str] = {}
    for name, (kind, device) in devices.items():
        place = (*path, kind, name)
        if kind == "ethernets" and "macaddress" not in device.get("match", {}):
            fix = "Add match with macaddress: kernels change their names."
            yield Wrong(place, f"The card {name!r} is named by its kernel's name only.", fix)
        links = [("link", device["link"])] if "link" in device else []
        links += [("interfaces", each) for each in device.get("interfaces", [])]
        for key, other in links:
            if other not in devices:
                yield Wrong((*place, key), f"There is no device {other!r}.", f"Known: {', '.join(devices)}.")
        yield from _addresses(device, place)
        for number, route in enumerate(device.get("routes", [])):
            if route["to"] in DEFAULTS:
                family = "::/0" if ":" in str(route.get("via", "")) else "0.0.0.0/0"
                if family in routes and "metric" not in route:
                    fix = f"Leave one: {routes[family]!r} has one already."
                    yield Wrong((*place, "routes", number), "There are two default routes.", fix)
                routes[family] = name
    if not devices:
        yield Wrong(path, "It has no devices: the machine would have no network.", "Add ethernets.")


def _addresses(device: Any, path: Path) -> Iterator[Wrong]:
    for number, each in enumerate(device.get("addresses", [])):
        said = next(iter(each), "") if isinstance(each, dict) else each
        if not _is_network(said):
            fix = "Write it as 10.0.0.7/24."
            yield Wrong((*path, "addresses", number), f"{said!r} is no address with a prefix.", fix)
    for number, each in enumerate(device.get("nameservers", {}).get("addresses", [])):
        if not _is_address(each):
            place = (*path, "nameservers", "addresses", number)
            yield Wrong(place, f"{each!r} is no address.", "Write a name server's address, not its name.")
    for number, route in enumerate(device.get("routes", [])):
        if "via" in route and not _is_address(route["via"]):
            yield Wrong((*path, "routes", number, "via"), f"{route['via']!r} is no address.", "Write it as 10.0.0.1.")
        if route["to"] != "default" and not _is_network(route["to"]):
            yield Wrong((*path, "routes", number, "to"), f"{route['to']!r} is no network.", "Write it as 10.0.0.0/8.")


def _apt(said: Any, path: Path, _version: str) -> Iterator[Wrong]:
    if "primary" in said and "mirror-selection" in said:
        fix = "Leave one of them."
        yield Wrong(path, "The installer refuses primary together with mirror-selection.", fix)
    if not said.get("primary") and not said.get("mirror-selection", {}).get("primary"):
        fix = "Add primary or mirror-selection with the appliance's archive."
        yield Wrong(path, "It names no archive: packages would come from the internet.", fix)
    if said.get("geoip", True):
        yield Wrong(path, "The installer would ask a server in the internet where it is.", "Add: geoip: false")
    if "security" not in said:
        fix = "Add security with the appliance's archive."
        yield Wrong(path, "Security updates would come from the internet.", fix)


def _timezone(said: Any, path: Path, _version: str) -> Iterator[Wrong]:
    if said == "geoip" or ODD_ZONES.fullmatch(said):
        fix = "Say it in user-data instead: timezone: ..."
        yield Wrong(path, f"The installer knows no zone {said!r} and ends there.", fix)


def _commands(said: Any, document: Document) -> Iterator[Fault]:
    for name in COMMANDS:
        commands = said.get(name) if isinstance(said, dict) else None
        for number, command in enumerate(commands if isinstance(commands, list) else ()):
            if isinstance(command, str):
                first = document.line(("autoinstall", name, number))
                for fault in shells.check(
                    shells.Script(USER_DATA, "sh", f"{command}\n", what=f"The command in {name}")
                ):
                    yield Fault(USER_DATA, first, fault.problem, fault.fix)


def _is_address(value: Any) -> bool:
    try:
        return bool(IPAddress(value)) or True
    except (AddrFormatError, ValueError, TypeError):
        return False


def _is_network(value: Any) -> bool:
    try:
        return isinstance(value, str) and "/" in value and bool(IPNetwork(value))
    except (AddrFormatError, ValueError):
        return False
