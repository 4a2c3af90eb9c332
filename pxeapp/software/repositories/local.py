"""The tasks that change what a repository holds, and by which keys it is signed.

Files are looked at, all of them, before a generation is made: when one is no good, nothing is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software import packages as lists
from pxeapp.software.content.store import Blob
from pxeapp.software.packages import Package
from pxeapp.software.repositories import package_files, publishing, service
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.repositories.package_files import ANY, Inspected
from pxeapp.software.repositories.publishing import Generation
from pxeapp.software.tasks.running import Run

MOST_TOLD = 200  # packages in a task's result


def publish(run: Run) -> dict[str, Any]:
    """Add what is uploaded, remove what is named, publish; nothing is changed when one file is no good."""
    with run.database.read() as session:
        row = publishing.get(session, run.subject)
    there = lists.load(run.store, row.packages)
    kept, removed = _without(row, there, run.options.get("remove", []), again=run.begun > 1)
    added = _inspected(run, row, kept, run.options.get("add", []))
    packages = list({package.identity: package for package in [*kept, *(each.package for each in added)]}.values())
    publishing.check([*kept, *(each.package for each in added)], ())

    def tell(says: str) -> None:
        if says:
            run.says(says)
        else:
            run.progress(len(packages), len(packages), unit="packages")

    how = Generation(run.actor, run.now(), again=bool(run.options.get("again")), tell=tell)
    row = publishing.publish(run.settings, run.database, run.store, run.subject, packages, how)
    return {
        "packages": row.package_count,
        "bytes": row.bytes,
        "added": [_told(each) for each in added[:MOST_TOLD]],
        "added_count": len(added),
        "removed": [_named(each) for each in removed[:MOST_TOLD]],
        "removed_count": len(removed),
    }


def _without(
    row: SoftwareRepository, there: Sequence[Package], remove: Sequence[str], *, again: bool
) -> tuple[list[Package], list[Package]]:
    """What stays and what goes: `name` is every version of it, `name=version` that one.

    What is not there when the task is begun `again` was removed by the try that was killed before it could say so.
    """
    gone: set[tuple[str, str, str]] = set()
    problems = []
    for number, said in enumerate(remove):
        name, _, version = said.partition("=")
        found = {each.identity for each in there if each.name == name and version in ("", each.version)}
        if not found and not again:
            fix = f"See: pxeapp repository packages {row.name} {name[:60]}"
            problems.append(FieldProblem(f"remove.{number}", f"{said[:100]!r} is not in {row.name}.", fix))
        gone |= found
    if problems:
        raise Invalid(f"The repository {row.name} was not changed.", problems=problems)
    return [each for each in there if each.identity not in gone], [each for each in there if each.identity in gone]


def _inspected(
    run: Run, row: SoftwareRepository, kept: Sequence[Package], add: Sequence[Mapping[str, str]]
) -> list[Inspected]:
    """Every file, looked at and given its place; raises Invalid with all that are no good."""
    kind = service.kind_of(row)
    taken = {package.path: package.identity for package in kept}
    found: list[Inspected] = []
    problems: list[FieldProblem] = []
    for number, said in enumerate(add):
        run.progress(number, len(add), unit="packages", says=f"Looking at {said['name']}")
        try:
            blob = Blob(said["sha256"], run.store.size(said["sha256"]))
            looked = package_files.inspect(kind, run.store.path(blob.sha256), blob, name=said["name"])
            _refuse_foreign(row, looked.package, said["name"])
        except Invalid as error:
            problems += error.problems or [FieldProblem(said["name"], error.sentence, error.hint)]
            continue
        component = said.get("component") or (row.components[0] if row.components else "")
        others = {path for path, identity in taken.items() if identity != looked.package.identity}
        package = package_files.placed(looked.package, component, others)
        taken[package.path] = package.identity
        found.append(Inspected(package, looked.signed))
    if problems:
        raise Invalid(
            f"{len(problems)} of {len(add)} files cannot be published; nothing was changed.", problems=problems
        )
    return found


def _refuse_foreign(row: SoftwareRepository, package: Package, name: str) -> None:
    if package.arch not in (*row.architectures, ANY[package.kind]):
        problem = f"is for {package.arch}, and {row.name} has {', '.join(row.architectures)}"
        words = " ".join(f"--architecture {each}" for each in (*row.architectures, package.arch))
        possible = package.arch in service.ARCHITECTURES[row.kind]
        fix = (
            f"pxeapp repository change {row.name} {words}" if possible else "No machine of this appliance's runs that."
        )
        raise Invalid(f"{name} {problem}.", problems=[FieldProblem(name, f"{problem}.", fix)], hint=fix)


def _told(inspected: Inspected) -> dict[str, str]:
    package = inspected.package
    return {
        "name": package.name, "version": package.version, "architecture": package.arch, "path": package.path,
        "signed": inspected.signed,
    }  # fmt: skip


def _named(package: Package) -> str:
    return f"{package.name} {package.version} {package.arch}"
