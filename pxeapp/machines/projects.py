"""Projects: whoever is limited to some sees and works only with their machines, and it is enforced here alone.

Every query of every session passes here and is narrowed, whoever wrote it: lists, single machines, counts, joins,
what hangs off a machine (deployments, events, power, consoles, jobs) and changes by statement. A table that anybody
adds with a `machine_id` or a `deployment_id` is narrowed without a word. Another project's machine is a 404.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.sql.base import ExecutableOption

from pxeapp.accounts import scope
from pxeapp.db import Base
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines.models import Machine

MOST_KNOWN = 500  # of a list to choose from


@event.listens_for(Session, "do_orm_execute")
def _see_only_theirs(state: ORMExecuteState) -> None:
    projects = scope.present()
    if projects is not None and not state.is_column_load:
        state.statement = state.statement.options(*_criteria(tuple(sorted(projects))))


@event.listens_for(Session, "before_flush")
def _write_only_theirs(session: Session, _context: Any, _instances: Any) -> None:
    projects = scope.present()
    if projects is None:
        return
    for row in {*session.new, *session.dirty, *session.deleted}:
        if not isinstance(row, Machine):
            continue
        if row.project is None and len(projects) == 1:
            (row.project,) = projects
        if row.project not in projects:
            raise refusal(row.project, projects)


def known(session: Session) -> list[str]:
    """The projects that whoever asks may choose from: those that there are machines of, and their own."""
    found = session.scalars(select(Machine.project).where(Machine.project.is_not(None)).distinct().limit(MOST_KNOWN))
    return sorted({*(each for each in found if each), *(scope.present() or ())})


def refusal(project: str | None, projects: frozenset[str]) -> Invalid:
    """What somebody is told who puts a machine where they may not."""
    fix = f"Choose from yours: {', '.join(sorted(projects))}." if projects else "Ask an admin for a project."
    said = f"{project!r} is not one of your projects." if project else "is missing: you work in some projects only."
    return Invalid("The machine cannot be saved.", problems=[FieldProblem("project", said, fix)])


@lru_cache(maxsize=256)
def _criteria(projects: tuple[str, ...]) -> tuple[ExecutableOption, ...]:
    machines, deployments = Base.metadata.tables["machines"], Base.metadata.tables["deployments"]
    theirs = select(machines.c.id).where(machines.c.project.in_(projects))
    attempts = select(deployments.c.id).where(deployments.c.machine_id.in_(theirs))
    found = [_narrowed(Machine, Machine.project.in_(projects))]
    for mapper in Base.registry.mappers:
        kind: Any = mapper.class_
        if "machine_id" in mapper.columns:
            found.append(_narrowed(kind, kind.machine_id.in_(theirs)))
        elif "deployment_id" in mapper.columns:
            found.append(_narrowed(kind, kind.deployment_id.in_(attempts)))
        elif mapper.local_table is Base.metadata.tables["jobs"]:
            # An order on many machines is theirs when all of them are: whoever sees it may cancel it.
            items = Base.metadata.tables["job_items"]
            others = select(items.c.job_id).where(items.c.machine_id.not_in(theirs))
            found.append(_narrowed(kind, kind.id.not_in(others)))
        elif mapper.local_table is Base.metadata.tables.get("rollouts"):
            found.append(_narrowed(kind, kind.id.not_in(_others_rollouts(theirs))))
        elif "rollout_id" in mapper.columns:
            found.append(_narrowed(kind, kind.rollout_id.not_in(_others_rollouts(theirs))))
    return tuple(found)


def _others_rollouts(theirs: Any) -> Any:
    """As with jobs: a rollout is theirs when all of its machines are, for whoever sees it may abort it."""
    members = Base.metadata.tables["rollout_members"]
    return select(members.c.rollout_id).where(members.c.machine_id.not_in(theirs))


def _narrowed(kind: type[Any], condition: Any) -> ExecutableOption:
    return with_loader_criteria(kind, condition, include_aliases=True)
