"""What a role does on one machine: packages, services, and the script that makes the installed system what it is.

Everything about it is decided here, from the role's data, the merged variables and the release; its texts come from
templates in `roles/`. Pure but for the templates, which a site may change at any moment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pxeapp.answers import releases
from pxeapp.answers.roles import catalogue, series
from pxeapp.answers.roles.definition import BadRole, Definition, File, Part, of_family
from pxeapp.answers.spec import AnswerSpec, BadAnswerValue, ReleaseSpec
from pxeapp.errors import FieldProblem
from pxeapp.templates import Templates

END_OF_FILE = "END_OF_ROLE_FILE"  # what ends a file in the script; no file may hold such a line
END_OF_SCRIPT = "END_OF_ROLE_SCRIPT"
# A line that Anaconda would take for the end of its own section, or for a file to include.
SECTION = re.compile(rf"(?m)^\s*%[A-Za-z]|^({END_OF_FILE}|{END_OF_SCRIPT}|END_OF_FINISH)$")


@dataclass(frozen=True, slots=True)
class Written:
    """A file as it will stand in the installed system."""

    path: str
    mode: str
    owner: str
    text: str


@dataclass(frozen=True, slots=True)
class Work:
    """A role on one machine. `install` is empty where the role does nothing beyond packages and services."""

    name: str
    packages: tuple[str, ...]
    services: tuple[str, ...]
    install: str = ""
    files: tuple[Written, ...] = ()
    secrets: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()  # that a packet filter lets in, as 9090/tcp
    late: tuple[str, ...] = ()  # packages that the installed system gets at its end, not from the installer


def family_of(spec: AnswerSpec) -> str:
    """The family of packages: `el`, `ubuntu` or `debian`."""
    return "el" if spec.release.family in releases.EL_FAMILIES else spec.release.family


def problems(spec: AnswerSpec, templates: Templates) -> list[FieldProblem]:
    """Why this machine cannot have this role, by field and with what to do: variables, release, series."""
    definition = catalogue.load(spec.role, templates)
    return _problems(definition, definition.values(spec.vars), spec, templates)


def _problems(
    definition: Definition, values: Mapping[str, Any], spec: AnswerSpec, templates: Templates
) -> list[FieldProblem]:
    found = definition.problems(spec.vars)
    if definition.data_disks and not spec.data_disks and not isinstance(spec.vars.get("layout"), Mapping):
        fix = 'Add one to the machine: {"disks": {"data": ["disk/by-path/..."]}}, or say a layout of its own.'
        found.append(
            FieldProblem("disks.data", f"is empty; the role {definition.name} keeps its data on such disks.", fix)
        )
    return found + _uncarried(definition, spec.release, values, templates)


def uncarried(role: str, release: ReleaseSpec, said: Mapping[str, Any], templates: Templates) -> list[FieldProblem]:
    """Why a release cannot carry a role with these variables, whatever machine it is; raises BadRole."""
    definition = catalogue.load(role, templates)
    return _uncarried(definition, release, definition.values(said), templates)


def _uncarried(
    definition: Definition, release: ReleaseSpec, values: Mapping[str, Any], templates: Templates
) -> list[FieldProblem]:
    if not definition.openstack or definition.plain(values):
        return []
    return series.problems(series.table(templates), definition.name, release, values)


def of(spec: AnswerSpec, templates: Templates) -> Work:
    """The role's work; raises BadAnswerValue with every reason why this machine cannot have it."""
    definition = catalogue.load(spec.role, templates)
    values = definition.values(spec.vars)
    if found := _problems(definition, values, spec, templates):
        raise BadAnswerValue(f"{spec.hostname} cannot be a {spec.role} on {spec.release.name}.", problems=found)
    family = family_of(spec)
    context: dict[str, Any] = {"spec": spec, "role": spec.role, "family": family, "vars": values}
    if definition.openstack and not definition.plain(values):
        table = series.table(templates)
        name = series.of(table, spec.release, values)
        context |= {"series": name, "at": dict(table.order), "now": table.order[name]}
    chosen = definition.chosen({**values, "series": context.get("series", "")})
    packages = _names(spec, definition, chosen, "packages", family)
    waiting = _late(spec)
    work = Work(
        spec.role,
        tuple(each for each in packages if each not in waiting),
        _names(spec, definition, chosen, "services", family),
        secrets=tuple(
            str(values[name]) for name, about in definition.variables.items() if about.secret and values[name]
        ),
        late=tuple(each for each in packages if each in waiting),
    )
    if definition.plain(values):
        return work
    part = definition.part.joined(chosen)
    files = tuple(_written(each, context, templates) for each in part.files if family in each.families)
    install = _install(definition, part, work, files, context, templates)
    return replace(work, files=files, ports=part.ports, install=install)


def _names(spec: AnswerSpec, definition: Definition, chosen: Part, field: str, family: str) -> tuple[str, ...]:
    """Packages or services: what the role's row and the variables say, the role's own unless the row does, more."""
    said: tuple[str, ...] = getattr(spec, field)
    own = of_family(getattr(definition.part, field), family) if field in spec.from_data else ()
    wanted = dict.fromkeys((*own, *said, *of_family(getattr(chosen, field), family)))
    return tuple(each for each in wanted if field != "packages" or each not in spec.site.packages_remove)


def _late(spec: AnswerSpec) -> frozenset[str]:
    release = spec.release
    said = [each for each in spec.vars.get("packages") or () if not each.startswith("-")]  # Anaconda's word for: not this
    return spec.site.late(said, releases.dialect(release.family, release.version, release.installer))


def _written(file: File, context: Mapping[str, Any], templates: Templates) -> Written:
    name = f"roles/{file.template}"
    text = templates.render(name, **context)
    return Written(file.path, file.mode, file.owner, _harmless(name, text if text.endswith("\n") else f"{text}\n"))


def _install(
    definition: Definition,
    part: Part,
    work: Work,
    files: tuple[Written, ...],
    context: Mapping[str, Any],
    templates: Templates,
) -> str:
    """The one script: data, then the checklists of the lineage, then the unit of the first boot."""
    install = _checklists(definition, "install.sh", context, templates)
    first_boot = _checklists(definition, "first-boot.sh", context, templates)
    if not (files or install or first_boot or part.sysctl or part.modules or part.users or part.ports):
        return ""
    if first_boot:
        whole = templates.render("roles/_first_boot.sh", **context, checklists=first_boot, secrets=work.secrets)
        first_boot = _harmless("roles/_first_boot.sh", whole)
    text = templates.render(
        "roles/_install.sh",
        **context,
        part=part,
        files=files,
        install=install,
        first_boot=first_boot,
        end_of_file=END_OF_FILE,
        end_of_script=END_OF_SCRIPT,
    )
    return text if text.endswith("\n") else f"{text}\n"


def _checklists(definition: Definition, file: str, context: Mapping[str, Any], templates: Templates) -> str:
    """One checklist behind the other, the most general role's first."""
    found = []
    for folder in definition.lineage:
        name = f"roles/{folder}/{file}"
        if templates.find(name) is not None:
            found.append(_harmless(name, templates.render(name, **context).strip("\n")))
    return "\n\n".join(found)


def _harmless(name: str, text: str) -> str:
    if wrong := SECTION.search(text):
        line = text.count("\n", 0, wrong.start()) + 1
        what = (
            f"{name}: its line {line} begins with {wrong.group().strip()!r}, which would end the script it stands in."
        )
        raise BadRole(what, hint="Write that line in another way.")
    return text
