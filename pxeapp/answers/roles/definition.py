"""A role as data: what `role.yaml` may say, read into one value; a wrong one is refused with every fault in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import yaml

from pxeapp.answers.patterns import PACKAGE, SERVICE, package
from pxeapp.answers.variables.schema import Variable, declared
from pxeapp.errors import FieldProblem, Invalid

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it was built
PACKAGE_FAMILIES = ("debian", "ubuntu", "el")
NAME = re.compile(r"_?[a-z0-9][a-z0-9._-]{0,62}")
PATH = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9@._+-]*)+")
TEMPLATE = re.compile(r"_?[a-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
MODE = re.compile(r"0[0-7]{3}")
OWNER = re.compile(r"[a-z_][a-z0-9_-]{0,31}:[a-z_][a-z0-9_-]{0,31}")
SYSCTL = re.compile(r"[a-z0-9_]+([./][A-Za-z0-9_*-]+)+")
SYSCTL_VALUE = re.compile(r"[A-Za-z0-9 .:_-]{1,128}")
MODULE = re.compile(r"[A-Za-z0-9_-]{1,64}")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
PORT = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?/(tcp|udp)")
LISTS: dict[str, tuple[re.Pattern[str], str]] = {
    "modules": (MODULE, "Write kernel modules such as br_netfilter."),
    "ports": (PORT, "Write ports such as 5000/tcp or 5900-5999/tcp."),
}


@dataclass(frozen=True, slots=True)
class File:
    """A file that the role writes: where, from which template, and who may read it."""

    path: str
    template: str
    mode: str = "0644"
    owner: str = "root:root"
    families: tuple[str, ...] = PACKAGE_FAMILIES


@dataclass(frozen=True, slots=True)
class User:
    """A system user that no package brings."""

    name: str
    home: str
    shell: str = "/usr/sbin/nologin"


@dataclass(frozen=True, slots=True)
class Part:
    """What a role brings, as a whole or where a variable says so. By family: `ubuntu` falls back to `debian`."""

    packages: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    services: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    sysctl: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    modules: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()  # opened where the release has a firewall of its own
    users: tuple[User, ...] = ()
    files: tuple[File, ...] = ()

    def joined(self, other: Part) -> Part:
        """Both; the other comes behind, and its file of the same path wins."""
        paths = {each.path for each in other.files}
        return Part(
            _by_family(self.packages, other.packages),
            _by_family(self.services, other.services),
            {**self.sysctl, **other.sysctl},
            _once(self.modules, other.modules),
            _once(self.ports, other.ports),
            _once(self.users, other.users),
            (*(each for each in self.files if each.path not in paths), *other.files),
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """A part that only counts where every variable named has one of these values."""

    when: Mapping[str, tuple[Any, ...]]
    part: Part

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it counts for these values."""
        return all(values.get(name) in wanted for name, wanted in self.when.items())


