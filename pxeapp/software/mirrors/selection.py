"""What a mirror is of, as it stands in its repository's row: from where, which part, how it is verified, how often.

Roles are kept as roles: a sync asks anew what they come to (who knows that stands above this package, and hands it in),
so a mirror follows an edit of a role. `names` of the row's state are what they came to the last time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from pxeapp.errors import FieldProblem, Invalid, PxeError
from pxeapp.software.mirrors import deb_needs, definitions, rpm_needs
from pxeapp.software.mirrors.needs import Need
from pxeapp.software.packages import Kind
from pxeapp.software.repositories import openpgp
from pxeapp.software.repositories.apt import WORD

MAX_AT_ONCE = 16
MAX_HOURS = 24 * 365
MAX_NAMES = 10_000
MAX_KEY = 256 * 1024
SUITE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.+~_-]*(/[A-Za-z0-9][A-Za-z0-9.+~_-]*)*"
)  # noble-updates/epoxy, buster/updates
KEYRING = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_LINE = re.compile(r"[^\x00-\x1f\x7f]{1,300}")
_GROUP = re.compile(r"@[A-Za-z0-9^][A-Za-z0-9 ._-]{0,100}")


@dataclass(frozen=True, slots=True)
class Source:
    """One of the places that packages come from: a configured upstream's name, or a URL, and what of it."""

    upstream: str
    path: str = ""  # below the upstream; an rpm repository's folder is what holds repodata/
    suite: str = ""  # deb
    components: tuple[str, ...] = ()  # deb

    def __str__(self) -> str:
        return " ".join(part for part in (self.upstream, self.path, self.suite, *self.components) if part)


@dataclass(frozen=True, slots=True)
class Role:
    """A role, with what is said of its variables where that is not their default."""

    role: str
    vars: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selection:
    """All that an operator says of a mirror."""

    kind: Kind
    sources: tuple[Source, ...]
    architectures: tuple[str, ...]
    family: str = ""  # debian, ubuntu or el: whose names definitions and roles give
    release: str = ""  # for whose machines it is; roles are asked of it
    everything: bool = False
    packages: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ()
    recommends: bool = False
    base: bool = False  # what every system has
    installer: bool = False  # what an installer itself needs: a kernel, boot loaders, and the installer's components
    debug: bool = False
    source: bool = False
    versions: Literal["newest", "all"] = "newest"
    keyring: str = ""  # a file's name on this machine, without its ending
    key: str = ""  # armoured, an operator's
    accept_unsigned: bool = False
    accept_expired: bool = False
    at_once: int = 4
    every_hours: int = 0  # 0: only when somebody says so

    def as_json(self) -> dict[str, Any]:
        """As the row keeps it."""
        said = {name: value for name, value in asdict(self).items() if name not in ("kind", "architectures")}
        plain: dict[str, Any] = _plain(said)
        return plain


def read(kind: Kind, architectures: Sequence[str], said: Mapping[str, Any]) -> Selection:
    """A selection from a row, which was checked when it was saved."""
    known = {each.name for each in fields(Selection)}
    values = {name: value for name, value in said.items() if name in known}
    values |= {name: tuple(values.get(name, ())) for name in ("packages", "definitions")}
    values["sources"] = tuple(
        Source(each["upstream"], each.get("path", ""), each.get("suite", ""), tuple(each.get("components", ())))
        for each in said.get("sources", ())
    )
    values["roles"] = tuple(Role(each["role"], each.get("vars", {})) for each in said.get("roles", ()))
    return Selection(**{**values, "kind": kind, "architectures": tuple(architectures)})


def kind_of(said: object) -> Kind:
    """deb or rpm; raises Invalid."""
    if said not in ("deb", "rpm"):
        problem = FieldProblem("kind", f"{str(said)[:20]!r} is neither deb nor rpm.", "Write deb or rpm.")
        raise Invalid("This mirror cannot be saved.", problems=[problem])
    return "deb" if said == "deb" else "rpm"


def wanted(selection: Selection, names: Mapping[str, Sequence[str]]) -> dict[Need, str]:
    """What the closure begins with and who wants it; `names` are what its roles come to, by role."""
    found: dict[Need, str] = {}
    for package in selection.packages:
        found.update(dict.fromkeys(needs(selection.kind, package), "you"))
    for name in selection.definitions:
        for package in definitions.named(name).packages[selection.family]:
            found.update(dict.fromkeys(needs(selection.kind, package), f"definition {name}"))
    for role, packages in names.items():
        for package in packages:
            found.update(dict.fromkeys(needs(selection.kind, package), f"role {role}"))
    return found


