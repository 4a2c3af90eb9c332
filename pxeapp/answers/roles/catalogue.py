"""Finds a role's data: the site's `role.yaml` of that name, else ours, with everything that it is based on."""

from __future__ import annotations

from functools import cache

from pxeapp.answers.roles.definition import BadRole, Definition, Read, read
from pxeapp.templates import Templates, data_root
from pxeapp.templates.sources import Source

_MERGED: dict[tuple[str, ...], Definition] = {}
MOST_KEPT = 256


def load(name: str, templates: Templates) -> Definition:
    """A role's definition. One without data has none of its own: its row says everything. Raises BadRole."""
    found = _lineage(name, templates, ())
    key = (name, *(version for version, _ in found))
    if key not in _MERGED:
        if len(_MERGED) >= MOST_KEPT:
            _MERGED.clear()
        _MERGED[key] = _merged(name, found)
    return _MERGED[key]


def names(templates: Templates) -> list[str]:
    """Every role that has data: ours, and those of the site's own."""
    return sorted({*ours(), *(name.split("/")[1] for name in templates.of_the_site() if _is_role(name))})


@cache
def ours() -> tuple[str, ...]:
    """The roles that come with the appliance."""
    folders = (path.parent.name for path in (data_root() / "roles").glob("*/role.yaml"))
    return tuple(sorted(name for name in folders if not name.startswith("_")))


def _is_role(template: str) -> bool:
    folder, _, rest = template.partition("/")
    name, _, file = rest.partition("/")
    return folder == "roles" and file == "role.yaml" and not name.startswith("_")


def _lineage(name: str, templates: Templates, below: tuple[str, ...]) -> list[tuple[str, Read]]:
    """The role's data and then those of what it is based on, depth first, each with its version."""
    source = templates.find(f"roles/{name}/role.yaml")
    if name in below:
        raise BadRole(f"The role {name} is based on itself.", hint="Take it out of based_on.")
    if source is None and below:
        raise BadRole(f"The role {below[-1]} is based on {name}, which has no roles/{name}/role.yaml.")
    if source is None:
        return []
    found = _TEXTS.get((name, source.version)) or _fresh(name, source)
    parents = [each for parent in found.parents for each in _lineage(parent, templates, (*below, name))]
    return [(source.version, found), *parents]


_TEXTS: dict[tuple[str, str], Read] = {}


def _fresh(name: str, source: Source) -> Read:
    if len(_TEXTS) >= MOST_KEPT:
        _TEXTS.clear()
    _TEXTS[name, source.version] = found = read(name, source.text(), source.shown)
    return found


def _merged(name: str, found: list[tuple[str, Read]]) -> Definition:
    if not found:
        return Definition(name, lineage=(name,))
    by_name = {each.definition.name: each for _, each in found}

    def whole(role: str) -> Definition:
        definition = by_name[role].definition
        for parent in reversed(by_name[role].parents):
            definition = definition.based_on(whole(parent))
        return definition

    return whole(name)
