"""Which OpenStack series a release can carry: the table in `roles/_openstack/series.yaml`, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import yaml

from pxeapp.answers import releases
from pxeapp.answers.roles.definition import LOADER, BadRole
from pxeapp.answers.spec import ReleaseSpec
from pxeapp.errors import FieldProblem
from pxeapp.templates import Templates

TABLE = "roles/_openstack/series.yaml"
REPOSITORY = "openstack-"  # a release's repository of this name and the series is where it comes from
HINT = "See roles/_openstack/series.yaml; a copy of it below templates/ in the data directory wins."


@dataclass(frozen=True, slots=True)
class Carried:
    """What one release can carry."""

    native: str = ""
    others: tuple[str, ...] = ()
    testing: tuple[str, ...] = ()
    source: str = ""
    lacks: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def default(self) -> str:
        """The series that is taken when nobody names one: the release's own, else the newest that was released."""
        return self.native or (self.others[-1] if self.others else "")

    @property
    def possible(self) -> tuple[str, ...]:
        """Every series that can be named."""
        return tuple(dict.fromkeys(each for each in (self.native, *self.others, *self.testing) if each))


@dataclass(frozen=True, slots=True)
class Table:
    """All series, the oldest first, and what each release carries of them."""

    order: Mapping[str, int]
    releases: Mapping[str, Carried]

    def of(self, release: ReleaseSpec) -> Carried | None:
        """What a release carries; None: no OpenStack at all."""
        return self.releases.get(key_of(release.family, release.version))


def key_of(family: str, version: str) -> str:
    """How the table names a release: `el-9`, `debian-13`, `ubuntu-24.04`."""
    parts = version.split(".")
    major = ".".join(parts[:2]) if family == "ubuntu" else parts[0].removesuffix("-stream")
    return f"{'el' if family in releases.EL_FAMILIES else family}-{major}"


def table(templates: Templates) -> Table:
    """The site's table, else ours; raises BadRole where it cannot be read."""
    source = templates.find(TABLE)
    if source is None:
        raise BadRole(f"There is no {TABLE}.", hint="Install the appliance anew.")
    return parse(source.text(), source.shown)


@lru_cache(maxsize=4)
def parse(text: str, shown: str = TABLE) -> Table:
    """The table from its text."""
    try:
        said = yaml.load(text, Loader=LOADER)  # noqa: S506 - both are safe loaders
        order = {str(name): number for number, name in enumerate(said["series"])}
        found = {str(name): _carried(each) for name, each in said["releases"].items()}
    except (yaml.YAMLError, RecursionError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadRole(f"{shown} cannot be read: {error}".splitlines()[0], hint=HINT) from error
    for name, carried in found.items():
        unknown = [each for each in carried.possible if each not in order]
        if unknown:
            raise BadRole(f"{shown}: {name} names {unknown[0]}, which is not in its series.", hint=HINT)
    return Table(MappingProxyType(order), MappingProxyType(found))


def _carried(said: Mapping[str, Any]) -> Carried:
    return Carried(
        native=str(said.get("native", "")),
        others=tuple(map(str, said.get("others", ()))),
        testing=tuple(map(str, said.get("testing", ()))),
        source=str(said.get("source", "")),
        lacks=MappingProxyType({str(key): tuple(values) for key, values in said.get("lacks", {}).items()}),
    )


def problems(found: Table, role: str, release: ReleaseSpec, values: Mapping[str, Any]) -> list[FieldProblem]:
    """Why a release cannot carry a role that needs OpenStack, with what to do; nothing where it can."""
    carried = found.of(release)
    if carried is None or not carried.possible:
        able = ", ".join(sorted(found.releases))
        what = f"{release.name} cannot carry the role {role}: there are no OpenStack packages for it."
        return [FieldProblem("role", what, f"Use a release of: {able}.")]
    wanted = values.get("openstack_series") or carried.default
    if not wanted:
        what = f"is not said, and for {release.name} {carried.source} has only testing packages."
        return [
            FieldProblem("vars.openstack_series", what, f"Say it to take them all the same: {_words(carried.testing)}.")
        ]
    if wanted not in carried.possible:
        what = f"{wanted!r} cannot be had for {release.name}."[:200]
        return [FieldProblem("vars.openstack_series", what, f"Possible are: {_words(carried.possible)}.")]
    wrong = []
    if wanted != carried.native and f"{REPOSITORY}{wanted}" not in {each.name for each in release.repositories}:
        name = f"{REPOSITORY}{wanted}"
        what = f"{release.name} has no repository {name}, and its own archive does not have OpenStack {wanted}."
        fix = f"Add one of that name to the release: a mirror of {carried.source}."
        if carried.native:
            fix += f" Or say openstack_series: {carried.native}."
        wrong.append(FieldProblem("release.repositories", what, fix))
    for name in carried.lacks.get(wanted, ()):
        if values.get(name):
            what = f"OpenStack {wanted} for {release.name} has no packages for it."
            wrong.append(FieldProblem(f"vars.{name}", what, "Leave it out, or take another series or release."))
    return wrong


def of(found: Table, release: ReleaseSpec, values: Mapping[str, Any]) -> str:
    """The series that a machine gets; only for what `problems` lets pass."""
    carried = found.of(release)
    return str(values.get("openstack_series") or (carried.default if carried else ""))


def _words(names: tuple[str, ...]) -> str:
    return ", ".join(names)
