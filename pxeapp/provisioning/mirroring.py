"""Tasks of mirrors and of the cache, with what their roles come to: roles are not known where software is."""

from __future__ import annotations

from typing import Any

from pxeapp.answers.spec import ReleaseSpec
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.provisioning import role_packages
from pxeapp.software.cache import seeding
from pxeapp.software.mirrors import places
from pxeapp.software.mirrors import sync as syncing
from pxeapp.software.mirrors.selection import Selection
from pxeapp.software.mirrors.sync import Names
from pxeapp.software.tasks.running import Run
from pxeapp.templates import Templates


def sync(run: Run) -> dict[str, Any]:
    """The task `mirror.sync`."""
    return syncing.sync(run, of_roles)


def preview(run: Run) -> dict[str, Any]:
    """The task `mirror.preview`."""
    return syncing.preview(run, of_roles)


def seed(run: Run) -> dict[str, Any]:
    """The task `cache.seed`."""
    return seeding.seed(run, of_roles)


def of_roles(run: Run, chosen: Selection) -> Names:
    """The packages of a mirror's roles, asked anew each time."""
    if not chosen.roles:
        return {}
    templates = Templates(run.settings.templates_dir)
    with run.database.read() as session:
        family, version = places.of_release(session, chosen.release)
        if not family:
            fix = "Name the release whose machines have these roles, such as debian-13."
            problem = FieldProblem("release", "is not said, and a role's packages depend on it.", fix)
            raise Invalid("This mirror has roles and no release.", problems=[problem])
        release = ReleaseSpec(chosen.release, family, version, "", "")
        return {each.role: role_packages.of(session, each.role, release, each.vars, templates) for each in chosen.roles}