def needs(kind: Kind, text: str) -> tuple[Need, ...]:
    """A wanted package as an operator writes it: `nova-compute`, `nova-compute (>= 31)`, `a | b`; rpm: `(a or b)`."""
    return deb_needs.read(text) if kind == "deb" else rpm_needs.read(text)


def problems(selection: Selection) -> list[FieldProblem]:
    """Everything that is wrong with it, by field."""
    found = [*_of_sources(selection), *_of_choice(selection)]
    found += [
        FieldProblem("architectures", f"{word[:63]!r} is none.", "Write amd64, arm64; rpm: x86_64.")
        for word in selection.architectures
        if not WORD.fullmatch(word)
    ]
    if not selection.architectures:
        found.append(FieldProblem("architectures", "is empty.", "Name one: amd64; rpm: x86_64."))
    if not 1 <= selection.at_once <= MAX_AT_ONCE:
        found.append(FieldProblem("at_once", f"must be 1 to {MAX_AT_ONCE} connections.", "4 is polite."))
    if not 0 <= selection.every_hours <= MAX_HOURS:
        found.append(FieldProblem("every_hours", f"must be 0 (never) to {MAX_HOURS}.", "24 is once a day."))
    if selection.keyring and not KEYRING.fullmatch(selection.keyring):
        fix = "Write the name of one that lies on the appliance, such as debian-archive-keyring."
        found.append(FieldProblem("keyring", "is no keyring's name.", fix))
    if selection.key:
        try:
            if len(selection.key) > MAX_KEY:
                raise Invalid(f"is longer than {MAX_KEY // 1024} KiB.", hint="Give the one key: gpg --export NAME")
            openpgp.binary_keyring(selection.key.encode())
        except PxeError as error:
            found.append(FieldProblem("key", error.sentence, error.hint))
    if selection.source and selection.kind == "deb":
        found.append(FieldProblem("source", "is for rpm repositories.", "Leave it out."))
    if selection.versions not in ("newest", "all"):
        found.append(FieldProblem("versions", "is newest or all.", "newest is what machines install."))
    return found


def check(selection: Selection) -> None:
    """Raises Invalid with everything that is wrong."""
    if found := problems(selection):
        raise Invalid("This mirror cannot be saved.", problems=found)


def _of_sources(selection: Selection) -> list[FieldProblem]:
    found = []
    if not selection.sources:
        found.append(FieldProblem("sources", "is empty.", "Name an upstream, or a release that is known."))
    for number, source in enumerate(selection.sources):
        where = f"sources.{number}"
        if not _LINE.fullmatch(source.upstream):
            found.append(FieldProblem(f"{where}.upstream", "is empty.", "Name a configured upstream, or give a URL."))
        if selection.kind == "rpm":
            if source.suite or source.components:
                found.append(FieldProblem(f"{where}.suite", "is for deb repositories.", "Say path instead."))
            continue
        if not SUITE.fullmatch(source.suite):
            found.append(FieldProblem(f"{where}.suite", f"{source.suite[:63]!r} is no suite.", "Write one: trixie."))
        if not source.components:
            found.append(FieldProblem(f"{where}.components", "is empty.", "Write main."))
        found += [
            FieldProblem(f"{where}.components", f"{word[:63]!r} is no component.", "Write main.")
            for word in source.components
            if not SUITE.fullmatch(word)
        ]
    return found


def _of_choice(selection: Selection) -> list[FieldProblem]:
    found = []
    names = (*selection.packages, *(each.role for each in selection.roles), *selection.definitions)
    if not (names or selection.everything or selection.base or selection.installer):
        found.append(FieldProblem("packages", "is empty.", "Name packages, a role, a definition, or everything."))
    if len(names) > MAX_NAMES:
        found.append(FieldProblem("packages", f"has more than {MAX_NAMES} names.", "Mirror everything instead."))
    for text in selection.packages:
        read_ = needs(selection.kind, text) if _LINE.fullmatch(text) else ()
        if not read_ or any(" " in atom.name for need in read_ for atom in need.any_of):
            if selection.kind == "rpm" and _GROUP.fullmatch(text):
                continue
            fix = "Write nova-compute, nova-compute (>= 31) or a | b; rpm: a group as @core."
            found.append(FieldProblem("packages", f"{text[:100]!r} is no package.", fix))
    for name in selection.definitions:
        try:
            definitions.named(name)
        except PxeError as error:
            found.append(FieldProblem("definitions", error.sentence, error.hint))
    if (selection.definitions or selection.roles) and selection.family not in definitions.FAMILIES:
        fix = "Name a release, or a family: debian, ubuntu or el."
        found.append(FieldProblem("family", "is not said, and names differ between them.", fix))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
