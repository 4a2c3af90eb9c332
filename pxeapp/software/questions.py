"""What a release's debian-installer can be asked and what its shell has, read from its own initrd and udebs.

It lies beside the release's files as `questions.json`, is never served, and is what preseeds are checked against. The
initrd alone makes a part of it; the components that the installer fetches later bring the rest.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pxeapp.config import Settings
from pxeapp.software.models import Release
from pxeapp.software.udebs.index import Udeb

FILE = "questions.json"
FORMAT = 1
LARGEST_UDEB = 300_000  # bytes; those that ask questions are far smaller
LARGEST_SCRIPT = 200_000
TIMEOUT_S = 120.0
AT_ONCE = 8
ASKED = ("boolean", "select", "multiselect", "string", "password", "note", "error")  # the other types are only shown
# Drivers, libraries, fonts: nothing in them asks anything.
SILENT = re.compile(
    r"-modules|kernel-image|firmware|^fonts|^lib|^xserver|^espeak|-keyring|^console-keymaps|-ekmap|-charmaps|^alsa|"
    r"^gtk|^nic-|^brltty|^matchbox|^cdebconf-gtk"
)
BINARIES = re.compile(r"(?:\./)?(?:usr/)?s?bin/([^/]+)")
# `db_register partman-lvm/confirm partman-lvm/confirm_nooverwrite`: a second question with the first one's template.
_REGISTERED = re.compile(rb"db_register\s+([\w./+-]+/[\w./+-]+)\s+([\w./+-]+/[\w./+-]+)")
_SPLIT = re.compile(r"(?<!\\),\s*")


@dataclass(slots=True)
class Catalogue:
    """Questions by name, each with its type and, where they are fixed, its choices; and the installer's commands."""

    questions: dict[str, list[Any]] = field(default_factory=dict)
    registered: dict[str, str] = field(default_factory=dict)
    commands: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    components: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)  # components whose files the mirror does not have
    whole: bool = False  # the components that are fetched are in it, not only the initrd's

    def as_json(self) -> str:
        """As it is kept."""
        for name, template in self.registered.items():
            if template in self.questions:
                self.questions.setdefault(name, self.questions[template])
        said = {
            "format": FORMAT,
            "whole": self.whole,
            "components": sorted(self.components),
            "lacking": sorted(self.lacking),
            "aliases": self.aliases,
            "commands": sorted(self.commands),
            "questions": dict(sorted(self.questions.items())),
        }
        return json.dumps(said, ensure_ascii=False, indent=0)

    @property
    def sentence(self) -> str:
        """What there is, for whoever watches it being made."""
        missing = f"; the mirror lacks {len(self.lacking)} components" if self.lacking else ""
        return f"{len(self.questions)} questions of {len(self.components)} components{missing}"


def place(settings: Settings, release: Release) -> Path | None:
    """Where the catalogue of a release lies or would lie; None for one without files."""
    revision, _, initrd = release.initrd.partition("/")
    return settings.media_dir / release.name / revision / FILE if initrd else None


def write(path: Path, catalogue: Catalogue) -> None:
    """Keep it, at one stroke."""
    partial = path.with_name(f".{FILE}.part")
    partial.write_text(catalogue.as_json())
    partial.replace(path)


