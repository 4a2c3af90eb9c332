"""Which variable a line of an answer file is made of, where it is built in code and no template has it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from pxeapp.answers import releases
from pxeapp.answers.network import kickstart as networks
from pxeapp.answers.spec import AnswerSpec
from pxeapp.answers.storage import kickstart as disks

LAYOUT, NETWORK = "vars.layout", "vars.network"
# The keys of an autoinstall document, which is built in code but for what the site's own template says.
AUTOINSTALL = {
    "storage": LAYOUT,
    "network": NETWORK,
    "locale": "vars.locale",
    "keyboard": "vars.keyboard",
    "ssh": "vars.ssh_authorized_keys",
    "packages": LAYOUT,
}
KEY = re.compile(r"  ([a-z-]+):")
# Where the template that a kind of file begins with is; one that others include begins with an underscore.
FOLDERS = {
    "kickstart": "kickstarts/",
    "preseed": "preseeds/",
    "script": "preseeds/",
    "user-data": "preseeds/autoinstall/",
}
BUILT = ("user-data",)  # of which a template has no line but those that it was merged from
DATA = "/role.yaml"  # read for its values; no file has its lines


def templates(kind: str, names: Sequence[str]) -> list[str]:
    """Of the templates that were read for a file, those whose lines it may have."""
    folder = FOLDERS[kind] if kind in BUILT else ""
    return [name for name in names if name.startswith(folder) and not name.endswith(DATA)]


def first(kind: str, names: Sequence[str], role: str) -> str:
    """The template that the file begins with, the role's own before the one of all roles."""
    whole = [PurePosixPath(name) for name in names if name.startswith(FOLDERS.get(kind, ""))]
    whole = sorted((path for path in whole if path.name[0] != "_"), key=lambda path: path.stem != role)
    return str(whole[0]) if whole else ""


def variable(kind: str, lines: Sequence[str], number: int, spec: AnswerSpec) -> str:
    """The variable that the line of this number, counted from 1, is made of; empty where that is not known."""
    find = _FOUND.get(kind)
    return find(lines, number, spec) if find is not None and 0 < number <= len(lines) else ""


def _of_kickstart(lines: Sequence[str], number: int, spec: AnswerSpec) -> str:
    """The plan for the disks, and the network of the installer: each is lines of a template's one expression."""
    dialect = releases.enterprise(spec.release.family, spec.release.version)
    plan = disks.plan(spec.storage, dialect.filesystems[0])
    if lines[number - 1] in {*plan.lines, *plan.bios, *plan.uefi}:
        return LAYOUT
    network = networks.line(spec.network, over6=spec.over6) if spec.network else ""
    return NETWORK if network and lines[number - 1] in network.split("\n") else ""


def _of_autoinstall(lines: Sequence[str], number: int, spec: AnswerSpec) -> str:
    """The nearest key of the document at or above the line."""
    keys = (found[1] for line in reversed(lines[:number]) if (found := KEY.match(line)))
    said = AUTOINSTALL.get(next(keys, ""), "")
    return "" if said == NETWORK and spec.network is None else said


_FOUND: dict[str, Callable[[Sequence[str], int, AnswerSpec], str]] = {
    "kickstart": _of_kickstart,
    "user-data": _of_autoinstall,
}