@dataclass(frozen=True, slots=True)
class Definition:
    """A role with everything that it is based on."""

    name: str
    description: str = ""
    lineage: tuple[str, ...] = ()  # the folders whose checklists run, the most general first
    openstack: bool = False
    data_disks: bool = False  # a machine without a disk for data, and without a layout of its own, cannot have it
    only_with: str = ""  # where this variable has no value, the role is its packages and services and nothing else
    variables: Mapping[str, Variable] = field(default_factory=lambda: MappingProxyType({}))
    part: Part = field(default_factory=Part)
    choices: tuple[Choice, ...] = ()
    # What each variable is where nobody says it. Made once: a boot storm asks for each machine.
    defaults: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = {
            name: variable.empty if variable.default is None else variable.default
            for name, variable in self.variables.items()
        }
        object.__setattr__(self, "defaults", MappingProxyType(found))

    def values(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Every variable of the role with what holds: said, else its default, else empty; and what else was said."""
        return {**self.defaults, **{name: value for name, value in said.items() if value is not None}}

    def plain(self, values: Mapping[str, Any]) -> bool:
        """Whether it is only its packages and services here."""
        return bool(self.only_with) and not values.get(self.only_with)

    def problems(self, said: Mapping[str, Any]) -> list[FieldProblem]:
        """Each variable of the role that is missing or not what it must be."""
        found = []
        values = self.values(said)
        plain = self.plain(values)
        for name, variable in self.variables.items():
            if not plain and values[name] in ("", [], None) and _needed(variable, values):
                what = f"is missing; the role {self.name} needs it: {variable.help}"
                where = "its cluster" if variable.scope == "cluster" else "the machine, its role or its cluster"
                found.append(FieldProblem(f"vars.{name}", what, f"Say it in the variables of {where}."))
            elif said.get(name) is not None:
                found += [FieldProblem(f"vars.{name}", *problem) for problem in variable.problems(said[name])]
        return found

    def chosen(self, values: Mapping[str, Any]) -> Part:
        """What counts because of these values, beyond what always does."""
        part = _NOTHING
        for choice in () if self.plain(values) else self.choices:
            if choice.holds(values):
                part = part.joined(choice.part)
        return part

    def based_on(self, other: Definition) -> Definition:
        """This one with what the other brings in front."""
        return Definition(
            self.name,
            self.description,
            _once(other.lineage, self.lineage),
            self.openstack or other.openstack,
            self.data_disks or other.data_disks,
            self.only_with or other.only_with,
            {**other.variables, **self.variables},
            other.part.joined(self.part),
            _once(other.choices, self.choices),
        )


_NOTHING = Part()


def _needed(variable: Variable, values: Mapping[str, Any]) -> bool:
    return variable.required or any(values.get(name) == value for name, value in variable.required_if.items())


class BadRole(Invalid):
    """A role's data cannot be used."""

    title = "Bad role"


@dataclass(frozen=True, slots=True)
class Read:
    """One role.yaml alone, and what it is based on."""

    definition: Definition
    parents: tuple[str, ...]


def read(name: str, text: str, shown: str) -> Read:
    """One role.yaml; raises BadRole with every fault in it."""
    try:
        said = yaml.load(text, Loader=LOADER)  # noqa: S506 - both are safe loaders
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise BadRole(f"{shown}, line {line}: {getattr(error, 'problem', None) or 'is not YAML'}.") from error
    if not isinstance(said, Mapping):
        raise BadRole(f"{shown} is not a mapping.", hint="See roles/README.md")
    problems: list[FieldProblem] = []
    variables, wrong = declared(said.get("variables") or {})
    problems += wrong
    part, wrong = _part(said, "")
    problems += wrong
    choices = []
    for number, each in enumerate(_list(said.get("choices"), "choices", problems)):
        place = f"choices.{number}."
        if not isinstance(each, Mapping) or not isinstance(each.get("when"), Mapping):
            problems.append(FieldProblem(f"{place}when", "is missing.", "Write {variable: value}."))
            continue
        more, wrong = _part(each, place)
        problems += [*wrong, *_unknown(each, {"when", *_PART_KEYS}, place)]
        choices.append(Choice({key: _tuple(value) for key, value in each["when"].items()}, more))
    parents = _list(said.get("based_on"), "based_on", problems)
    if not all(isinstance(each, str) and NAME.fullmatch(each) for each in parents):
        problems.append(FieldProblem("based_on", "is not a list of roles.", "Write [base]."))
    problems += _unknown(
        said,
        {"description", "based_on", "openstack", "data_disks", "only_with", "variables", "choices", *_PART_KEYS},
        "",
    )
    problems += [
        FieldProblem(key, "must be true or false.")
        for key in ("openstack", "data_disks")
        if not isinstance(said.get(key, False), bool)
    ]
    problems += [
        FieldProblem(key, "is not a text.")
        for key in ("description", "only_with")
        if not isinstance(said.get(key, ""), str)
    ]
    if problems:
        raise BadRole(f"{shown} cannot be used.", problems=problems, hint="See roles/README.md")
    definition = Definition(
        name,
        said.get("description", ""),
        (name,),
        said.get("openstack", False),
        said.get("data_disks", False),
        said.get("only_with", ""),
        variables,
        part,
        tuple(choices),
    )
    return Read(definition, tuple(parents))


_PART_KEYS = tuple(each.name for each in fields(Part))


def _part(said: Mapping[str, Any], place: str) -> tuple[Part, list[FieldProblem]]:
    problems: list[FieldProblem] = []
    found: dict[str, Any] = {}
    for key, pattern in (("packages", PACKAGE), ("services", SERVICE)):
        found[key] = _families(said.get(key) or {}, f"{place}{key}", pattern, problems)
    for key, (pattern, fix) in LISTS.items():
        values = _list(said.get(key), f"{place}{key}", problems)
        problems += [
            FieldProblem(f"{place}{key}", f"{each!r} is not possible.", fix)
            for each in values
            if not isinstance(each, str) or not pattern.fullmatch(each)
        ]
        found[key] = tuple(values)
    found["sysctl"] = _sysctl(said.get("sysctl") or {}, f"{place}sysctl", problems)
    found["users"] = _records(said, "users", User, {"name": USER, "home": PATH, "shell": PATH}, place, problems)
    patterns = {"path": PATH, "template": TEMPLATE, "mode": MODE, "owner": OWNER}
    found["files"] = _records(said, "files", File, patterns, place, problems)
    return (Part() if problems else Part(**found)), problems


def _families(
    said: Any, where: str, pattern: re.Pattern[str], problems: list[FieldProblem]
) -> dict[str, tuple[str, ...]]:
    if not isinstance(said, Mapping):
        problems.append(FieldProblem(where, "is not an object.", "Write {debian: [...], el: [...]}."))
        return {}
    found = {}
    for family, names in said.items():
        if family not in PACKAGE_FAMILIES:
            problems.append(
                FieldProblem(f"{where}.{family}", "is not a family.", f"Use {', '.join(PACKAGE_FAMILIES)}.")
            )
            continue
        known = package(family) if pattern is PACKAGE else pattern
        values = _list(names, f"{where}.{family}", problems)
        bad = [each for each in values if not isinstance(each, str) or not known.fullmatch(each)]
        problems += [FieldProblem(f"{where}.{family}", f"{each!r} is not possible here.") for each in bad]
        found[family] = tuple(values)
    return found


def _sysctl(said: Any, where: str, problems: list[FieldProblem]) -> dict[str, str]:
    if not isinstance(said, Mapping):
        problems.append(FieldProblem(where, "is not an object.", "Write {net.ipv4.ip_forward: 1}."))
        return {}
    for key, value in said.items():
        if not SYSCTL.fullmatch(str(key)) or not SYSCTL_VALUE.fullmatch(str(value)):
            problems.append(FieldProblem(where, f"{key}: {value!r} is not possible."[:120]))
    return {str(key): str(value) for key, value in said.items()}


def _records(
    said: Mapping[str, Any],
    key: str,
    kind: type[File] | type[User],
    patterns: Mapping[str, re.Pattern[str]],
    place: str,
    problems: list[FieldProblem],
) -> tuple[Any, ...]:
    found = []
    for number, each in enumerate(_list(said.get(key), f"{place}{key}", problems)):
        where = f"{place}{key}.{number}"
        if not isinstance(each, Mapping):
            problems.append(FieldProblem(where, "is not an object."))
            continue
        known = {one.name for one in fields(kind)}
        wrong = [*_unknown(each, known, f"{where}.")]
        for name, pattern in patterns.items():
            value = each.get(name)
            needed = name in ("path", "template", "name", "home")
            if (value is None and needed) or (value is not None and not pattern.fullmatch(str(value))):
                wrong.append(FieldProblem(f"{where}.{name}", f"{value!r} is not possible."))
        families = each.get("families", list(PACKAGE_FAMILIES))
        if not isinstance(families, list) or not set(map(str, families)) <= set(PACKAGE_FAMILIES):
            wrong.append(FieldProblem(f"{where}.families", "is not a list of families."))
        problems += wrong
        if not wrong:
            values = {name: str(value) for name, value in each.items() if name != "families"}
            found.append(kind(**values) if kind is User else File(**values, families=tuple(families)))
    return tuple(found)


def _unknown(said: Mapping[str, Any], known: Iterable[str], place: str) -> Iterable[FieldProblem]:
    for key in said:
        if key not in known:
            yield FieldProblem(f"{place}{key}"[:80], "is not known.", f"Use {', '.join(sorted(known))}.")


def _list(value: Any, where: str, problems: list[FieldProblem]) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        problems.append(FieldProblem(where, "is not a list."))
        return []
    return value


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _once(*many: Iterable[Any]) -> tuple[Any, ...]:
    found: list[Any] = []
    for values in many:
        found += [each for each in values if each not in found]
    return tuple(found)


def _by_family(
    ours: Mapping[str, tuple[str, ...]], theirs: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """By family what both bring; where one of them has nothing of its own for Ubuntu, its Debian list counts."""
    wanted = [each for each in PACKAGE_FAMILIES if each in ours or each in theirs]
    return {each: _once(of_family(ours, each), of_family(theirs, each)) for each in wanted}


def of_family(values: Mapping[str, Any], family: str) -> tuple[str, ...]:
    """What holds for a family of packages: Ubuntu takes Debian's unless it has its own."""
    return tuple(values.get(family, values.get("debian", ()) if family == "ubuntu" else ()))