def is_whole(path: Path) -> bool:
    """Whether there is a catalogue that has more than what the initrd brings."""
    try:
        return bool(json.loads(path.read_text())["whole"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def make_from_initrd(settings: Settings, release: Release) -> str:
    """For a release added otherwise: from the initrd that is there. Says what there is, or why there is none.

    One that is no debian-installer, or is packed in a way that bsdtar cannot read, has no catalogue: a preseed is then
    checked against our own table.
    """
    path = place(settings, release)
    if path is None or is_whole(path):
        return ""
    try:
        found = of_initrd(settings.media_dir / release.name / release.initrd)
    except (OSError, subprocess.SubprocessError) as error:
        return f"The initrd cannot be read ({type(error).__name__}), so its questions are not known."
    if not found.questions:
        return "The initrd asks no questions of debian-installer's."
    write(path, found)
    return f"Known: {found.sentence}"


def of_initrd(path: Path) -> Catalogue:
    """What the initrd itself brings: the components in it, its aliases, its commands. Nothing is unpacked to disk."""
    listed = _bsdtar("-tf", path).decode(errors="replace").splitlines()
    found = Catalogue()
    found.commands = {match[1] for name in listed if (match := BINARIES.fullmatch(name))}
    about = [name for name in listed if "/var/lib/dpkg/info/" in f"/{name}"]
    templates = [name for name in about if name.endswith(".templates")]
    database = [name for name in listed if name.endswith(("cdebconf/templates.dat", "debconf/templates.dat"))]
    found.components = [PurePosixPath(name).stem for name in templates]
    if templates or database:
        _templates(found, _bsdtar("-xOf", path, *templates, *database).decode(errors="replace"))
    scripts = [name for name in about if name.endswith((".postinst", ".isinstallable"))]
    if scripts:
        _registered(found, _bsdtar("-xOf", path, *scripts))
    for name in listed:
        if name.endswith("etc/preseed_aliases"):
            for line in _bsdtar("-xOf", path, name).decode(errors="replace").splitlines():
                alias, _, question = line.strip().partition("\t" if "\t" in line else " ")
                found.aliases[alias] = question.strip().rpartition(":")[2]
    return found


def add_components(
    found: Catalogue, index: Iterable[Udeb], fetch: Callable[[Udeb], bytes | None], have: Iterable[str]
) -> None:
    """Add what the components of an index bring; `fetch` gives a component's verified bytes, or None."""
    known = {*have}
    wanted = [
        udeb for udeb in index if udeb.name not in known and udeb.size < LARGEST_UDEB and not SILENT.search(udeb.name)
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for udeb, content in zip(wanted, pool.map(fetch, wanted), strict=True):
            if content is None:
                found.lacking.append(udeb.name)
            else:
                _component(found, udeb.name, content)
    found.whole = True


def _component(found: Catalogue, name: str, content: bytes) -> None:
    found.components.append(name)
    with tempfile.NamedTemporaryFile(suffix=".udeb") as file:
        file.write(content)
        file.flush()
        templates = _dpkg("--info", file.name, "templates")
        _templates(found, templates.decode(errors="replace"))
        _registered(found, _dpkg("--info", file.name, "postinst"))
        tree = _dpkg("--fsys-tarfile", file.name)
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        file.write(tree)
        file.flush()
        archive = Path(file.name)
        names = _bsdtar("-tf", archive).decode(errors="replace").splitlines()
        found.commands |= {match[1] for each in names if (match := BINARIES.fullmatch(each))}
        scripts = [each for each in names if "lib/partman/" in each and not each.endswith("/")]
        if scripts:
            _registered(found, _bsdtar("-xOf", archive, *scripts))


def _templates(found: Catalogue, text: str) -> None:
    """A templates file of debconf's, or several one behind the other."""
    name, kind, choices, plain = "", "", None, None
    for line in [*text.splitlines(), "Template: ", ""]:
        key, _, value = line.partition(": ")
        if key in ("Template", "Name"):
            if name and kind in ASKED:
                found.questions[name] = [kind, *_choices(choices if choices is not None else plain)]
            name, kind, choices, plain = value.strip(), "", None, None
        elif key == "Type":
            kind = value.strip()
        elif key == "Choices-C":
            choices = value.strip()
        elif key == "Choices":
            plain = value.strip()


def _choices(said: str | None) -> Sequence[list[str]]:
    """Fixed choices as a list in a list; nothing where the installer fills them in when it asks."""
    if not said or "${" in said:
        return ()
    return ([each.replace("\\,", ",").strip() for each in _SPLIT.split(said) if each.strip()],)


def _registered(found: Catalogue, script: bytes) -> None:
    for template, question in _REGISTERED.findall(script[: 50 * LARGEST_SCRIPT]):
        found.registered[question.decode()] = template.decode()


def _bsdtar(option: str, archive: Path, *names: str) -> bytes:
    command = ["bsdtar", option, str(archive), *names]
    return subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=True).stdout


def _dpkg(option: str, *words: str) -> bytes:
    """What dpkg-deb prints; nothing where the package has no such file."""
    command = ["dpkg-deb", option, *words]
    return subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False).stdout
